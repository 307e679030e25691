package need_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isotherm-backup/isotherm/engine/catalog"
	"github.com/isotherm-backup/isotherm/engine/chain"
	"github.com/isotherm-backup/isotherm/engine/difftar"
	"github.com/isotherm-backup/isotherm/engine/index"
	"github.com/isotherm-backup/isotherm/engine/manifest"
	"github.com/isotherm-backup/isotherm/engine/need"
	"github.com/isotherm-backup/isotherm/internal/dupname"
)

const (
	increments = 20
	epoch      = 1_704_067_200
	dayLength  = 86_400
)

// backups is a chain made by real duplicity from a tree that changes every day.
type backups struct {
	src, store, cache string
	rnd               *rand.ChaCha8
	r                 *rand.Rand
	states            []map[string]string // content of regular files, by day
}

func (b *backups) duplicity(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("duplicity", append(args, "--no-encryption", "--archive-dir", b.cache, "--volsize", "1", "--allow-source-mismatch")...)
	cmd.Env = append(os.Environ(), "TZ=UTC", "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("duplicity %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// write gives a file random content, and the day as its time.
func (b *backups) write(t *testing.T, day int, path string, size int) {
	t.Helper()
	content := make([]byte, size)
	if _, err := b.rnd.Read(content); err != nil {
		t.Fatal(err)
	}
	b.put(t, day, path, content)
}

func (b *backups) put(t *testing.T, day int, path string, content []byte) {
	t.Helper()
	full := filepath.Join(b.src, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, content, 0o644); err != nil {
		t.Fatal(err)
	}
	b.touch(t, day, path)
}

func (b *backups) touch(t *testing.T, day int, path string) {
	t.Helper()
	at := time.Unix(epoch+int64(day)*dayLength-3600, 0)
	if err := os.Chtimes(filepath.Join(b.src, path), at, at); err != nil {
		t.Fatal(err)
	}
}

// patch overwrites some bytes of a file.
func (b *backups) patch(t *testing.T, day int, path string) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(b.src, path))
	if err != nil {
		t.Fatal(err)
	}
	n := copy(content[b.r.IntN(len(content)):], fmt.Sprintf("changed on day %d %d", day, b.r.Uint64()))
	b.put(t, day, path, append(content, make([]byte, n)...))
}

// change makes one day's changes: those to docs are few, those beside it many.
func (b *backups) change(t *testing.T, day int) {
	t.Helper()
	b.write(t, day, fmt.Sprintf("archive/%02d.bin", day), 900<<10)
	b.write(t, day, "media/film.bin", 700<<10)
	b.write(t, day, fmt.Sprintf("zoo/%02d.bin", day), 600<<10)
	switch day % 5 {
	case 0: // nothing in docs
	case 1:
		b.patch(t, day, "docs/report.txt")
	case 2: // times alone
		b.touch(t, day, "docs/report.txt")
		b.touch(t, day, "docs/scans/big.bin")
	case 3:
		b.write(t, day, fmt.Sprintf("docs/notes/%02d.txt", day), 3000)
		if err := os.Remove(filepath.Join(b.src, "docs/notes/start.txt")); err != nil && day == 3 {
			t.Fatal(err)
		}
	case 4:
		if day == 9 {
			b.write(t, day, "docs/scans/big.bin", 1500<<10)
		} else {
			b.write(t, day, fmt.Sprintf("docs/later/%02d.bin", day), 200<<10)
		}
	}
}

