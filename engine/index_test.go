//go:build linux

package engine

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/engine/index"
	"github.com/isotherm-backup/isotherm/engine/pathindex"
	"github.com/isotherm-backup/isotherm/internal/dupname"
	"github.com/isotherm-backup/isotherm/internal/duptest"
)

// TestIndexes makes one chain with real duplicity, of which each test has a copy.
func TestIndexes(t *testing.T) {
	t.Parallel()
	c := newIndexedChain(t)
	for name, test := range map[string]func(*testing.T, *indexedChain){
		"restore": indexRestores, "without": indexWithout, "wrong content": indexFindsWrongContent, "bad index": indexIsBad,
		"links carried on": indexLinksCarriedOn, "seen": indexIsSeen,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, c.copy(t))
		})
	}
	t.Run("verify", func(t *testing.T) { indexVerifies(t, c.copy(t)) }) // changes the source
}

// TestIndexesOfBackups is the same for sets that Isotherm wrote.
func TestIndexesOfBackups(t *testing.T) {
	t.Parallel()
	var rig *restoreRig
	c := makeIndexedChain(t, func(c *indexedChain, _ int, at time.Time) {
		if rig == nil {
			if err := os.Mkdir(c.dir, 0o700); err != nil {
				t.Fatal(err)
			}
			rig = newRestoreRig(t, rigOptions{dirs: []string{c.dir}})
		}
		_, err := rig.archive.Backup(t.Context(), BackupOptions{Source: c.source, At: at, VolumeSize: 1 << 20, AllowMismatch: true}, nil)
		if err != nil {
			t.Fatal(err)
		}
	})
	indexRestores(t, c)
	indexIsSeen(t, c.copy(t))
	indexVerifies(t, c)
}

// With indexes a restore brings back the tree of each time with all that duplicity's
// format has no place for; real duplicity passes over the indexes, and
// restores what it always did.
func indexRestores(t *testing.T, c *indexedChain) {
	rig, warned := c.rig(t)
	for i, at := range c.times {
		dest := filepath.Join(t.TempDir(), "dest")
		report := rig.mustRestore(t, at, dest, RestoreOptions{NumericOwner: true})
		if report.AttributesRefused > 0 {
			t.Errorf("refused: %v", report.Refusal)
		}
		if d := compareFacts(c.facts[i], factsBelow(t, dest)); d != "" {
			t.Errorf("set %d:\n%s", i, d)
		}
		theirs := filepath.Join(t.TempDir(), "theirs")
		c.sandbox.Restore("file://"+c.dir, theirs, at)
		if d := duptest.Diff(duptest.Listing(t, theirs), duptest.Listing(t, dest)); d != "" {
			t.Errorf("set %d: -duplicity +isotherm\n%s", i, d)
		}
	}
	if w := warned.String(); w != "" {
		t.Errorf("warned of: %s", w)
	}
	status := c.sandbox.CollectionStatus("file://" + c.dir)
	if !strings.Contains(status, "No orphaned or incomplete backup sets found.") {
		t.Errorf("duplicity's collection-status is not clean:\n%s", status)
	}
	c.sandbox.Verify("file://"+c.dir, c.source, time.Time{})
}

// Without the indexes, and without attributes, everything else is the same.
func indexWithout(t *testing.T, c *indexedChain) {
	rig, _ := c.rig(t)
	plain := func(m map[string]facts, without func(*facts)) map[string]facts {
		out := make(map[string]facts)
		for p, f := range m {
			f.Xattrs = nil
			if without != nil {
				without(&f)
			}
			out[p] = f
		}
		return out
	}
	last := len(c.times) - 1
	dest := filepath.Join(t.TempDir(), "dest")
	rig.mustRestore(t, c.times[last], dest, RestoreOptions{NumericOwner: true, NoXattrs: true})
	got := factsBelow(t, dest)
	if d := compareFacts(plain(c.facts[last], nil), got); d != "" {
		t.Errorf("without attributes:\n%s", d)
	}
	for set := range c.times {
		if err := os.Remove(filepath.Join(c.dir, c.name(set, dupname.Other))); err != nil {
			t.Fatal(err)
		}
	}
	if err := rig.archive.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	dest = filepath.Join(t.TempDir(), "dest")
	rig.mustRestore(t, c.times[last], dest, RestoreOptions{NumericOwner: true})
	coarse := func(f *facts) { f.Nanos, f.Holes, f.Link = f.Nanos/1e9, nil, "" }
	if d := compareFacts(plain(c.facts[last], coarse), plain(factsBelow(t, dest), coarse)); d != "" {
		t.Errorf("without indexes:\n%s", d)
	}
	for _, p := range []string{"a/linked", "m", "symlink"} {
		if info, err := os.Lstat(filepath.Join(dest, p)); err != nil || info.ModTime().Nanosecond() != 0 {
			t.Errorf("%s: %v, %v; where are the nanoseconds from?", p, info, err)
		}
	}
}

