package s3

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
)

const day = 24 * time.Hour

// A provider is whose service a store speaks to: what it can do beyond plain
// puts and gets, and what its storage classes mean. Nothing else in this package
// asks for a provider's name.
type provider struct {
	name  string
	hosts []string // endings of its endpoints' host names
	// regional: the host name of an endpoint has the region as its second part,
	// and signatures must name it.
	regional bool
	// checksum is what the option "auto" stands for: one that the service is
	// known to take.
	checksum string
	// conditional: it knows If-None-Match on puts. Elsewhere a put that must not
	// replace looks first, which two writers at once can both survive.
	conditional bool
	// listsThaws: listings are known to tell of thaws (RestoreStatus). Elsewhere
	// they are believed once one has.
	listsThaws bool
	// readThaws: reading a frozen file may start a thaw, so a read looks first.
	readThaws bool
	// jobs: it has Batch Operations.
	jobs bool
	// parts is the highest number of parts of an upload.
	parts int64
	// classes are the meanings of its storage classes where they are not those
	// of common.
	classes map[backends.Class]meaning
	// adjust, when not nil, says what depends on more than the class.
	adjust func(class backends.Class, m meaning, place place) (meaning, error)
}

// A place is where a provider's service is.
type place struct{ region, host string }

// A meaning is what a storage class means at one provider (cold-storage spec
// sections 2, 3, 12.4 and 14).
type meaning struct {
	known bool
	// archived: what is put freezes.
	archived bool
	// sinks: the service may freeze files by itself, without the class telling
	// (INTELLIGENT_TIERING).
	sinks bool
	terms backends.Terms
}

// online is a class whose files are always readable.
func online(minDays int) meaning {
	return meaning{known: true, terms: backends.Terms{MinDuration: time.Duration(minDays) * day}}
}

// archive is a class of Amazon's kind: the caller chooses the speed, and may
// change his mind (spec sections 3, 4.2 and 6).
func archive(minDays int, speeds map[backends.Speed]backends.Times) meaning {
	return meaning{known: true, archived: true, terms: backends.Terms{
		Cold: true, Speeds: speeds, Keep: true, Extend: true, Upgrade: true,
		MinDuration: time.Duration(minDays) * day, RequestRate: 1000,
	}}
}

// single is a class without a choice of speed.
func single(minDays int, longest time.Duration, extend bool) meaning {
	return meaning{known: true, archived: true, terms: backends.Terms{
		Cold: true, Keep: true, Extend: extend,
		Speeds:      map[backends.Speed]backends.Times{backends.SpeedOnly: {Max: longest}},
		MinDuration: time.Duration(minDays) * day,
	}}
}

// common are the meanings at Amazon, which are those of most who copied its
// names. Where the spec gives no shortest time of a thaw, it is that of the
// price book.
func common() map[backends.Class]meaning {
	sinking := online(0)
	sinking.sinks = true
	return map[backends.Class]meaning{
		backends.Standard:     online(0),
		"REDUCED_REDUNDANCY":  online(0),
		"STANDARD_IA":         online(30),
		"ONEZONE_IA":          online(30),
		"GLACIER_IR":          online(90),
		"EXPRESS_ONEZONE":     online(0),
		"OUTPOSTS":            online(0),
		"INTELLIGENT_TIERING": sinking,
		backends.Glacier: archive(90, map[backends.Speed]backends.Times{
			backends.Expedited:     {Min: time.Minute, Max: 5 * time.Minute},
			backends.SpeedStandard: {Min: 3 * time.Hour, Max: 5 * time.Hour},
			backends.Bulk:          {Min: 5 * time.Hour, Max: 12 * time.Hour},
		}),
		backends.DeepArchive: archive(180, map[backends.Speed]backends.Times{
			backends.SpeedStandard: {Min: 9 * time.Hour, Max: 12 * time.Hour},
			backends.Bulk:          {Min: 12 * time.Hour, Max: 48 * time.Hour},
		}),
	}
}

