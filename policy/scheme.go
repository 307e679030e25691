package policy

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// A scheme is what the policy knows of the stores with one URL scheme.
type scheme struct {
	name    string
	example string
	class   string   // default; "" for none
	classes []string // that it has; none when it has no classes
	open    bool     // other classes may exist, at other providers
	region  bool     // region has a meaning
	cloud   bool     // cloud has a meaning
	bucket  bool     // the URL's host is the bucket or container
	options []option
}

// An option is a setting of a store beyond those that all stores have.
type option struct {
	key   string
	about string // sentence for the schema and the documentation
	check func(string) error
}

// schemes returns what may be written of stores, in the order in which it is
// told to people. Package backends/open says which of them are built in.
func schemes() []scheme {
	return []scheme{
		{name: "file", example: "file:///srv/backup", classes: []string{"STANDARD"}},
		{
			name: "s3", example: "s3://bucket/prefix", class: "STANDARD", region: true, bucket: true, open: true,
			classes: []string{"STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE", "REDUCED_REDUNDANCY", "EXPRESS_ONEZONE"},
			options: append([]option{
				{"endpoint", "URL of the service, when it is not Amazon's.", isEndpoint},
				{"path_style", "Put the bucket into the URL's path, not its host: true or false.", isOneOf("true", "false")},
				{"profile", "Profile of the AWS configuration that has the credentials.", isNotEmpty},
				{"provider", "Whose service it is, where its endpoint does not tell: aws, ovh, scaleway, ceph, minio, backblaze or generic.", isOneOf(s3Providers()...)},
				{"checksum", "Checksum that goes with what is sent: auto, crc64nvme, sha256 or md5.", isOneOf("auto", "crc64nvme", "sha256", "md5")},
				{"multipart_above", `Size above which a file is sent in parts, as in "200MiB".`, isSize},
				{"part_size", `Size of the parts, as in "64MiB".`, isSize},
				{"parts_at_once", "How many parts of one file are sent at once.", isCount},
				{"sse", "Encryption by the service: AES256 or aws:kms.", isOneOf("AES256", "aws:kms")},
				{"kms_key", "Key that aws:kms encrypts with, in place of the account's own.", isNotEmpty},
				{"batch_above", "Number of files above which they are thawed by a job of S3 Batch Operations; it needs batch_role and account.", isCount},
				{"batch_role", "ARN of the role that these jobs take on.", isNotEmpty},
				{"account", "Number of the AWS account that owns the jobs.", isAccount},
				{"batch_manifests", "Where lists and reports of the jobs go, as in s3://bucket/prefix. Default: isotherm-batch in a hot store of the same service.", isBucketURL},
				envPrefix(),
				{"rehearsal", "The service is an s3archive, whose clock may run fast: true or false.", isOneOf("true", "false")},
				{"control_endpoint", "URL of the control service that takes the jobs, when it is not Amazon's.", isEndpoint},
			}, waits()...),
		},
		{
			name: "swift", example: "swift://container/prefix", classes: []string{"PCS"}, open: true,
			region: true, cloud: true, bucket: true, options: openstack(),
		},
		{
			name: "pca", example: "pca://container/prefix", class: "PCA", classes: []string{"PCA"},
			region: true, cloud: true, bucket: true, options: openstack(),
		},
		{
			name: "coldsim", example: "coldsim:///srv/simulated?speedup=3600", class: "STANDARD",
			classes: []string{"STANDARD", "STANDARD_IA", "ONEZONE_IA", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE", "PCS", "PCA"},
			options: []option{
				{"speedup", "How many times as fast as real time the store's clock runs.", isCount},
				{"seed", "Whole number that the simulated times depend on.", isWhole},
				{"rate", "Thaw requests that the store takes in a second.", isRate},
				{"expedited", "What becomes of expedited thaws: accept or refuse.", isOneOf("accept", "refuse")},
			},
		},
	}
}

// s3Providers are the services that speak S3 and are told apart.
func s3Providers() []string {
	return []string{"aws", "ovh", "scaleway", "ceph", "minio", "backblaze", "generic"}
}

// openstack are the settings of stores in OpenStack Swift.
func openstack() []option {
	return append([]option{
		{"endpoint_type", "Which address of the service is used: public, internal (ServiceNet) or admin.", isOneOf("public", "internal", "admin")},
		envPrefix(),
		{"segment_above", `Size above which a file is stored in segments, as in "1GiB".`, isSize},
		{"segment_size", `Size of the segments, as in "512MiB".`, isSize},
	}, waits()...)
}

// envPrefix keeps the credentials of stores apart.
func envPrefix() option {
	return option{"env_prefix", "What the names of the store's environment variables begin with, as in COLD_ for COLD_OS_PASSWORD or COLD_AWS_ACCESS_KEY_ID.", isVariable}
}

// isVariable takes what the names of environment variables may begin with.
func isVariable(s string) error {
	if !envName(s) || s[0] >= '0' && s[0] <= '9' {
		return &valueError{fmt.Sprintf("it is %q", s), "write letters, digits and _, such as COLD_"}
	}
	return nil
}

// waits are the settings of all stores behind a network that are durations.
func waits() []option {
	return []option{
		{"connect_timeout", `How long a connection may take, as in "10s".`, isDuration},
		{"read_timeout", "How long a transfer may stand still.", isDuration},
		{"retry.first", "Pause before the first retry; each next one is longer.", isDuration},
		{"retry.max", "Longest pause between retries.", isDuration},
		{"retry.deadline", "How long a failing request is retried in all.", isDuration},
	}
}

// Settings returns the options as package backends/open takes them: durations as
// Go writes them.
func (s Store) Settings() map[string]string {
	settings := maps.Clone(s.Options)
	for _, w := range waits() {
		if d, err := ParseDuration(settings[w.key]); err == nil {
			settings[w.key] = d.String()
		}
	}
	return settings
}

func schemeNamed(name string) (scheme, bool) {
	all := schemes()
	i := slices.IndexFunc(all, func(s scheme) bool { return s.name == name })
	if i < 0 {
		return scheme{}, false
	}
	return all[i], true
}

func (s scheme) option(key string) (option, bool) {
	i := slices.IndexFunc(s.options, func(o option) bool { return o.key == key })
	if i < 0 {
		return option{}, false
	}
	return s.options[i], true
}

func isDuration(s string) error {
	d, err := ParseDuration(s)
	if err == nil && d == 0 {
		return &valueError{"it is zero", "write a time above zero, or remove the key"}
	}
	return err
}

func isNotEmpty(s string) error {
	if s == "" {
		return &valueError{"it is empty", "give it a value, or remove the key"}
	}
	return nil
}

func isEndpoint(s string) error {
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil {
		return &valueError{"it is no address of a service", "write a URL such as https://s3.gra.io.cloud.ovh.net"}
	}
	return nil
}

func isBucketURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "s3" || u.Host == "" || u.User != nil || u.RawQuery != "" {
		return &valueError{"it is no place in a bucket", "write a URL such as s3://bucket/prefix"}
	}
	return nil
}

