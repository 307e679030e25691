package tiering

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/faulty"
	"github.com/isotherm-backup/isotherm/policy"
)

// many is a body of several blocks.
var many = strings.Repeat("0123456789abcdef", 5*blockSize/16+7)

// putFaults are the ways in which a store fails a put: before it took all of
// the body, or after.
var putFaults = map[string]struct {
	fault faulty.Fault
	late  bool
}{
	"at once":         {faulty.Fail(nil), false},
	"no such bucket":  {faulty.Fail(backends.ErrNoStore), false},
	"in the body":     {faulty.Cut(blockSize+5, nil), false},
	"stalled at once": {faulty.Stall(0), false},
	"stalled in it":   {faulty.Stall(2*blockSize + 1), false},
	"reply lost":      {faulty.LoseReply(nil), true},
}

func put(ctx context.Context, r *rig, name, data string) error {
	_, err := r.Put(ctx, name, strings.NewReader(data), backends.PutOptions{})
	return err
}

const shortStall = 150 * time.Millisecond

func TestAbortLeavesTheOldVersion(t *testing.T) {
	t.Parallel()
	for name, tt := range putFaults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, hotCold(3, 0, policy.Abort), Options{StateDir: t.TempDir(), Stall: shortStall})
			r.mustPut(t, manifestName, "old")
			r.faults["hot1"].Set(faulty.Rule{Op: faulty.Put, Names: "duplicity*", Fault: tt.fault})
			for _, f := range []string{manifestName, signatureName} {
				err := put(t.Context(), r, f, many)
				if e, ok := errors.AsType[*StoreError](err); !ok || e.Store != "hot1" {
					t.Fatalf("Put(%s): %v, want an error of hot1", f, err)
				}
			}
			if got := r.on("hot0", signatureName) + r.on("hot2", signatureName); got != "--" {
				t.Errorf("a new file is left behind: %.20q", got)
			}
			if tt.late {
				// The others have committed: the record says which version is right.
				if d := r.Degraded(); len(d) == 0 || d[0].Name != manifestName {
					t.Errorf("records are %+v", d)
				}
				r.wantContent(t, manifestName, many)
				return
			}
			if d := r.Degraded(); len(d) != 0 {
				t.Errorf("records are %+v", d)
			}
			for _, s := range r.Stores() {
				if got := r.on(s, manifestName); got != "old" {
					t.Errorf("%s has %.20q, want the old version", s, got)
				}
			}
		})
	}
}

func TestContinueIsDegradedAndRepaired(t *testing.T) {
	t.Parallel()
	for name, tt := range putFaults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			state := t.TempDir()
			r := newRig(t, hotCold(3, 0, policy.Continue), Options{StateDir: state, Stall: shortStall})
			r.mustPut(t, manifestName, "old")
			r.faults["hot0"].Set(faulty.Rule{Op: faulty.Put, Fault: tt.fault})
			for _, f := range []string{manifestName, signatureName} {
				if err := put(t.Context(), r, f, many); err != nil {
					t.Fatalf("Put(%s): %v", f, err)
				}
				r.wantContent(t, f, many)
			}
			if d := r.Degraded(); len(d) != 2 || d[1].Name != manifestName || len(d[1].Good) != 2 {
				t.Errorf("records are %+v", d)
			}
			// Another process here, and another machine, see the same.
			for _, dir := range []string{state, t.TempDir()} {
				again := r.reopen(t, Options{StateDir: dir})
				again.wantContent(t, manifestName, many)
				if d := again.Degraded(); len(d) != 2 {
					t.Errorf("a process with state %s knows %+v", dir, d)
				}
			}
			other := r.reopen(t, Options{StateDir: t.TempDir()})
			inv, err := other.Inventory(t.Context(), "")
			if err != nil {
				t.Fatal(err)
			}
			if f, ok := inv.Find(manifestName); !ok || len(f.Copies) != 2 || f.In(0) != nil || f.Size != int64(len(many)) {
				t.Errorf("inventory shows the manifest at %+v", f)
			}
			report, err := other.Repair(t.Context(), RepairOptions{})
			if err != nil || !report.Complete() || report.Copied != 2 {
				t.Fatalf("Repair: %+v, %v", report, err)
			}
			wantEverywhere(t, r, manifestName, many)
			wantEverywhere(t, r, signatureName, many)
			if d := other.Degraded(); len(d) != 0 {
				t.Errorf("after Repair: %+v", d)
			}
			// The first machine finds out that its records are out of date.
			last := r.reopen(t, Options{StateDir: state})
			if _, err := last.Inventory(t.Context(), ""); err != nil || len(last.Degraded()) != 0 {
				t.Errorf("the first machine still knows %+v, %v", last.Degraded(), err)
			}
		})
	}
}

