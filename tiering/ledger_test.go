package tiering

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/policy"
)

// sumEntries adds up what is written in a ledger.
func sumEntries(t *testing.T, l *Ledger) map[Key]Count {
	t.Helper()
	sums := make(map[Key]Count)
	for e, err := range l.Entries() {
		if err != nil {
			t.Fatal(err)
		}
		k := Key{e.Store, e.Request, e.Speed}
		sums[k] = sums[k].plus(e)
	}
	return sums
}

func TestLedgerCountsEveryRequest(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	r := newRig(t, hotCold(1, 1, policy.Abort), Options{StateDir: state})
	s := r.Store("hot0")
	for i := range 1001 {
		if i < 3 {
			if _, err := s.Put(t.Context(), volume(i), strings.NewReader("12345"), backends.PutOptions{}); err != nil {
				t.Fatal(err)
			}
		} else if err := os.WriteFile(filepath.Join(r.dir, "hot0", volume(i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range s.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
	}
	body, err := s.Get(t.Context(), volume(1), 1, 3)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, body); err != nil {
		t.Fatal(err)
	}
	if err := body.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Stat(t.Context(), volume(1)); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), volume(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Stat(t.Context(), volume(1)); err == nil {
		t.Fatal("Stat of a deleted file succeeds")
	}
	for _, speed := range []backends.Speed{backends.Bulk, backends.Expedited} {
		// There is no such file: refused by the store, but sent.
		if _, err := r.Thaw(t.Context(), "cold0", "no-such-file", backends.ThawRequest{Speed: speed}); err == nil {
			t.Fatal("Thaw of nothing succeeds")
		}
	}
	want := map[Key]Count{
		{"hot0", RequestPut, ""}:                   {Requests: 3, Up: 15},
		{"hot0", RequestList, ""}:                  {Requests: 2},
		{"hot0", RequestGet, ""}:                   {Requests: 1, Down: 3},
		{"hot0", RequestHead, ""}:                  {Requests: 2},
		{"hot0", RequestDelete, ""}:                {Requests: 1},
		{"cold0", RequestThaw, backends.Bulk}:      {Requests: 1},
		{"cold0", RequestThaw, backends.Expedited}: {Requests: 1},
	}
	if diff := cmp.Diff(want, r.Ledger().Counts()); diff != "" {
		t.Errorf("counted (-want +got):\n%s", diff)
	}
	again := r.reopen(t, Options{StateDir: state})
	if diff := cmp.Diff(want, sumEntries(t, again.Ledger())); diff != "" {
		t.Errorf("written down (-want +got):\n%s", diff)
	}
}

const ledgerChild = "ISOTHERM_TEST_LEDGER"

// TestLedgerOfKilledProcesses lets several processes write one ledger at once, and
// kills them: all that they said they had sent is there, and no line is torn.
func TestLedgerOfKilledProcesses(t *testing.T) {
	if dir := os.Getenv(ledgerChild); dir != "" {
		writeLedger(dir)
		return
	}
	t.Parallel()
	dir := t.TempDir()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const children, puts = 3, 400
	outs := make([]io.ReadCloser, children)
	cmds := make([]*exec.Cmd, children)
	for i := range children {
		cmd := exec.CommandContext(t.Context(), exe, "-test.run=^TestLedgerOfKilledProcesses$")
		cmd.Env = append(os.Environ(), ledgerChild+"="+dir)
		cmds[i] = cmd
		if outs[i], err = cmd.StdoutPipe(); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
	}
	for i, cmd := range cmds {
		if _, err := io.ReadFull(outs[i], make([]byte, puts)); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); !errors.As(err, new(*exec.ExitError)) {
			t.Fatalf("child: %v", err)
		}
	}
	ledger, err := openLedger(dir, backends.RealClock{}.Now)
	if err != nil {
		t.Fatal(err)
	}
	got := sumEntries(t, ledger)[Key{"s", RequestPut, ""}]
	if got.Requests < children*puts || got.Up != got.Requests*7 {
		t.Errorf("ledger has %+v, want at least %d puts of 7 bytes", got, children*puts)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files are %v, %v", files, err)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if lines := int64(strings.Count(string(data), "\n")); lines != got.Requests {
		t.Errorf("%d lines, %d of them can be read", lines, got.Requests)
	}
}

// writeLedger writes entries for ever, and says so after each.
func writeLedger(dir string) {
	ledger, err := openLedger(dir, backends.RealClock{}.Now)
	if err != nil {
		panic(err)
	}
	for {
		if err := ledger.add(Entry{Store: "s", Request: RequestPut, Requests: 1, Up: 7}); err != nil {
			panic(err)
		}
		if _, err := os.Stdout.WriteString("."); err != nil {
			return
		}
	}
}

func TestLedgerSkipsATornLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ledger, err := openLedger(dir, backends.RealClock{}.Now)
	if err != nil {
		t.Fatal(err)
	}
	if err := ledger.add(Entry{Store: "s", Request: RequestGet, Requests: 1}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "2020-01.jsonl"), []byte(`{"time":"2020-01-01T00:00:00Z","store":"s","request":"get","n":1}`+"\n"+`{"time":"2020-01-0`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := sumEntries(t, ledger)[Key{"s", RequestGet, ""}]; got.Requests != 2 {
		t.Errorf("ledger has %+v", got)
	}
	if err := ledger.close(); err != nil {
		t.Fatal(err)
	}
}
