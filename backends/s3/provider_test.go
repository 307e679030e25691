package s3

import (
	"errors"
	"testing"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
)

func TestProviderOf(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ endpoint, want, region string }{
		{"", "aws", ""},
		{"https://s3.eu-west-1.amazonaws.com", "aws", "eu-west-1"},
		{"https://s3.amazonaws.com", "aws", ""},
		{"https://s3.cn-north-1.amazonaws.com.cn", "aws", "cn-north-1"},
		{"https://s3.gra.io.cloud.ovh.net", "ovh", "gra"},
		{"https://s3.eu-west-par.io.cloud.ovh.net/", "ovh", "eu-west-par"},
		{"https://s3.us-east-va.io.cloud.ovh.us", "ovh", "us-east-va"},
		{"https://s3.fr-par.scw.cloud", "scaleway", "fr-par"},
		{"https://s3.us-west-004.backblazeb2.com", "backblaze", "us-west-004"},
		{"https://ovh.net.example", "generic", ""},
		{"https://notovh.net", "generic", ""},
		{"http://127.0.0.1:9000", "generic", ""},
		{"https://s3.eu.example.org", "generic", ""},
	} {
		host, err := hostOf(tt.endpoint)
		if err != nil {
			t.Fatal(err)
		}
		p, err := providerOf("", host)
		if err != nil || p.name != tt.want || p.regionOf(host) != tt.region {
			t.Errorf("provider at %q is %q in region %q, %v; want %q, %q", tt.endpoint, p.name, p.regionOf(host), err, tt.want, tt.region)
		}
		if p, err := providerOf("ceph", host); err != nil || p.name != "ceph" {
			t.Errorf("provider ceph at %q is %q, %v", tt.endpoint, p.name, err)
		}
	}
	if _, err := providerOf("azure", ""); !errors.Is(err, backends.ErrUnsupported) {
		t.Errorf("unknown provider: %v", err)
	}
	for _, bad := range []string{"s3.example.org", "ftp://x", "https://", "https://key:secret@host", "://"} {
		if _, err := hostOf(bad); err == nil {
			t.Errorf("endpoint %q is taken", bad)
		}
	}
}

// TestMeanings: one name means different things (cold-storage spec sections
// 12.3, 12.4 and 14).
func TestMeanings(t *testing.T) {
	t.Parallel()
	par, gra := place{region: "eu-west-par"}, place{region: "gra"}
	for _, tt := range []struct {
		provider string
		where    place
		class    backends.Class
		cold     bool
		speeds   int
		days     int
		keep     bool
		extend   bool
		upgrade  bool
	}{
		{"aws", gra, "STANDARD", false, 0, 0, false, false, false},
		{"aws", gra, "GLACIER_IR", false, 0, 90, false, false, false},
		{"aws", gra, "STANDARD_IA", false, 0, 30, false, false, false},
		{"aws", gra, "INTELLIGENT_TIERING", false, 0, 0, false, false, false},
		{"aws", gra, "GLACIER", true, 3, 90, true, true, true},
		{"aws", gra, "DEEP_ARCHIVE", true, 2, 180, true, true, true},
		{"generic", gra, "GLACIER", true, 3, 90, true, true, true},
		{"ovh", gra, "GLACIER", false, 0, 90, false, false, false},
		{"ovh", gra, "DEEP_ARCHIVE", false, 0, 0, false, false, false},
		{"ovh", par, "DEEP_ARCHIVE", true, 1, 180, true, true, false},
		{"scaleway", gra, "GLACIER", true, 1, 0, true, false, false},
		{"ceph", gra, "GLACIER", true, 1, 0, true, true, false},
		{"minio", gra, "GLACIER", false, 0, 0, false, false, false},
		{"backblaze", gra, "DEEP_ARCHIVE", false, 0, 0, false, false, false},
	} {
		p, err := providerOf(tt.provider, "")
		if err != nil {
			t.Fatal(err)
		}
		all, err := p.meanings(tt.where)
		if err != nil {
			t.Fatal(err)
		}
		m := all[tt.class]
		got := m.terms
		if !m.known || got.Cold != tt.cold || m.archived != tt.cold || len(got.Speeds) != tt.speeds ||
			got.MinDuration != time.Duration(tt.days)*day || got.Keep != tt.keep || got.Extend != tt.extend || got.Upgrade != tt.upgrade {
			t.Errorf("%s at %s in %s means %+v, want %+v", tt.class, tt.provider, tt.where.region, m, tt)
		}
	}
	ovh, err := providerOf("ovh", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ovh.meanings(place{host: "s3.rbx-archive.io.cloud.ovh.net"}); !errors.Is(err, backends.ErrUnsupported) {
		t.Errorf("Cold Archive v1: %v, want ErrUnsupported", err)
	}
}

// TestTable: what the code relies on holds for every provider.
func TestTable(t *testing.T) {
	t.Parallel()
	for _, p := range providers() {
		if c, ok := checksums()[p.checksum]; !ok || c.text == nil {
			t.Errorf("%s: checksum %q is not known", p.name, p.checksum)
		}
		if p.parts < 1000 {
			t.Errorf("%s: uploads have %d parts at most", p.name, p.parts)
		}
		if p.checksum == crc64nvme && p.name != "aws" {
			t.Errorf("%s: not every version of it knows CRC64NVME", p.name)
		}
	}
}
