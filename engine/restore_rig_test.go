package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/faulty"
	"github.com/isotherm-backup/isotherm/backends/file"
	"github.com/isotherm-backup/isotherm/engine/index"
	"github.com/isotherm-backup/isotherm/engine/pgp"
	"github.com/isotherm-backup/isotherm/internal/dupname"
	"github.com/isotherm-backup/isotherm/policy"
	"github.com/isotherm-backup/isotherm/tiering"
)

// A restoreRig is an archive on stores that are directories, each of which can
// be made to fail.
type restoreRig struct {
	archive *Archive
	stores  []*faulty.Store
	state   string
}

// rigOptions describe an archive: its stores' directories, and how it was made.
type rigOptions struct {
	dirs     []string
	prefixes dupname.Prefixes
	keys     *pgp.Keyring
}

func newRestoreRig(t testing.TB, opts rigOptions) *restoreRig {
	t.Helper()
	rig, err := openRestoreRig(t.Context(), t.TempDir(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := rig.archive.tiers.Close(); err != nil {
			t.Error(err)
		}
	})
	return rig
}

func openRestoreRig(ctx context.Context, state string, opts rigOptions) (*restoreRig, error) {
	p := &policy.Policy{Version: 1, Archive: "test", Prefixes: opts.prefixes}
	tier := policy.Tier{Name: "hot", Mode: policy.Mirror}
	rig := &restoreRig{state: state}
	stores := make(map[string]*faulty.Store)
	for i, dir := range opts.dirs {
		name := fmt.Sprintf("hot%d", i)
		inner, err := file.New(dir, file.Options{})
		if err != nil {
			return nil, err
		}
		stores[name] = faulty.New(inner)
		rig.stores = append(rig.stores, stores[name])
		p.Stores = append(p.Stores, policy.Store{Name: name, URL: "file://" + dir, Weight: 1})
		tier.Stores = append(tier.Stores, name)
	}
	p.Tiers = []policy.Tier{tier}
	p.Routes = []policy.Route{{Tiers: []string{"hot"}}}
	open := func(_ context.Context, s policy.Store) (backends.Store, error) { return stores[s.Name], nil }
	tiers, err := tiering.Open(ctx, p, open, tiering.Options{})
	if err != nil {
		return nil, err
	}
	rig.archive, err = Open(ctx, Options{Tiers: tiers, StateDir: state, Keys: opts.keys})
	if err != nil {
		return nil, err
	}
	return rig, rig.archive.Sync(ctx)
}

// plan plans a restore that can be carried out.
func (r *restoreRig) plan(ctx context.Context, at time.Time, paths ...string) (*RestorePlan, error) {
	return r.archive.Plan(ctx, PlanOptions{At: at, Paths: paths, Spool: r.state})
}

// restore plans and restores.
func (r *restoreRig) restore(ctx context.Context, at time.Time, dest string, opts RestoreOptions, paths ...string) (*RestoreReport, error) {
	p, err := r.plan(ctx, at, paths...)
	if err != nil {
		return &RestoreReport{}, err
	}
	defer p.Close()
	return r.archive.Restore(ctx, p, dest, opts)
}

// mustRestore restores what must come back whole.
func (r *restoreRig) mustRestore(t testing.TB, at time.Time, dest string, opts RestoreOptions, paths ...string) *RestoreReport {
	t.Helper()
	report, err := r.restore(t.Context(), at, dest, opts, paths...)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range report.Failed {
		t.Error(f)
	}
	if _, err := os.Lstat(filepath.Join(dest, stagingName)); err == nil {
		t.Error("staging was left behind")
	}
	return report
}

// listed is a path as the fixtures' expected listings have it.
type listed struct {
	Path      string `json:"-"`
	Path64    []byte `json:"path_b64"`
	Type      string `json:"type"`
	UID       int    `json:"uid"`
	GID       int    `json:"gid"`
	Mode      string `json:"mode"`
	ModTime   int64  `json:"mtime"`
	Size      int64  `json:"size"`
	SHA256    string `json:"sha256"`
	Target64  []byte `json:"target_b64"`
	Rdev      []int  `json:"rdev"`
	SymlinkAt int64  `json:"-"`
}

// listTree lists a directory in the archive's order.
func listTree(t testing.TB, root string) []listed {
	t.Helper()
	var list []listed
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		l, err := describe(root, path)
		list = append(list, l)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sorted(list)
}

func sorted(list []listed) []listed {
	slices.SortFunc(list, func(a, b listed) int { return index.Compare(a.Path, b.Path) })
	return list
}

func describe(root, path string) (listed, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return listed{}, err
	}
	sys := info.Sys().(*syscall.Stat_t)
	l := listed{
		UID: int(sys.Uid), GID: int(sys.Gid),
		Mode: fmt.Sprintf("%04o", sys.Mode&0o7777), ModTime: info.ModTime().Unix(),
	}
	if path != root {
		l.Path = strings.TrimPrefix(path, root+"/")
	}
	switch info.Mode().Type() {
	case fs.ModeDir:
		l.Type = "dir"
	case fs.ModeSymlink:
		l.Type, l.Mode, l.ModTime, l.SymlinkAt = "symlink", "", 0, l.ModTime
		target, err := os.Readlink(path)
		l.Target64 = []byte(target)
		return l, err
	case fs.ModeNamedPipe:
		l.Type = "fifo"
	case fs.ModeDevice, fs.ModeDevice | fs.ModeCharDevice:
		l.Type = "blk"
		if info.Mode()&fs.ModeCharDevice != 0 {
			l.Type = "chr"
		}
		l.Rdev = []int{int(unix.Major(sys.Rdev)), int(unix.Minor(sys.Rdev))}
	default:
		l.Type, l.Size = "file", info.Size()
		data, err := os.ReadFile(path)
		sum := sha256.Sum256(data)
		l.SHA256 = hex.EncodeToString(sum[:])
		return l, err
	}
	return l, nil
}

// expected reads an expected listing of a fixture.
func expected(t testing.TB, path string) []listed {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var list []listed
	if err := json.Unmarshal(data, &list); err != nil {
		t.Fatal(err)
	}
	for i := range list {
		l := &list[i]
		l.Path = string(l.Path64)
		if l.Path == "." {
			l.Path = ""
		}
		l.Path64 = nil
	}
	return sorted(list)
}

// diffTrees compares listings. Times of links are not compared: duplicity does
// not restore them.
func diffTrees(want, got []listed) string {
	for _, list := range [][]listed{want, got} {
		for i := range list {
			list[i].SymlinkAt = 0
		}
	}
	return cmp.Diff(want, got)
}

// fixture returns the directory of a fixture.
func fixture(name string) string { return filepath.Join("..", "testdata", "duplicity", name) }

// copyArchive copies the files of a directory, so that a test may damage them.
func copyArchive(t testing.TB, from string) string {
	t.Helper()
	to := t.TempDir()
	names, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		data, err := os.ReadFile(filepath.Join(from, n.Name()))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, n.Name()), data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// damage changes a file of an archive.
func damageFile(t testing.TB, dir, name string, change func([]byte) []byte) {
	t.Helper()
	path := filepath.Join(dir, name)
	data, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, change(bytes.Clone(data)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// stampOf parses the time in a fixture's names.
func stampOf(t testing.TB, name string) time.Time {
	t.Helper()
	at, err := time.Parse("20060102T150405Z", name)
	if err != nil {
		t.Fatal(err)
	}
	return at
}