func (b *backups) backup(t *testing.T, day int) {
	t.Helper()
	verb := "incremental"
	if day == 0 {
		verb = "full"
	}
	b.duplicity(t, verb, "--current-time", strconv.Itoa(epoch+day*dayLength), b.src, "file://"+b.store)
	state := map[string]string{}
	err := filepath.Walk(b.src, func(full string, info os.FileInfo, err error) error {
		if err != nil || !info.Mode().IsRegular() {
			return err
		}
		content, err := os.ReadFile(full)
		path, _ := filepath.Rel(b.src, full)
		state[path] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	b.states = append(b.states, state)
}

func makeBackups(t *testing.T) *backups {
	t.Helper()
	rnd := rand.NewChaCha8([32]byte{7})
	b := &backups{src: t.TempDir(), store: t.TempDir(), cache: t.TempDir(), rnd: rnd, r: rand.New(rnd)}
	b.write(t, 0, "archive/first.bin", 2500<<10)
	b.write(t, 0, "docs/report.txt", 40_000)
	b.write(t, 0, "docs/notes/start.txt", 100)
	b.put(t, 0, "docs/notes/empty.txt", nil)
	b.write(t, 0, "docs/scans/big.bin", 2200<<10)
	b.write(t, 0, "media/film.bin", 700<<10)
	b.write(t, 0, "zoo/first.bin", 1200<<10)
	if err := os.Symlink("report.txt", filepath.Join(b.src, "docs/link")); err != nil {
		t.Fatal(err)
	}
	b.backup(t, 0)
	for day := 1; day <= increments; day++ {
		b.change(t, day)
		b.backup(t, day)
	}
	return b
}

// list returns the files of the store and the chain in them.
func (b *backups) list(t *testing.T) ([]string, *chain.Chain) {
	t.Helper()
	dir, err := os.ReadDir(b.store)
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, len(dir))
	for i, e := range dir {
		names[i] = e.Name()
	}
	c, err := chain.Collect(slices.All(names), dupname.Prefixes{})
	if err != nil || len(c.Chains) != 1 || len(c.Active.Sets) != increments+1 {
		t.Fatalf("collect: %v, %+v", err, c)
	}
	return names, c.Active
}

func (b *backups) open(t *testing.T, name string) io.Reader {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(b.store, name))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(name, ".gz") {
		return bytes.NewReader(content)
	}
	r, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (b *backups) inputs(t *testing.T, names []string, sets []*chain.Set) []need.Input {
	t.Helper()
	inputs := make([]need.Input, len(sets))
	for i, s := range sets {
		var cat bytes.Buffer
		if err := catalog.Build(catalog.NewWriter(&cat), b.open(t, names[s.Signature])); err != nil {
			t.Fatal(err)
		}
		m, err := manifest.Read(b.open(t, names[s.Manifest]))
		if err != nil {
			t.Fatal(err)
		}
		v := &need.Volumes{}
		for _, m := range m.Volumes {
			if err := v.Add(m.Number, m.Start.Path, m.End.Path); err != nil {
				t.Fatal(err)
			}
		}
		inputs[i] = need.Input{Catalog: catalog.NewReader(&cat), Volumes: v}
	}
	return inputs
}

// minimum reads every volume, and returns those that hold what the state of a
// day cannot do without: of each file its last snapshot, and every later delta
// that changed the content.
func (b *backups) minimum(t *testing.T, names []string, sets []*chain.Set, dir string) map[need.Volume]bool {
	t.Helper()
	type version struct {
		set     int
		volumes map[need.Volume]bool
	}
	required := map[string][]version{}
	for i, s := range sets {
		for number, file := range s.Volumes() {
			r := difftar.NewReader(b.open(t, names[file]))
			for {
				m, err := r.Next()
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if !index.Contains(dir, m.Path) {
					continue
				}
				versions := required[m.Path]
				last := len(versions) - 1
				switch {
				case m.Action == difftar.Deleted || m.Type != index.Regular:
					delete(required, m.Path)
					continue
				case last >= 0 && versions[last].set == i:
				case m.Action == difftar.Snapshot:
					versions = nil
					fallthrough
				default:
					if m.Action == difftar.Diff && b.states[i][m.Path] == b.states[i-1][m.Path] {
						continue
					}
					versions = append(versions, version{i, map[need.Volume]bool{}})
					last = len(versions) - 1
				}
				versions[last].volumes[need.Volume{Set: int32(i), Number: int32(number)}] = true
				required[m.Path] = versions
			}
		}
	}
	min := map[need.Volume]bool{}
	for path, versions := range required {
		if b.states[len(sets)-1][path] == "" {
			continue
		}
		for _, v := range versions {
			for volume := range v.volumes {
				min[volume] = true
			}
		}
	}
	return min
}

// A directory is restored from a chain of 20 increments by reading no more than
// the provable minimum.
func TestMinimum(t *testing.T) {
	t.Parallel()
	b := makeBackups(t)
	names, ch := b.list(t)
	for _, tt := range []struct {
		dir string
		day int
	}{{"docs", increments}, {"docs", 8}, {"docs/scans", increments}, {"docs/report.txt", 15}, {"", increments}, {"docs", 0}} {
		sets := ch.Sets[:tt.day+1]
		s, err := need.Compute(t.Context(), b.inputs(t, names, sets), []string{tt.dir}, need.Options{})
		if err != nil {
			t.Fatal(err)
		}
		got := map[need.Volume]bool{}
		for _, v := range s.Volumes {
			got[v] = true
		}
		if diff := cmp.Diff(b.minimum(t, names, sets, tt.dir), got); diff != "" {
			t.Errorf("%q on day %d (-minimum +read)\n%s", tt.dir, tt.day, diff)
		}
		t.Logf("%q on day %d: %d volumes; duplicity reads %d, %.1f times as many",
			tt.dir, tt.day, len(s.Volumes), len(s.Compared), float64(len(s.Compared))/float64(len(s.Volumes)))
		b.compare(t, names, sets, tt.dir, tt.day, s.Compared)
	}
}

// compare asks duplicity which volumes it would read.
func (b *backups) compare(t *testing.T, names []string, sets []*chain.Set, dir string, day int, got []need.Volume) {
	t.Helper()
	args := []string{
		"restore", "--dry-run", "--time", strconv.Itoa(epoch + day*dayLength),
		"file://" + b.store, filepath.Join(t.TempDir(), "restored"),
	}
	if dir != "" {
		args = append(args, "--file-to-restore", dir)
	}
	_, list, ok := strings.Cut(b.duplicity(t, args...), "Required volumes to restore:\n")
	if !ok {
		t.Fatal("duplicity does not say what it would read")
	}
	var want, have []string
	for line := range strings.Lines(list) {
		if name, ok := strings.CutPrefix(line, "\t"); ok {
			want = append(want, strings.TrimSpace(name))
		}
	}
	for _, v := range got {
		have = append(have, names[sets[v.Set].File(int(v.Number))])
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("%q on day %d (-duplicity +compared)\n%s", dir, day, diff)
	}
}
