package open_test

import (
	"errors"
	"testing"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/open"
	"github.com/isotherm-backup/isotherm/backends/s3"
	"github.com/isotherm-backup/isotherm/policy"
)

// TestS3Options: each option reaches the store, which refuses what it cannot be.
func TestS3Options(t *testing.T) {
	t.Parallel()
	right := map[string]string{
		"endpoint": "https://s3.example.net", "path_style": "true", "provider": "aws", "checksum": "sha256", "multipart_above": "100MiB",
		"part_size": "8388608", "parts_at_once": "2", "sse": "aws:kms", "kms_key": "alias/backup", "batch_above": "1000",
		"batch_role": "arn:aws:iam::123456789012:role/thaw", "account": "123456789012", "batch_manifests": "s3://jobs/x",
		"control_endpoint": "https://control.example.net", "connect_timeout": "10s", "read_timeout": "1m", "retry.first": "500ms",
		"retry.max": "30s", "retry.deadline": "15m",
	}
	s, err := open.Store(t.Context(), open.Config{URL: "s3://bucket/prefix", Class: "GLACIER", Region: "eu-west-1", Options: right})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if b, ok := s.(backends.BatchThawer); !ok || b.BatchAbove() != 1000 {
		t.Errorf("the store is a %T without the jobs of its options", s)
	}
	for key, value := range map[string]string{
		"endpoint": "s3.example.net", "path_style": "perhaps", "provider": "azure", "checksum": "crc7", "multipart_above": "much",
		"part_size": "1KiB", "parts_at_once": "0", "sse": "rot13", "kms_key": "alias/backup", "batch_above": "-1",
		"batch_manifests": "/tmp", "connect_timeout": "soon", "retry.max": "0s",
	} {
		_, err := open.Store(t.Context(), open.Config{URL: "s3://bucket/prefix", Options: map[string]string{key: value}})
		if err == nil {
			t.Errorf("option %s=%s is taken", key, value)
		}
	}
}

// TestColdAgrees: the policy and the store mean the same by a class, at every
// provider.
func TestColdAgrees(t *testing.T) {
	t.Setenv("AWS_CA_BUNDLE", "") // would be read for each store
	places := []map[string]string{{}}
	for _, endpoint := range []string{
		"http://127.0.0.1:9000", "https://s3.gra.io.cloud.ovh.net", "https://s3.eu-west-par.io.cloud.ovh.net", "https://s3.us-east-va.io.cloud.ovh.us",
		"https://s3.fr-par.scw.cloud", "https://s3.us-west-004.backblazeb2.com", "https://s3.eu-west-1.amazonaws.com", "https://s3.rbx-archive.io.cloud.ovh.net",
	} {
		places = append(places, map[string]string{"endpoint": endpoint})
	}
	for _, provider := range s3.Providers() {
		places = append(places, map[string]string{"provider": provider}, map[string]string{"provider": provider, "endpoint": "https://s3.gra.io.cloud.ovh.net"})
	}
	compared := 0
	for _, options := range places {
		for _, class := range []backends.Class{"", "STANDARD_IA", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE", "INTELLIGENT_TIERING", "TEPID"} {
			for _, region := range []string{"", "gra", "eu-west-par"} {
				s, err := open.Store(t.Context(), open.Config{URL: "s3://bucket", Class: class, Region: region, Options: options})
				if errors.Is(err, backends.ErrUnsupported) {
					continue // whole buckets freeze
				}
				if err != nil {
					t.Fatal(err)
				}
				want := backends.TermsOf(s).Cold
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				if got := policy.Cold(policy.Store{URL: "s3://bucket", Class: string(class), Region: region, Options: options}); got != want {
					t.Errorf("class %s in region %q, %v: the policy says cold: %t, the store %t", class, region, options, got, want)
				}
				compared++
			}
		}
	}
	if want := (len(places) - 1) * 7 * 3; compared != want {
		t.Errorf("%d stores were compared, want %d", compared, want)
	}
}