// wantEverywhere checks that every store has the file, and no repair record.
func wantEverywhere(t *testing.T, r *rig, name, want string) {
	t.Helper()
	for _, s := range r.Stores() {
		if got := r.on(s, name); got != want {
			t.Errorf("%s has %.20q (%d bytes), want %.20q", s, got, len(got), want)
		}
		left, err := filepath.Glob(filepath.Join(r.dir, s, RepairPrefix+"*"))
		if err != nil || len(left) != 0 {
			t.Errorf("%s still has %v, %v", s, left, err)
		}
	}
}

func TestRepairWithoutRecord(t *testing.T) {
	t.Parallel()
	r := newRig(t, hotCold(2, 2, policy.Continue), Options{})
	r.mustPut(t, volumeName, "frozen")
	r.faults["hot1"].Vanish(nil)
	r.mustPut(t, manifestName, "m")
	r.mustPut(t, signatureName, "s")
	r.faults["hot1"].Return()
	left, err := filepath.Glob(filepath.Join(r.dir, "hot0", RepairPrefix+"*"))
	if err != nil || len(left) != 2 {
		t.Fatalf("records in hot0: %v, %v", left, err)
	}
	for _, path := range left {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	again := r.reopen(t, Options{})
	plan, err := again.PlanRepair(t.Context())
	if err != nil || len(plan.Steps) != 2 || plan.Steps[0].To != "hot1" || plan.Steps[0].From != "hot0" {
		t.Fatalf("plan is %+v, %v", plan, err)
	}
	if report, err := again.Repair(t.Context(), RepairOptions{}); err != nil || report.Copied != 2 || !report.Complete() {
		t.Fatalf("Repair: %+v, %v", report, err)
	}
	for _, s := range []string{"hot0", "hot1"} {
		if got := r.on(s, manifestName) + r.on(s, signatureName); got != "ms" {
			t.Errorf("%s has %q", s, got)
		}
	}
}

func TestRepairNeverThaws(t *testing.T) {
	t.Parallel()
	p := hotCold(1, 2, policy.Continue)
	p.Tiers[1].Mode = policy.Mirror
	r := newRig(t, p, Options{})
	r.faults["cold1"].Set(faulty.Rule{Op: faulty.Put, Fault: faulty.Fail(nil)})
	r.mustPut(t, volumeName, "frozen")
	r.faults["cold1"].Set()
	report, err := r.Repair(t.Context(), RepairOptions{})
	if err != nil || report.Complete() || len(report.Blocked) != 1 {
		t.Fatalf("Repair: %+v, %v", report, err)
	}
	frozen, ok := errors.AsType[*backends.FrozenError](report.Blocked[0].Err)
	if !ok || frozen.Store != "cold0" || report.Blocked[0].Name != volumeName {
		t.Errorf("blocked: %+v", report.Blocked[0])
	}
	if n := r.Ledger().Total(RequestThaw).Requests; n != 0 {
		t.Errorf("%d thaws were asked for", n)
	}
	if len(r.Degraded()) != 1 {
		t.Errorf("records are %+v", r.Degraded())
	}
}

func TestDamagedCopyIsReplaced(t *testing.T) {
	t.Parallel()
	r := newRig(t, hotCold(2, 0, policy.Abort), Options{StateDir: t.TempDir()})
	r.mustPut(t, manifestName, "right")
	if err := os.WriteFile(filepath.Join(r.dir, "hot0", manifestName), []byte("wrong"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.wantContent(t, manifestName, "wrong") // nobody can tell yet
	if err := r.Damaged(t.Context(), "hot0", manifestName, backends.ErrCorrupt); err != nil {
		t.Fatal(err)
	}
	r.wantContent(t, manifestName, "right")
	if report, err := r.Repair(t.Context(), RepairOptions{}); err != nil || !report.Complete() {
		t.Fatalf("Repair: %+v, %v", report, err)
	}
	wantEverywhere(t, r, manifestName, "right")
	if len(r.Degraded()) != 0 {
		t.Errorf("records are %+v", r.Degraded())
	}
}

func TestBodyThatFailsIsStoredNowhere(t *testing.T) {
	t.Parallel()
	bad := errors.New("disk read error")
	for name, body := range map[string]io.Reader{
		"error":     io.MultiReader(strings.NewReader(many), iotest.ErrReader(bad)),
		"truncated": io.MultiReader(strings.NewReader(many[:1000]), iotest.ErrReader(io.ErrUnexpectedEOF)),
		"short":     strings.NewReader(many[:1000]),
		"long":      strings.NewReader(many + "!"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, hotCold(2, 0, policy.Continue), Options{})
			r.mustPut(t, manifestName, "old")
			if _, err := r.Put(t.Context(), manifestName, body, backends.PutOptions{Size: int64(len(many))}); err == nil {
				t.Fatal("Put succeeds")
			}
			wantEverywhere(t, r, manifestName, "old")
		})
	}
}

func TestPutCancelled(t *testing.T) {
	t.Parallel()
	r := newRig(t, hotCold(2, 0, policy.Continue), Options{})
	r.mustPut(t, manifestName, "old")
	ctx, cancel := context.WithCancel(t.Context())
	body := io.MultiReader(strings.NewReader(many), readerFunc(func([]byte) (int, error) {
		cancel()
		return 1, nil
	}))
	if _, err := r.Put(ctx, manifestName, body, backends.PutOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Put: %v", err)
	}
	wantEverywhere(t, r, manifestName, "old")
}

// TestPutCancelledWhileCommitting cancels a put when one store has stored the
// new version and the other not yet.
func TestPutCancelledWhileCommitting(t *testing.T) {
	t.Parallel()
	r := newRig(t, hotCold(2, 0, policy.Abort), Options{StateDir: t.TempDir()})
	r.mustPut(t, manifestName, "old")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r.stores[1].Store = &lateStore{Store: r.stores[1].Store, late: func() error {
		for r.on("hot0", manifestName) != "new" {
			if err := (backends.RealClock{}).Sleep(t.Context(), time.Millisecond); err != nil {
				return err
			}
		}
		cancel()
		return context.Canceled
	}}
	if err := put(ctx, r, manifestName, "new"); !errors.Is(err, context.Canceled) {
		t.Fatalf("Put: %v", err)
	}
	if d := r.Degraded(); len(d) != 1 || len(d[0].Good) != 1 || d[0].Good[0] != "hot0" {
		t.Fatalf("records are %+v", d)
	}
	again := r.reopen(t, Options{StateDir: t.TempDir()})
	again.wantContent(t, manifestName, "new")
	if report, err := again.Repair(t.Context(), RepairOptions{}); err != nil || !report.Complete() {
		t.Fatalf("Repair: %+v, %v", report, err)
	}
	wantEverywhere(t, r, manifestName, "new")
}

// lateStore takes the whole body of a put, and fails before it stores it.
type lateStore struct {
	backends.Store
	late func() error
}

func (s *lateStore) Put(ctx context.Context, name string, body io.Reader, opts backends.PutOptions) (backends.Info, error) {
	return s.Store.Put(ctx, name, io.MultiReader(body, readerFunc(func([]byte) (int, error) { return 0, s.late() })), opts)
}

func TestRepairLeavesWhatDisagrees(t *testing.T) {
	t.Parallel()
	r := newRig(t, hotCold(2, 0, policy.Abort), Options{})
	r.mustPut(t, manifestName, "old")
	if err := os.WriteFile(filepath.Join(r.dir, "hot1", manifestName), []byte("newer"), 0o600); err != nil {
		t.Fatal(err)
	}
	report, err := r.Repair(t.Context(), RepairOptions{})
	if err != nil || len(report.Blocked) != 1 || !errors.Is(report.Blocked[0].Err, backends.ErrCorrupt) {
		t.Errorf("Repair: %+v, %v", report, err)
	}
	if got := r.on("hot0", manifestName) + r.on("hot1", manifestName); got != "oldnewer" {
		t.Errorf("the stores have %q", got)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestIfAbsent(t *testing.T) {
	t.Parallel()
	r := newRig(t, hotCold(2, 0, policy.Continue), Options{})
	if err := os.WriteFile(filepath.Join(r.dir, "hot1", "lock"), []byte("theirs"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := r.Put(t.Context(), "lock", strings.NewReader("ours"), backends.PutOptions{IfAbsent: true})
	if !errors.Is(err, fs.ErrExist) {
		t.Errorf("Put: %v, want fs.ErrExist", err)
	}
	// It appears between the look and the put.
	r.faults["hot1"].Set(faulty.Rule{Op: faulty.Put, Names: "late", Fault: faulty.Fail(fs.ErrExist)})
	_, err = r.Put(t.Context(), "late", strings.NewReader("ours"), backends.PutOptions{IfAbsent: true})
	if !errors.Is(err, fs.ErrExist) || r.on("hot0", "late") != "-" {
		t.Errorf("Put: %v, and hot0 has %q", err, r.on("hot0", "late"))
	}
}

func TestDeleteWithDeadStore(t *testing.T) {
	t.Parallel()
	for _, onFailure := range []policy.OnFailure{policy.Abort, policy.Continue} {
		t.Run(string(onFailure), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, hotCold(2, 0, onFailure), Options{StateDir: t.TempDir()})
			r.mustPut(t, manifestName, "m")
			r.faults["hot1"].Set(faulty.Rule{Op: faulty.Delete, Fault: faulty.Fail(nil)})
			err := r.Delete(t.Context(), manifestName)
			if (err == nil) != (onFailure == policy.Continue) {
				t.Fatalf("Delete: %v", err)
			}
			if onFailure == policy.Abort {
				return
			}
			if _, err := r.Get(t.Context(), manifestName, 0, -1); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("Get of a deleted file: %v", err)
			}
			r.faults["hot1"].Set()
			if inv, err := r.Inventory(t.Context(), ""); err != nil || slices.ContainsFunc(inv.Files, func(f File) bool { return f.Name == manifestName }) {
				t.Errorf("inventory shows a deleted file, %v", err)
			}
			if report, err := r.Repair(t.Context(), RepairOptions{}); err != nil || report.Deleted != 1 || report.Copied != 0 {
				t.Errorf("Repair: %+v, %v", report, err)
			}
			if got := r.on("hot1", manifestName); got != "-" {
				t.Errorf("hot1 still has %q", got)
			}
			// It is an ordinary name again.
			r.mustPut(t, manifestName, "new")
			wantEverywhere(t, r, manifestName, "new")
		})
	}
}

func TestStripeGoesOnWithoutAStore(t *testing.T) {
	t.Parallel()
	for _, onFailure := range []policy.OnFailure{policy.Abort, policy.Continue} {
		t.Run(string(onFailure), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, stripe(2, onFailure), Options{})
			r.faults["s1"].Vanish(nil)
			failed := 0
			for i := range 20 {
				if err := put(t.Context(), r, volume(i), "v"); err != nil {
					failed++
				}
			}
			if (failed > 0) != (onFailure == policy.Abort) {
				t.Errorf("%d of 20 puts failed", failed)
			}
		})
	}
}

