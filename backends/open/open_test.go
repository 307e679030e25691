package open_test

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/coldsim"
	"github.com/isotherm-backup/isotherm/backends/file"
	"github.com/isotherm-backup/isotherm/backends/open"
)

func TestFile(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"file:///backup/photos":      "/backup/photos",
		"file:///backup/photos/":     "/backup/photos",
		"file:///with%20space/a%25b": "/with space/a%b",
		"file:///with space/ü":       "/with space/ü",
		"file:///a/../b":             "/b",
		"FILE:///backup":             "/backup",
	} {
		s, err := open.Store(t.Context(), open.Config{URL: url, Class: backends.Standard})
		if err != nil {
			t.Errorf("Store(%q): %v", url, err)
			continue
		}
		if got := s.(*file.Store).Dir(); got != want {
			t.Errorf("Store(%q) is in %q, want %q", url, got, want)
		}
	}
}

func TestColdsim(t *testing.T) {
	t.Parallel()
	s, err := open.Store(t.Context(), open.Config{
		URL:     "coldsim://" + t.TempDir() + "?speedup=3600&expedited=refuse",
		Class:   backends.Glacier,
		Options: map[string]string{"rate": "2.5", "seed": "-7"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, ok := s.(*coldsim.Store); !ok {
		t.Fatalf("store is a %T", s)
	}
	if terms := backends.TermsOf(s); !terms.Cold || terms.RequestRate != 2.5 {
		t.Errorf("Terms are %+v", terms)
	}
	_, err = s.Put(t.Context(), "file", strings.NewReader("x"), backends.PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = backends.Thaw(t.Context(), s, "file", backends.ThawRequest{Speed: backends.Expedited})
	if !errors.Is(err, backends.ErrNoCapacity) {
		t.Errorf("Thaw with expedited=refuse: %v, want ErrNoCapacity", err)
	}
}

// TestErrors: each error names what is wrong and what to write instead.
func TestErrors(t *testing.T) {
	t.Parallel()
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, tt := range []struct {
		config open.Config
		want   []string // parts of the text
		kind   error
	}{
		{open.Config{URL: "file://relative/dir"}, []string{"relative", "file://" + wd + "/relative/dir"}, nil},
		{open.Config{URL: "file:dir"}, []string{"relative", "file://" + wd + "/dir"}, nil},
		{open.Config{URL: "coldsim://dir?speedup=60"}, []string{"relative", "coldsim://" + wd + "/dir?speedup=60"}, nil},
		{open.Config{URL: "file://"}, []string{"relative"}, nil},
		{open.Config{URL: "/backup"}, []string{"no scheme", "file:///path"}, nil},
		{open.Config{URL: ""}, []string{"no scheme"}, nil},
		{open.Config{URL: "file:///a%zz"}, []string{"%zz", "%25"}, nil},
		{open.Config{URL: "file:///a#b"}, []string{"%23"}, nil},
		{open.Config{URL: "file:///a#"}, []string{"%23"}, nil},
		{open.Config{URL: "file:///a?speedup=2"}, []string{"speedup", "takes none"}, nil},
		{open.Config{URL: "file:///a", Class: "GLACIER"}, []string{"GLACIER", "coldsim://"}, backends.ErrUnsupported},
		{open.Config{URL: "coldsim:///a?speedpu=2"}, []string{"speedpu", "speedup"}, nil},
		{open.Config{URL: "coldsim:///a?speedup=2&speedup=3"}, []string{"speedup", "twice"}, nil},
		{open.Config{URL: "coldsim:///a?speedup=2", Options: map[string]string{"speedup": "2"}}, []string{"speedup", "twice"}, nil},
		{open.Config{URL: "coldsim:///a?speedup=0"}, []string{"speedup", "at least 1"}, nil},
		{open.Config{URL: "coldsim:///a?speedup=1.5"}, []string{"speedup", "whole number"}, nil},
		{open.Config{URL: "coldsim:///a?speedup="}, []string{"speedup"}, nil},
		{open.Config{URL: "coldsim:///a?seed=x"}, []string{"seed"}, nil},
		{open.Config{URL: "coldsim:///a?rate=-1"}, []string{"rate"}, nil},
		{open.Config{URL: "coldsim:///a?rate=NaN"}, []string{"rate"}, nil},
		{open.Config{URL: "coldsim:///a?expedited=maybe"}, []string{"expedited", "refuse"}, nil},
		{open.Config{URL: "coldsim://" + dir, Class: "TEPID"}, []string{"TEPID", "DEEP_ARCHIVE"}, backends.ErrUnsupported},
		{open.Config{URL: "coldsim://" + dir + "/missing"}, []string{"missing"}, backends.ErrNoStore},
		{open.Config{URL: "s3:///prefix"}, []string{"s3://bucket/prefix"}, nil},
		{open.Config{URL: "swift://container"}, []string{"clouds.yaml", "SWIFT_AUTHURL"}, fs.ErrPermission},
		{open.Config{URL: "pca://container", Options: map[string]string{"env_prefix": "COLD_"}}, []string{"COLD_PCA_PASSWORD"}, fs.ErrPermission},
		{open.Config{URL: "swift:container"}, []string{"swift://container/prefix"}, nil},
		{open.Config{URL: "pca:///container"}, []string{"pca://container/prefix"}, nil},
		{open.Config{URL: "pca://container", Class: "PCS"}, []string{"PCS", "swift://"}, backends.ErrUnsupported},
		{open.Config{URL: "swift://container?segment_size=0"}, []string{"segment_size", "64MiB"}, nil},
		{open.Config{URL: "swift://container?read_timeout=soon"}, []string{"read_timeout"}, backends.ErrUnsupported},
		{open.Config{URL: "glacier://vault"}, []string{"closed", "s3://"}, backends.ErrUnsupported},
		{open.Config{URL: "ftp://host/dir"}, []string{"ftp", "coldsim, file, glacier, pca, s3, swift"}, backends.ErrUnsupported},
		{open.Config{Name: "hot", URL: "ftp://host/dir"}, []string{"open store hot"}, backends.ErrUnsupported},
		{open.Config{URL: "s3://key:hunter2@bucket"}, []string{"credentials"}, nil},
	} {
		s, err := open.Store(t.Context(), tt.config)
		if err == nil {
			t.Errorf("Store(%q) = %T, want an error", tt.config.URL, s)
			continue
		}
		for _, part := range tt.want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("Store(%q): %v; want %q in it", tt.config.URL, err, part)
			}
		}
		if tt.kind != nil && !errors.Is(err, tt.kind) {
			t.Errorf("Store(%q): %v is not %v", tt.config.URL, err, tt.kind)
		}
	}
}

// TestSecrets: a secret in a URL never shows.
func TestSecrets(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"s3://key:hunter2@bucket", "ftp://key:hunter2@host/%zz", "://key:hunter2@host", "s3://key:hunter2@bucket:port", "key:hunter2@host", "\x00key:hunter2@",
		"key:hunter2@host/%zz", "s3:key:hunter2@bucket", "s3://bucket?secret=hunter2", "file:///dir?secret=hunter2", "file:///dir?x=%zzhunter2",
	} {
		_, err := open.Store(t.Context(), open.Config{URL: url})
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("Store(%q): %v", url, err)
		}
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	keys, ok := open.Options("coldsim")
	if want := []string{"expedited", "rate", "seed", "speedup"}; !ok || !slices.Equal(keys, want) {
		t.Errorf("Options of coldsim = %q, %v; want %q", keys, ok, want)
	}
	if keys, ok := open.Options("file"); !ok || len(keys) > 0 {
		t.Errorf("Options of file = %q, %v", keys, ok)
	}
	if _, ok := open.Options("ftp"); ok {
		t.Error("Options of ftp are known")
	}
}