func isAccount(s string) error {
	if len(s) != 12 || strings.Trim(s, "0123456789") != "" {
		return &valueError{fmt.Sprintf("it is %q", s), "write the 12 digits of the account, in quotes"}
	}
	return nil
}

func isSize(s string) error {
	n, err := ParseSize(s)
	if err == nil && n == 0 {
		return &valueError{"it is zero", "write a size above zero, or remove the key"}
	}
	return err
}

func isOneOf(words ...string) func(string) error {
	return func(s string) error {
		if !slices.Contains(words, s) {
			return &valueError{fmt.Sprintf("it is %q", s), "write " + oneOf(words)}
		}
		return nil
	}
}

func isCount(s string) error {
	if n, err := strconv.ParseInt(s, 10, 64); err != nil || n < 1 {
		return &valueError{fmt.Sprintf("it is %q", s), "write a whole number of 1 or more"}
	}
	return nil
}

func isWhole(s string) error {
	if _, err := strconv.ParseInt(s, 10, 64); err != nil {
		return &valueError{fmt.Sprintf("it is %q", s), "write a whole number"}
	}
	return nil
}

func isRate(s string) error {
	if f, err := strconv.ParseFloat(s, 64); err != nil || !(f > 0 && f < 1e9) {
		return &valueError{fmt.Sprintf("it is %q", s), "write a number above 0"}
	}
	return nil
}

// Cold reports whether files freeze as soon as they are put into the store, as
// far as its scheme, class and provider tell. The same class means different
// things at different providers (cold-storage spec section 12.4).
func Cold(s Store) bool {
	name, _, _ := strings.Cut(s.URL, ":")
	frozen := s.Class == "GLACIER" || s.Class == "DEEP_ARCHIVE"
	switch name {
	case "pca":
		return true
	case "coldsim":
		return frozen || s.Class == "PCA"
	case "s3":
		switch providerOf(s) {
		case "ovh":
			return coldAtOVH(s)
		case "minio", "backblaze":
			return false // they have no cold class
		}
		return frozen
	}
	return false
}

// providerOf returns whose service an s3 store is at, where that changes what a
// class means: as the store is told, or by its endpoint, such as
// s3.gra.io.cloud.ovh.net. Package backends/s3 has the whole table; a test
// compares the two.
func providerOf(s Store) string {
	if name := s.Options["provider"]; name != "" {
		return name
	}
	u, err := url.Parse(s.Options["endpoint"])
	if err != nil {
		return ""
	}
	for end, name := range map[string]string{
		".ovh.net": "ovh", ".ovh.us": "ovh", ".ovhcloud.com": "ovh", ".backblazeb2.com": "backblaze",
	} {
		if strings.HasSuffix("."+u.Hostname(), end) {
			return name
		}
	}
	return ""
}

// coldAtOVH knows OVHcloud's classes: GLACIER is online, DEEP_ARCHIVE is cold
// in eu-west-par and stored as STANDARD elsewhere (spec sections 12.3 and
// 12.4); at the endpoints of Cold Archive v1 whole buckets freeze (12.2).
func coldAtOVH(s Store) bool {
	endpoint := s.Options["endpoint"]
	if strings.Contains(endpoint, "-archive.io.") {
		return true
	}
	return s.Class == "DEEP_ARCHIVE" && (s.Region == "eu-west-par" || strings.Contains(endpoint, ".eu-west-par."))
}

// A place is where a store's files are, for comparing.
type place struct {
	service string // what the path belongs to
	path    []string
}

// placeOf returns the place of a store whose URL was found right.
func placeOf(s Store, u *url.URL) place {
	p := place{service: u.Scheme}
	switch u.Scheme {
	case "file", "coldsim":
		p.service = "directory"
	case "s3":
		p.service = "s3 " + strings.TrimSuffix(s.Options["endpoint"], "/") + " " + u.Host
	case "swift", "pca": // one service, two storage policies
		p.service = "swift " + s.Cloud + " " + s.Region + " " + u.Host
	}
	for part := range strings.SplitSeq(u.Path, "/") {
		if part != "" && part != "." {
			p.path = append(p.path, part)
		}
	}
	return p
}

// holds reports whether q is p or lies within it.
func (p place) holds(q place) bool {
	return p.service == q.service && len(p.path) <= len(q.path) && slices.Equal(p.path, q.path[:len(p.path)])
}
