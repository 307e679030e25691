package thaw

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/coldsim"
)

// childDir names the environment variable that turns the test's binary into a
// process that carries out a job.
const childDir = "ISOTHERM_THAW_TEST_DIR"

// killSim is a GLACIER in which bulk retrieval takes up to 4.3 s.
var killSim = coldsim.Options{Class: backends.Glacier, Speedup: 10000}

// child starts the job of the place in dir, or carries it on, and reads all
// files.
func child(dir string) int {
	if err := carryOn(context.Background(), dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func carryOn(ctx context.Context, dir string) error {
	p, err := openPlace(dir, killSim)
	if err != nil {
		return err
	}
	opts := Options{StateDir: filepath.Join(dir, "state")}
	j, err := Open(ctx, p, "", opts)
	if errors.Is(err, fs.ErrNotExist) {
		r, rerr := p.request(ctx)
		if rerr != nil {
			return rerr
		}
		r.Speed = backends.Bulk
		plan, perr := NewPlan(r)
		if perr != nil {
			return perr
		}
		j, err = Start(ctx, p, plan, opts)
	}
	if err != nil {
		return err
	}
	run, reading := drive(ctx, j, readAll(p, j))
	return errors.Join(run, reading)
}

// TestKilled kills a job at any moment, and carries it on, locally or from a
// machine that has only the hot tier, until it is done. Each file is retrieved
// once.
func TestKilled(t *testing.T) {
	t.Parallel()
	const files, kills = 60, 12
	dir := t.TempDir()
	p, err := openPlace(dir, killSim)
	if err != nil {
		t.Fatal(err)
	}
	for i := range files {
		if _, err := p.cold.Put(t.Context(), volumeName(i), strings.NewReader(content), backends.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	run := func(ctx context.Context) ([]byte, error) {
		cmd := exec.CommandContext(ctx, os.Args[0])
		cmd.Env = append(os.Environ(), childDir+"="+dir)
		return cmd.CombinedOutput()
	}
	random := rand.New(rand.NewPCG(1, 2))
	for n := range kills {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(20+random.IntN(400))*time.Millisecond)
		out, err := run(ctx)
		cancel()
		if err == nil {
			t.Logf("done after %d kills", n)
			break
		}
		if ctx.Err() == nil {
			t.Fatalf("the process failed by itself: %v: %s", err, out)
		}
		if n%4 == 3 { // another machine
			if err := os.RemoveAll(filepath.Join(dir, "state")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if out, err := run(t.Context()); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	all, err := List(t.Context(), p, Options{StateDir: filepath.Join(dir, "state")})
	if err != nil || len(all) == 0 || all[0].State != Finished || all[0].Done.Files != files {
		t.Errorf("jobs = %+v, %v; want one finished with %d files", all, err, files)
	}
	events, err := coldsim.Bill(filepath.Join(dir, "cold"))
	if err != nil {
		t.Fatal(err)
	}
	b := coldsim.Sum(events)
	if got := b.Thaws[backends.Bulk].Requests; got != files {
		t.Errorf("%d retrievals, want %d", got, files)
	}
}
