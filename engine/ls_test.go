package engine

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fixtureRig opens a golden archive, after its directories have been changed.
func fixtureRig(t *testing.T, name string, change ...func(dirs []string)) *restoreRig {
	t.Helper()
	for _, f := range restoreFixtures {
		if f.name != name {
			continue
		}
		opts := rigOptions{prefixes: f.prefixes}
		if f.stores == nil {
			f.stores = []string{"archive"}
		}
		for _, s := range f.stores {
			opts.dirs = append(opts.dirs, copyArchive(t, fixture(filepath.Join(name, s))))
		}
		if f.encrypted {
			opts.keys = fixtureKeys(t)
		}
		for _, c := range change {
			c(opts.dirs)
		}
		return newRestoreRig(t, opts)
	}
	t.Fatalf("no fixture %s", name)
	return nil
}

// listing is the text of duplicity's list-current-files.
func listing(entries iter.Seq2[*Path, error]) (string, error) {
	var b strings.Builder
	for e, err := range entries {
		if err != nil {
			return b.String(), err
		}
		path := e.Path
		if path == "" {
			path = "."
		}
		fmt.Fprintf(&b, "%s %s\n", time.Unix(e.Entry.ModTime, 0).UTC().Format(time.ANSIC), path)
	}
	return b.String(), nil
}

func TestLsFixtures(t *testing.T) {
	t.Parallel()
	for _, tt := range restoreFixtures {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rig := fixtureRig(t, tt.name)
			const suffix = ".list-current-files.txt"
			recorded, err := filepath.Glob(fixture(filepath.Join(tt.name, "expected", "*"+suffix)))
			if err != nil || len(recorded) == 0 {
				t.Fatalf("nothing recorded: %v", err)
			}
			for _, file := range recorded {
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				_, want, _ := strings.Cut(string(text), "Last full backup date: ")
				_, want, _ = strings.Cut(want, "\n")
				stamp := strings.TrimSuffix(filepath.Base(file), suffix)
				got, err := listing(rig.archive.Ls(t.Context(), stampOf(t, stamp), nil))
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s (-duplicity +isotherm)\n%s", stamp, diff)
				}
			}
		})
	}
}

func TestLsPaths(t *testing.T) {
	t.Parallel()
	a := fixtureRig(t, "plain-gz").archive
	paths := func(ask ...string) ([]string, error) {
		var got []string
		for e, err := range a.Ls(t.Context(), time.Time{}, ask) {
			if err != nil {
				return got, err
			}
			got = append(got, e.Path)
		}
		return got, nil
	}
	all, err := paths()
	if err != nil {
		t.Fatal(err)
	}
	below := slices.DeleteFunc(slices.Clone(all), func(p string) bool { return p != "links" && !strings.HasPrefix(p, "links/") })
	for _, tt := range []struct {
		ask, want []string
	}{
		{[]string{"."}, all},
		{[]string{"/"}, all},
		{[]string{"links"}, below},
		{[]string{"./links/"}, below},
		{[]string{"links/hard1", "/links", "big.bin"}, append([]string{"big.bin"}, below...)},
	} {
		got, err := paths(tt.ask...)
		if err != nil {
			t.Errorf("%q: %v", tt.ask, err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%q (-want +got)\n%s", tt.ask, diff)
		}
	}
	got, err := paths("big.bin", "HARD1", "nowhere")
	if diff := cmp.Diff([]string{"big.bin"}, got); diff != "" {
		t.Error(diff)
	}
	missing, ok := errors.AsType[*PathError](err)
	if !ok {
		t.Fatalf("error %v, want a *PathError", err)
	}
	want := []MissingPath{{Path: "HARD1", Near: []string{"links/hard1"}}, {Path: "nowhere"}}
	if diff := cmp.Diff(want, missing.Paths); diff != "" {
		t.Error(diff)
	}
	if want := `"HARD1" is not in the backup of 2024-01-03T00:00:00Z; is it "links/hard1"?`; !strings.Contains(err.Error(), want) {
		t.Errorf("error %q, want %q in it", err, want)
	}
}

func TestLsCancelled(t *testing.T) {
	t.Parallel()
	a := fixtureRig(t, "plain-gz").archive
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := listing(a.Ls(ctx, time.Time{}, nil)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}
