package engine

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/isotherm-backup/isotherm/backends/faulty"
	"github.com/isotherm-backup/isotherm/internal/duptest"
)

// restoreChain is a chain that real duplicity made, of volumes of 1 MiB: large
// files cut over many volumes, whole and as deltas, and small ones.
type restoreChain struct {
	dir     string
	sandbox *duptest.Sandbox
	times   []time.Time
}

func newRestoreChain(t *testing.T) *restoreChain {
	t.Helper()
	c := &restoreChain{dir: filepath.Join(t.TempDir(), "archive"), sandbox: duptest.New(t)}
	c.sandbox.Options = []string{"--no-encryption", "--volsize", "1"}
	source := t.TempDir()
	random := rand.New(rand.NewPCG(1, 2))
	write := func(name string, data []byte) {
		path := filepath.Join(source, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	noise := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		return b
	}
	large := noise(5 << 20)
	parts := noise(3 << 16) // a multiple of the size of parts
	for step, action := range []string{"full", "incremental", "incremental"} {
		write("large", large)
		write("parts", parts)
		write("sparse", append(make([]byte, 4<<20), byte(step)))
		for i := range 40 {
			if i%(step+1) == 0 {
				write(filepath.Join("small", strconv.Itoa(i%7), strconv.Itoa(i)), noise(i*977))
			}
		}
		at := time.Unix(1704067200+int64(step)*86400, 0)
		c.sandbox.Backup(action, source, "file://"+c.dir, at)
		c.times = append(c.times, at)
		// Most of the large file is new, which makes a delta of many volumes.
		copy(large[1<<20:], noise(3<<20))
		parts = append(parts, noise(1<<16)...)
	}
	return c
}

// check compares a tree with what real duplicity restores.
func (c *restoreChain) check(t *testing.T, dest string, at time.Time) {
	t.Helper()
	theirs := filepath.Join(t.TempDir(), "theirs")
	c.sandbox.Restore("file://"+c.dir, theirs, at)
	if d := duptest.Diff(duptest.Listing(t, theirs), duptest.Listing(t, dest)); d != "" {
		t.Errorf("at %v: -duplicity +isotherm\n%s", at, d)
	}
}

// Real duplicity and Isotherm restore the same tree of each time, whatever the
// order in which volumes arrive.
func TestRestoreEqualsDuplicity(t *testing.T) {
	t.Parallel()
	chain := newRestoreChain(t)
	rig := newRestoreRig(t, rigOptions{dirs: []string{chain.dir}})
	for _, at := range chain.times {
		var first []duptest.Entry
		for seed := range uint64(3) {
			dest := filepath.Join(t.TempDir(), "dest")
			p, err := rig.plan(t.Context(), at)
			if err != nil {
				t.Fatal(err)
			}
			names := append([]string(nil), p.Thaw.Files.Names...)
			rand.New(rand.NewPCG(seed, 0)).Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
			report, err := rig.archive.Restore(t.Context(), p, dest, RestoreOptions{
				Arrivals: arrived{names: names}, interval: time.Millisecond,
			})
			if err != nil || !report.Whole() {
				t.Fatalf("error %v, failed %v", err, report.Failed)
			}
			if err := p.Close(); err != nil {
				t.Error(err)
			}
			if seed == 0 {
				chain.check(t, dest, at)
				first = duptest.Listing(t, dest)
			} else if d := duptest.Diff(first, duptest.Listing(t, dest)); d != "" {
				t.Errorf("in another order at %v: %s", at, d)
			}
		}
	}
}

// A restore that is killed again and again, each time while it reads another
// volume, ends with the same tree as one that is not, and never begins anew.
func TestRestoreKilled(t *testing.T) {
	t.Parallel()
	chain := newRestoreChain(t)
	at := chain.times[len(chain.times)-1]
	dir := t.TempDir()
	dest, state := filepath.Join(dir, "dest"), filepath.Join(dir, "state")
	kills := 0
	for ; ; kills++ {
		cmd := helperCommand(t.Context(), chain.dir, dest, state, "", time.Millisecond)
		cmd.Env = append(cmd.Env, restoreHelper+"_KILL="+strconv.Itoa(1+kills%3))
		out, err := cmd.CombinedOutput()
		if err == nil {
			break
		}
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL || kills > 60 {
			t.Fatalf("after %d kills: %v\n%s", kills, err, out)
		}
	}
	if kills < 3 {
		t.Errorf("it was killed only %d times", kills)
	}
	chain.check(t, dest, at)
}

// killAt lets the process read n volumes, and kill itself when it has written
// down one of them: so each run gets on a little.
func killAt(rig *restoreRig, n int, journal string) {
	lines := func() int {
		data, _ := os.ReadFile(journal) // none is none
		return bytes.Count(data, []byte("\n"))
	}
	enough := max(lines(), 2) + 1 // the first run also writes header and skeleton
	rig.stores[0].Set(faulty.Rule{
		Op: faulty.Get, Names: "*difftar*", Skip: n,
		Fault: faulty.Do(func(ctx context.Context, _ string) error {
			for ; ctx.Err() == nil; time.Sleep(time.Millisecond) {
				if lines() >= enough {
					return syscall.Kill(os.Getpid(), syscall.SIGKILL)
				}
			}
			return ctx.Err()
		}),
	})
}
