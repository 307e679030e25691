package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/file"
	"github.com/isotherm-backup/isotherm/tiering"
)

// importChild, in the environment, makes the test binary import the archive
// SOURCE onto the place in that directory, slowly, and say each file's name.
const (
	importChild  = "ISOTHERM_TEST_IMPORT"
	importSource = "ISOTHERM_TEST_SOURCE"
)

func runImportChild(dir string) int {
	p := newPlace(filepath.Join(dir, "place"))
	ctx := context.Background()
	tiers, err := tiering.Open(ctx, p.policy, p.openStore, tiering.Options{StateDir: filepath.Join(dir, "state")})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	src, err := file.New(os.Getenv(importSource), file.Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	report, err := Import(ctx, tiers, []Source{{"source", slowSource{src}}}, ImportOptions{Parallel: 2, Hashes: hashes})
	if err != nil || !report.Complete() {
		fmt.Fprintln(os.Stderr, report, err)
		return 1
	}
	return 0
}

// slowSource says on standard output how reading goes on, so that whoever
// reads that decides when to kill.
type slowSource struct{ backends.Store }

func (s slowSource) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	body, err := s.Store.Get(ctx, name, offset, length)
	return slowBody{body}, err
}

type slowBody struct{ io.ReadCloser }

func (b slowBody) Read(p []byte) (int, error) {
	fmt.Println("step")
	return b.ReadCloser.Read(p[:min(len(p), 8<<10)])
}

// TestImportKilled kills the import after ever more steps, until one gets to
// its end.
func TestImportKilled(t *testing.T) {
	t.Parallel()
	src, err := filepath.Abs(filepath.Join(fixtures, "plain-gz/archive"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	kills := 0
	for finished := false; !finished; kills++ {
		finished = importUntil(t, dir, src, 3+kills*kills*2)
	}
	if kills < 5 {
		t.Errorf("only %d runs", kills)
	}
	p := newPlace(filepath.Join(dir, "place"))
	want := contents(t, src)
	got := contents(t, filepath.Join(p.dir, "hot0"), filepath.Join(p.dir, "cold0"), filepath.Join(p.dir, "cold1"))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("on the tiers (-want +got):\n%.2000s", diff)
	}
	if diff := cmp.Diff(contents(t, filepath.Join(p.dir, "hot0")), contents(t, filepath.Join(p.dir, "hot1"))); diff != "" {
		t.Errorf("mirror differs:\n%.2000s", diff)
	}
	tiers := p.open(t, tiering.Options{StateDir: filepath.Join(dir, "state")})
	report, err := Import(t.Context(), tiers, []Source{source(t, src)}, ImportOptions{Hashes: hashes})
	if err != nil || report.Files != 0 || tiers.Ledger().Total(tiering.RequestPut).Requests != 0 {
		t.Errorf("one more Import: %+v, %v", report, err)
	}
	puts := int64(0)
	for e, err := range tiers.Ledger().Entries() {
		if err != nil {
			t.Fatal(err)
		}
		if e.Request == tiering.RequestPut {
			puts += e.Requests
		}
	}
	// 6 files for the mirror and 4 for the stripe are 16 puts. Each run has put
	// at most two more when it was killed, and announced itself twice.
	if most := int64(16 + kills*(2*2+2)); puts < 16 || puts > most {
		t.Errorf("%d puts in %d runs, want 16 to %d", puts, kills, most)
	}
}

// importUntil runs the child until it has said so many steps, and kills it; true
// when it came to its end before.
func importUntil(t *testing.T, dir, src string, steps int) bool {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), importChild+"="+dir, importSource+"="+src)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	word := make([]byte, len("step\n"))
	for range steps {
		if _, err := io.ReadFull(out, word); err != nil {
			break
		}
	}
	if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	err = cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() {
		t.Fatalf("child: %v", err)
	}
	return err == nil
}