func TestSlowStoreDelaysButDoesNotFail(t *testing.T) {
	t.Parallel()
	r := newRig(t, hotCold(2, 0, policy.Abort), Options{})
	body := bytes.NewReader([]byte(many))
	slow := &slowStore{Store: r.faults["hot1"]}
	r.stores[1].Store = slow
	if _, err := r.Put(t.Context(), manifestName, body, backends.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	wantEverywhere(t, r, manifestName, many)
}

// TestStoreThatLiesFailsThePut has stores say that they stored something else
// than they were sent.
func TestStoreThatLiesFailsThePut(t *testing.T) {
	t.Parallel()
	for name, lie := range map[string]func(*backends.Info){
		"size":   func(i *backends.Info) { i.Size-- },
		"digest": func(i *backends.Info) { i.Digest = backends.Digest{Algorithm: "sha256", Sum: "00"} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, hotCold(2, 0, policy.Abort), Options{})
			r.stores[1].Store = &liar{r.stores[1].Store, lie}
			err := put(t.Context(), r, manifestName, "bytes")
			if e, ok := errors.AsType[*StoreError](err); !ok || e.Store != "hot1" || !errors.Is(err, backends.ErrCorrupt) {
				t.Errorf("Put: %v", err)
			}
			if got := r.on("hot0", manifestName) + r.on("hot1", manifestName); got != "--" {
				t.Errorf("the stores have %q", got)
			}
		})
	}
}