// providers is the table.
func providers() []provider {
	return []provider{
		{
			name: "aws", hosts: []string{".amazonaws.com", ".amazonaws.com.cn"}, regional: true,
			checksum: crc64nvme, conditional: true, listsThaws: true, jobs: true, parts: 10_000,
		},
		{
			// Spec sections 12.2 to 12.4. Conditional puts are in no list of what
			// the service can do (S3 compliancy, 2024-11-12).
			name: "ovh", hosts: []string{".ovh.net", ".ovh.us", ".ovhcloud.com"}, regional: true,
			checksum: md5sum, parts: 10_000,
			classes: map[backends.Class]meaning{
				backends.Glacier:      online(90),
				"INTELLIGENT_TIERING": online(0),
				backends.DeepArchive:  single(180, 48*time.Hour, true),
			},
			adjust: adjustOVH,
		},
		{
			// Spec section 14. Conditional puts: "Using conditional writes", read
			// 2026-07-03. What a second request for a thawed file does is not told.
			name: "scaleway", hosts: []string{".scw.cloud"}, regional: true,
			checksum: md5sum, conditional: true, parts: 1000,
			classes: map[backends.Class]meaning{backends.Glacier: single(0, 24*time.Hour, false)},
		},
		{
			// Spec section 14: files get into a cold class by lifecycle rules only,
			// whose names the administrator chooses.
			name: "ceph", checksum: md5sum, conditional: true, readThaws: true, parts: 10_000,
			classes: map[backends.Class]meaning{
				backends.Glacier:     single(0, 24*time.Hour, true),
				backends.DeepArchive: single(0, 48*time.Hour, true),
			},
		},
		{
			name: "minio", checksum: md5sum, conditional: true, parts: 10_000,
			classes: map[backends.Class]meaning{backends.Glacier: online(0), backends.DeepArchive: online(0)},
		},
		{
			name: "backblaze", hosts: []string{".backblazeb2.com"}, regional: true, checksum: md5sum, parts: 10_000,
			classes: map[backends.Class]meaning{backends.Glacier: online(0), backends.DeepArchive: online(0)},
		},
		{name: "generic", checksum: md5sum, conditional: true, parts: 10_000},
	}
}

// adjustOVH knows that Cold Archive is in one region, and that whole buckets
// freeze at the endpoints of its first version.
func adjustOVH(class backends.Class, m meaning, p place) (meaning, error) {
	if strings.Contains(p.host, "-archive.io.") {
		return meaning{}, fmt.Errorf("%s freezes whole buckets, which no backup can be added to; "+
			"use class DEEP_ARCHIVE in eu-west-par: %w", p.host, backends.ErrUnsupported)
	}
	if class == backends.DeepArchive && p.region != "eu-west-par" && !strings.Contains(p.host, ".eu-west-par.") {
		return online(0), nil // stored as STANDARD
	}
	return m, nil
}

// Providers returns the names of the providers that are known.
func Providers() []string {
	var names []string
	for _, p := range providers() {
		names = append(names, p.name)
	}
	return names
}

// providerOf returns the provider of that name; "" recognises it by its
// endpoint's host name, which is "" for Amazon.
func providerOf(name, host string) (provider, error) {
	all := providers()
	i := slices.IndexFunc(all, func(p provider) bool {
		if name != "" {
			return p.name == name
		}
		return slices.ContainsFunc(p.hosts, func(end string) bool { return strings.HasSuffix("."+host, end) })
	})
	switch {
	case i >= 0:
		return all[i], nil
	case name != "":
		return provider{}, fmt.Errorf("provider %q is none of %s: %w", name, strings.Join(Providers(), ", "), backends.ErrUnsupported)
	case host == "":
		return all[0], nil
	}
	return all[len(all)-1], nil
}

// regionOf returns the region in the host name of an endpoint, such as
// s3.gra.io.cloud.ovh.net; "" for none.
func (p provider) regionOf(host string) string {
	parts := strings.Split(host, ".")
	if !p.regional || parts[0] != "s3" || len(parts) < 4 {
		return ""
	}
	return parts[1]
}

// meanings returns what each class means that is known.
func (p provider) meanings(where place) (map[backends.Class]meaning, error) {
	all := common()
	maps.Copy(all, p.classes)
	if p.adjust == nil {
		return all, nil
	}
	for class, m := range all {
		var err error
		if all[class], err = p.adjust(class, m, where); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// hostOf returns the host name of an endpoint; "" for none.
func hostOf(endpoint string) (string, error) {
	if endpoint == "" {
		return "", nil
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
		return "", fmt.Errorf("endpoint is no URL such as https://s3.gra.io.cloud.ovh.net: %w", backends.ErrUnsupported)
	}
	return u.Hostname(), nil
}