// A content that is not what was backed up is an error of its path, and is no name of
// a file that is; what else there is is restored.
func indexFindsWrongContent(t *testing.T, made *indexedChain) {
	for _, wrong := range []string{"a/large", "z/linked", "new", "m"} {
		t.Run(filepath.Base(wrong), func(t *testing.T) {
			t.Parallel()
			c := made.copy(t)
			for set := range c.times {
				c.writeIndex(t, set, func(e *pathindex.Entry) {
					if e.Path == wrong {
						e.Sum[3] ^= 1
					}
				})
			}
			rig, _ := c.rig(t)
			dest := filepath.Join(t.TempDir(), "dest")
			last := len(c.times) - 1
			report, err := rig.restore(t.Context(), c.times[last], dest, RestoreOptions{NumericOwner: true})
			if err != nil {
				t.Fatal(err)
			}
			if report.FailedCount != 1 || report.Failed[0].Path != wrong || !errors.Is(report.Failed[0], backends.ErrCorrupt) ||
				!strings.Contains(report.Failed[0].Error(), "not what was backed up") {
				t.Fatalf("failed: %v", report.Failed)
			}
			want, got := c.facts[last], factsBelow(t, dest)
			delete(want, wrong)
			if wrong == "a/large" { // z/large is alone then
				f := want["z/large"]
				f.Link = ""
				want["z/large"] = f
			}
			if got[wrong].Link != "" {
				t.Errorf("%s is a name of %s", wrong, got[wrong].Link)
			}
			delete(got, wrong)
			if d := compareFacts(want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// An index that belongs to other signatures, or is not whole, is warned of and
// passed over; of one that contradicts its signatures nothing is believed that does.
func indexIsBad(t *testing.T, made *indexedChain) {
	for name, spoil := range map[string]func(t *testing.T, c *indexedChain){
		"of another set": func(t *testing.T, c *indexedChain) {
			other, err := os.ReadFile(filepath.Join(c.dir, c.name(1, dupname.Other)))
			if err == nil {
				err = os.WriteFile(filepath.Join(c.dir, c.name(2, dupname.Other)), other, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		},
		"cut off": func(t *testing.T, c *indexedChain) {
			damageFile(t, c.dir, c.name(2, dupname.Other), func(b []byte) []byte { return b[:len(b)-20] })
		},
		"damaged": func(t *testing.T, c *indexedChain) {
			damageFile(t, c.dir, c.name(2, dupname.Other), func(b []byte) []byte { b[len(b)/2] ^= 4; return b })
		},
		"contradicts": func(t *testing.T, c *indexedChain) {
			c.writeIndex(t, 2, func(e *pathindex.Entry) {
				if e.Type != index.Deleted {
					e.ModTime++
					e.ModNanos += 1e9
				}
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := made.copy(t)
			spoil(t, c)
			rig, warned := c.rig(t)
			dest := filepath.Join(t.TempDir(), "dest")
			rig.mustRestore(t, c.times[2], dest, RestoreOptions{NumericOwner: true})
			if w := warned.String(); !strings.Contains(w, c.name(2, dupname.Other)) {
				t.Errorf("warned of %q", w)
			}
			// What the other sets have is not touched by it.
			want, got := c.facts[2], factsBelow(t, dest)
			for p := range want {
				if want[p].Nanos != c.facts[1][p].Nanos { // of set 2
					f, g := want[p], got[p]
					f.Nanos, f.Xattrs, g.Nanos = f.Nanos/1e9, nil, g.Nanos/1e9
					if len(g.Xattrs) > 0 {
						t.Errorf("%q has attributes", p)
					}
					want[p], got[p] = f, g
				}
			}
			if d := compareFacts(want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// A restore of some paths, in parts and carried on, makes names of one file of those
// that it restores.
func indexLinksCarriedOn(t *testing.T, c *indexedChain) {
	rig, _ := c.rig(t)
	at := c.times[len(c.times)-1]
	paths := []string{"a/large", "z/large", "z/linked", "z/empty"}
	dest := filepath.Join(t.TempDir(), "dest")
	p, err := rig.plan(t.Context(), at, paths...)
	if err != nil {
		t.Fatal(err)
	}
	names := p.Thaw.Files.Names
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	for n := 1; ; n++ {
		if n > len(names) {
			t.Fatal("it never ends")
		}
		// Each time one volume more.
		report, err := rig.restore(t.Context(), at, dest, RestoreOptions{
			NumericOwner: true, Arrivals: arrived{names: names[:n]}, interval: time.Millisecond,
		}, paths...)
		if report.FailedCount > 0 {
			t.Fatalf("failed: %v", report.Failed)
		}
		if err == nil {
			break
		}
		if !errors.Is(err, backends.ErrFrozen) {
			t.Fatal(err)
		}
	}
	want := make(map[string]facts)
	for _, path := range append(paths, ".", "a", "z") {
		want[path] = c.facts[len(c.facts)-1][path]
	}
	for _, alone := range []string{"z/linked", "z/empty"} {
		f := want[alone]
		f.Link = ""
		want[alone] = f
	}
	got := factsBelow(t, dest)
	delete(want, ".") // restored only with everything below it
	delete(got, ".")
	if d := compareFacts(want, got); d != "" {
		t.Error(d)
	}
}

// Verify compares nanoseconds and attributes with what indexes have.
func indexVerifies(t *testing.T, c *indexedChain) {
	rig, _ := c.rig(t)
	verify := func(opts VerifyOptions) map[string]string {
		t.Helper()
		p, err := rig.plan(t.Context(), time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		opts.NumericOwner = true
		report, err := rig.archive.VerifyAgainst(t.Context(), p, c.source, opts)
		if err != nil || report.FailedCount > 0 {
			t.Fatalf("%v, %+v", err, report)
		}
		found := make(map[string]string)
		for _, d := range report.Differences {
			found[d.Path] += d.What + "; "
		}
		return found
	}
	if found := verify(VerifyOptions{}); len(found) > 0 {
		t.Errorf("found %v", found)
	}
	nanos := c.facts[2]["new"].Nanos
	later := []unix.Timespec{unix.NsecToTimespec(nanos + 1), unix.NsecToTimespec(nanos + 1)}
	for _, err := range []error{
		unix.UtimesNanoAt(unix.AT_FDCWD, c.in("new"), later, 0),
		unix.Removexattr(c.in("m"), "user.more"), unix.Setxattr(c.in("m"), "user.odd\xff", []byte("third"), 0),
		unix.Setxattr(c.in("z/closed"), "user.extra", nil, 0),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	found := verify(VerifyOptions{})
	for path, what := range map[string]string{
		"m": "attribute user.more missing; attribute user.odd\xff; ", "z/closed": "attribute user.extra, not in the backup; ",
	} {
		if found[path] != what {
			t.Errorf("%s: found %q, want %q", path, found[path], what)
		}
	}
	if !strings.HasPrefix(found["new"], "time 20") || len(found) != 3 {
		t.Errorf("found %q", found)
	}
	if found := verify(VerifyOptions{NoXattrs: true}); len(found) != 1 {
		t.Errorf("without attributes found %v", found)
	}
}

// Status names indexes, checks of listings read both copies of one, and a listing has sizes and
// nanoseconds.
func indexIsSeen(t *testing.T, c *indexedChain) {
	second := copyArchive(t, c.dir)
	damageFile(t, second, c.name(1, dupname.Other), func(b []byte) []byte { b[len(b)/2] ^= 4; return b })
	rig := newRestoreRig(t, rigOptions{dirs: []string{c.dir, second}})
	st, err := rig.archive.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range st.Chains[0].Sets {
		if s.Index != c.name(i, dupname.Other) {
			t.Errorf("set %d has index %q", i, s.Index)
		}
	}
	hot, err := rig.archive.VerifyHot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if hot.ProblemCount != 1 || hot.Problems[0].Name != c.name(1, dupname.Other) || !strings.Contains(hot.Problems[0].What, "hot1 cannot be decoded") {
		t.Errorf("problems %v", hot.Problems)
	}
	files := 0
	for e, err := range rig.archive.Ls(t.Context(), time.Time{}, nil) {
		if err != nil {
			t.Fatal(err)
		}
		path := e.Path
		if path == "" {
			path = "."
		}
		want := c.facts[2][path]
		if e.ModTime().UnixNano() != want.Nanos {
			t.Errorf("%q: time %v", path, e.ModTime())
		}
		if e.Type != index.Regular {
			continue
		}
		files++
		if e.Exact.Size != want.Size || e.Exact.Sum != want.Sum {
			t.Errorf("%q: size %d, sum %x", path, e.Exact.Size, e.Exact.Sum)
		}
	}
	if files < 10 {
		t.Errorf("%d files", files)
	}
}