type liar struct {
	backends.Store
	lie func(*backends.Info)
}

func (l *liar) Put(ctx context.Context, name string, body io.Reader, opts backends.PutOptions) (backends.Info, error) {
	info, err := l.Store.Put(ctx, name, body, opts)
	l.lie(&info)
	return info, err
}

// slowStore reads bodies a few hundred bytes at a time.
type slowStore struct{ backends.Store }

func (s *slowStore) Put(ctx context.Context, name string, body io.Reader, opts backends.PutOptions) (backends.Info, error) {
	return s.Store.Put(ctx, name, readerFunc(func(p []byte) (int, error) { return body.Read(p[:min(len(p), 777)]) }), opts)
}

// TestDeadStoreIsReadLast: a mirror's store that does not answer is asked once,
// and not for each file; when it is all that is left it is asked again.
func TestDeadStoreIsReadLast(t *testing.T) {
	t.Parallel()
	r := newRig(t, hotCold(2, 0, policy.Abort), Options{})
	for n := range 5 {
		r.mustPut(t, volume(n), "data")
	}
	dead := r.faults["hot0"]
	dead.Vanish(fmt.Errorf("no route: %w", backends.ErrTransient))
	for n := range 5 {
		r.wantContent(t, volume(n), "data")
	}
	if asked := dead.Count(faulty.Get); asked != 1 {
		t.Errorf("the dead store was asked for %d files, want one", asked)
	}
	dead.Return()
	r.faults["hot1"].Vanish(fmt.Errorf("no route: %w", backends.ErrTransient))
	r.wantContent(t, volume(0), "data")
}
