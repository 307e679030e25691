//go:build unix

package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/faulty"
	"github.com/isotherm-backup/isotherm/engine/chain"
	"github.com/isotherm-backup/isotherm/internal/dupname"
	"github.com/isotherm-backup/isotherm/policy/price"
)

var keepTwo = PruneOptions{PruneRules: PruneRules{KeepFull: 2}}

// A deletion waits until the last file of the last set that builds on it is free,
// can be restored until then, and is carried out by a machine that knows nothing.
func TestPruneWaits(t *testing.T) {
	t.Parallel()
	rig := newPruneRig(t, chains(t, "plain-gz", 3), dayOf(100))
	before := rig.left()
	first := rig.machine()
	plan := first.plan(t, keepTwo)
	for _, s := range plan.Sets {
		if !s.On.Equal(dayOf(182)) { // the newest was put on day 2, and DEEP_ARCHIVE keeps 180 days
			t.Errorf("the set of %s goes on %s, want day 182", s.Time, s.On)
		}
	}
	report, err := first.Prune(t.Context(), plan, nil)
	if err != nil || report.Files != 0 || len(report.Waiting) != 3 {
		t.Fatalf("report %+v, %v; want that three sets wait", report, err)
	}
	if diff := cmp.Diff(before, rig.left()); diff != "" {
		t.Errorf("files were changed:\n%s", diff)
	}
	second := rig.machine()
	st := second.checkChains(t)
	if len(st.Deletions) != 3 || !st.Deletions[0].Time.Equal(dayOf(2)) || !st.Deletions[0].On.Equal(dayOf(182)) {
		t.Errorf("status lists %+v", st.Deletions)
	}
	for i, c := range st.Chains {
		for _, s := range c.Sets {
			if s.DeleteOn.IsZero() == (i == 0) {
				t.Errorf("the set of %s is to be deleted on %s", s.Time, s.DeleteOn)
			}
		}
	}
	if _, err := second.Plan(t.Context(), PlanOptions{At: dayOf(1)}); err != nil {
		t.Errorf("plan a restore of what is to be deleted: %v", err)
	}
	if again := second.plan(t, keepTwo); len(again.Sets) != 0 || len(again.Listed) != 3 {
		t.Errorf("a second plan has %d new sets and %d that were listed before, want 0 and 3", len(again.Sets), len(again.Listed))
	}
	rig.clock.Advance(82*24*time.Hour - 1)
	if report, err := rig.machine().PruneDue(t.Context()); err != nil || report.Files != 0 {
		t.Errorf("just before the day: %+v, %v", report, err)
	}
	rig.clock.Advance(1)
	third := rig.machine()
	report, err = third.PruneDue(t.Context())
	if err != nil || report.Sets != 3 || len(report.Waiting) != 0 {
		t.Fatalf("on the day: %+v, %v", report, err)
	}
	if early := rig.early(); len(early) > 0 {
		t.Errorf("billed as early: %+v", early)
	}
	if own := rig.own(); len(own) > 0 {
		t.Errorf("left behind: %v", own)
	}
	if st := third.checkChains(t); len(st.Chains) != 2 {
		t.Errorf("%d chains are left, want 2", len(st.Chains))
	}
}

// When nothing is due, a backup's end costs a listing of one prefix in each store.
func TestPruneDueIsCheap(t *testing.T) {
	t.Parallel()
	rig := newPruneRig(t, chains(t, "plain-gz", 3), dayOf(100))
	rig.machine().prune(t, keepTwo)
	m := rig.machine()
	if _, err := m.PruneDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range slices.Concat(m.hot.Calls(), m.cold.Calls()) {
		if c.Op == faulty.List && c.Name == "" || c.Op != faulty.List && !strings.HasPrefix(c.Name, DeletionPrefix) {
			t.Errorf("%v of %q", c.Op, c.Name)
		}
	}
}

// At once, for a fee, but never above the limit.
func TestPruneNow(t *testing.T) {
	t.Parallel()
	rig := newPruneRig(t, chains(t, "plain-gz", 3), dayOf(100))
	before := rig.left()
	m := rig.machine()
	plan := m.plan(t, PruneOptions{PruneRules: PruneRules{KeepFull: 2}, Now: true})
	if len(plan.Fee) != 1 || plan.Fee[0].IsZero() {
		t.Fatalf("fees %v", plan.Fee)
	}
	var over *FeeError
	for _, limit := range []*price.Amount{usd(t, "0.0000001"), {Currency: "EUR"}} {
		if _, err := m.Prune(t.Context(), plan, limit); !errors.As(err, &over) {
			t.Errorf("limit of %s: error %v, want a FeeError", limit, err)
		}
	}
	if diff := cmp.Diff(before, rig.left()); diff != "" || len(rig.own()) > 0 {
		t.Errorf("above the limit something was done: %v\n%s", rig.own(), diff)
	}
	report, err := m.Prune(t.Context(), plan, usd(t, "1"))
	if err != nil || report.Sets != 3 || report.Files != 10 {
		t.Errorf("report %+v, %v", report, err)
	}
	// What the store bills is what the plan said: 80, 81 and 82 days of the volumes.
	book, err := price.Open("aws/us-east-1", "")
	if err != nil {
		t.Fatal(err)
	}
	var billed []price.Amount
	for _, e := range rig.early() {
		item, err := book.EarlyDeletion("DEEP_ARCHIVE", 1, e.Bytes, 180*24*time.Hour-e.Left)
		if err != nil {
			t.Fatal(err)
		}
		billed = append(billed, item.Amount)
	}
	if sum := price.Sum(billed...); len(billed) != 4 || sum[0].Rat().Cmp(plan.Fee[0].Rat()) != 0 {
		t.Errorf("%d files were billed as early, %v; the plan said %v", len(billed), sum, plan.Fee)
	}
}

// TestPruneFee is example V3 of the cost examples: 1,000 volumes of 200 MB in
// DEEP_ARCHIVE, deleted after 60 of 180 days, cost 0.773558 USD. The volumes are holes.
func TestPruneFee(t *testing.T) {
	t.Parallel()
	archive := t.TempDir()
	for _, name := range []string{
		"duplicity-full.20240101T000000Z.manifest", "duplicity-full-signatures.20240101T000000Z.sigtar.gz",
		"duplicity-full.20240102T000000Z.manifest", "duplicity-full-signatures.20240102T000000Z.sigtar.gz",
	} {
		from := strings.Replace(name, "20240102", "20240101", 1)
		data, err := os.ReadFile(filepath.Join(fixture("plain-gz"), "archive", from))
		if err == nil {
			err = os.WriteFile(filepath.Join(archive, name), data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	rig := newPruneRig(t, archive, dayOf(60))
	for i := range 1000 {
		name := fmt.Sprintf("duplicity-full.20240101T000000Z.vol%d.difftar.gz", i+1)
		rig.write(name, nil)
		path := filepath.Join(rig.cold, name)
		if err := errors.Join(os.Truncate(path, 200<<20), os.Chtimes(path, dayOf(0), dayOf(0))); err != nil {
			t.Fatal(err)
		}
	}
	plan := rig.machine().plan(t, PruneOptions{PruneRules: PruneRules{KeepFull: 1}})
	if len(plan.Fee) != 1 || plan.Fee[0].Decimal(6) != "0.773558" || plan.Fee[0].Currency != "USD" {
		t.Errorf("fees %v, want 0.773558 USD", plan.Fee)
	}
	want := []StoreShare{
		{Store: "hot", Files: 2, Bytes: plan.Stores[0].Bytes},
		{Store: "cold", Files: 1000, Bytes: 1000 * 200 << 20, Fee: plan.Fee[0], Free: dayOf(180)},
	}
	same := cmp.Comparer(func(a, b price.Amount) bool { return a.Currency == b.Currency && a.Rat().Cmp(b.Rat()) == 0 })
	if diff := cmp.Diff(want, plan.Stores, same); diff != "" {
		t.Errorf("stores (-want +got):\n%s", diff)
	}
}

// Whatever request fails, before or after the store has carried it out, no chain
// looks whole that is not, and the next run finishes.
func TestPruneInterrupted(t *testing.T) {
	t.Parallel()
	archive := chains(t, "plain-gz", 2)
	options := PruneOptions{PruneRules: PruneRules{KeepFull: 1}}
	whole := newPruneRig(t, archive, dayOf(400))
	whole.machine().prune(t, options)
	for _, fault := range []faulty.Fault{faulty.Fail(nil), faulty.LoseReply(nil)} {
		for _, store := range []string{"hot", "cold"} {
			for n := 0; ; n++ {
				rig := newPruneRig(t, archive, dayOf(400))
				m := rig.machine()
				plan := m.plan(t, options)
				failing := map[string]*faulty.Store{"hot": m.hot, "cold": m.cold}[store]
				failing.Set(faulty.Rule{Op: faulty.Delete, Skip: n, Fault: fault}, faulty.Rule{Op: faulty.Put, Skip: n, Fault: fault})
				_, err := m.Prune(t.Context(), plan, nil)
				rig.unlock()
				rig.machine().checkChains(t)
				if err == nil {
					if n == 0 {
						t.Fatal("the first request did not fail")
					}
					break
				}
				if !errors.Is(err, backends.ErrTransient) {
					t.Fatalf("request %d of store %s: %v", n, store, err)
				}
				if listed := len(rig.own()) > 0; !listed {
					if len(rig.left()) != len(listDir(t, archive)) && len(rig.left()) != len(whole.left()) {
						t.Errorf("request %d of store %s: a part was deleted, and is not listed", n, store)
					}
				}
				rig.machine().prune(t, options)
				if diff := cmp.Diff(whole.left(), rig.left()); diff != "" || len(rig.own()) > 0 {
					t.Errorf("request %d of store %s, then a second run: left %v (-want +got)\n%s", n, store, rig.own(), diff)
				}
			}
		}
	}
}

// A prune that is cancelled between two files has not deleted the set.
func TestPruneCancelled(t *testing.T) {
	t.Parallel()
	rig := newPruneRig(t, chains(t, "plain-gz", 2), dayOf(400))
	m := rig.machine()
	if err := m.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	v, err := m.current()
	if err != nil {
		t.Fatal(err)
	}
	files := m.filesBySet(v)[setID{dupname.Full, 0, dayOf(0).Unix()}]
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	report := &PruneReport{}
	if err := m.deleteVolumes(ctx, v, files.volumes, report); !errors.Is(err, context.Canceled) || report.Files != 0 || len(files.volumes) != 2 {
		t.Errorf("%d of %d volumes deleted, %v", report.Files, len(files.volumes), err)
	}
}

// A set that is kept after all takes what it builds on with it; what builds on it
// still goes.
func TestKeepSets(t *testing.T) {
	t.Parallel()
	rig := newPruneRig(t, chains(t, "plain-gz", 3), dayOf(100))
	m := rig.machine()
	m.prune(t, PruneOptions{PruneRules: PruneRules{KeepFull: 1}})
	for _, at := range []time.Time{dayOf(60), dayOf(5)} {
		if _, err := m.KeepSets(t.Context(), at); !errors.Is(err, ErrNotListed) {
			t.Errorf("keep the set of %s: error %v, want ErrNotListed", at, err)
		}
	}
	report, err := m.KeepSets(t.Context(), dayOf(1))
	if err != nil || len(report.Kept) != 2 || len(report.Waiting) != 4 {
		t.Fatalf("report %+v, %v; want that 2 sets are kept and 4 wait", report, err)
	}
	rig.clock.Advance(300 * 24 * time.Hour)
	report, err = rig.machine().PruneDue(t.Context())
	if err != nil || report.Sets != 4 {
		t.Errorf("report %+v, %v; want 4 sets", report, err)
	}
	st := rig.machine().checkChains(t)
	if len(st.Chains) != 2 || !st.Chains[0].End.Equal(dayOf(1)) || len(rig.own()) > 0 {
		t.Errorf("chains %+v, own files %v", st.Chains, rig.own())
	}
}

// A set that is needed again is taken off the list: here its chain has become the
// newest one, since somebody else has deleted those after it.
func TestPruneKeepsWhatIsNeeded(t *testing.T) {
	t.Parallel()
	rig := newPruneRig(t, chains(t, "plain-gz", 2), dayOf(100))
	rig.machine().prune(t, PruneOptions{PruneRules: PruneRules{KeepFull: 1}})
	for _, dir := range []string{rig.hot, rig.cold} {
		for _, name := range listDir(t, dir) {
			if n, ok := dupname.Guess(name); ok && !n.End.Before(dayOf(30)) {
				if err := os.Remove(filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	before := rig.left()
	rig.clock.Advance(300 * 24 * time.Hour)
	report, err := rig.machine().PruneDue(t.Context())
	if err != nil || len(report.Kept) != 3 || report.Files != 0 {
		t.Errorf("report %+v, %v; want that 3 sets are kept", report, err)
	}
	if diff := cmp.Diff(before, rig.left()); diff != "" || len(rig.own()) > 0 {
		t.Errorf("own files %v; (-before +after)\n%s", rig.own(), diff)
	}
}

// Nothing goes while a store cannot be listed: a newer chain may lie there.
func TestPruneNeedsEveryStore(t *testing.T) {
	t.Parallel()
	rig := newPruneRig(t, chains(t, "plain-gz", 3), dayOf(400))
	m := rig.machine()
	plan := m.plan(t, keepTwo)
	m.cold.Set(faulty.Rule{Op: faulty.List, Fault: faulty.Fail(nil)})
	before := rig.left()
	if _, err := m.Prune(t.Context(), plan, nil); !errors.Is(err, backends.ErrTransient) {
		t.Errorf("Prune: %v", err)
	}
	if _, err := m.PruneDue(t.Context()); !errors.Is(err, backends.ErrTransient) {
		t.Errorf("PruneDue: %v", err)
	}
	if err := m.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := m.PlanPrune(t.Context(), keepTwo); !errors.Is(err, backends.ErrTransient) {
		t.Errorf("PlanPrune: %v", err)
	}
	if diff := cmp.Diff(before, rig.left()); diff != "" {
		t.Error(diff)
	}
}

// The day of a set moves when its files do: what was put anew is not deleted early.
func TestPruneAfterMove(t *testing.T) {
	t.Parallel()
	rig := newPruneRig(t, chains(t, "plain-gz", 3), dayOf(100))
	rig.machine().prune(t, keepTwo)
	rig.clock.Advance(50 * 24 * time.Hour)
	name := "duplicity-full.20240101T000000Z.vol1.difftar.gz"
	if err := os.Chtimes(filepath.Join(rig.cold, name), dayOf(150), dayOf(150)); err != nil {
		t.Fatal(err)
	}
	rig.clock.Advance(50 * 24 * time.Hour)
	report, err := rig.machine().PruneDue(t.Context())
	if err != nil || report.Sets != 2 || len(report.Waiting) != 1 || !report.Waiting[0].On.Equal(dayOf(330)) {
		t.Errorf("report %+v, %v; want that the full set waits until day 330", report, err)
	}
	rig.machine().checkChains(t)
	rig.clock.Advance(130 * 24 * time.Hour)
	if report, err := rig.machine().PruneDue(t.Context()); err != nil || report.Sets != 1 || len(rig.early()) > 0 {
		t.Errorf("report %+v, %v, early %v", report, err, rig.early())
	}
}

// Files of a set that duplicity does not know go with it: the index, parity files,
// what is there twice, and what a later run has replaced.
func TestPruneTakesAllOfASet(t *testing.T) {
	t.Parallel()
	rig := newPruneRig(t, chains(t, "plain-gz", 2), dayOf(400))
	m := rig.machine()
	m.prune(t, PruneOptions{PruneRules: PruneRules{KeepFull: 1}})
	want := rig.left()
	rig = newPruneRig(t, chains(t, "plain-gz", 2), dayOf(400))
	for _, name := range []string{
		"isotherm-index.20240101T000000Z.gz",
		"isotherm-index.20240101T000000Z.to.20240102T000000Z.gpg",
		"duplicity-full.20240101T000000Z.vol1.difftar.gz.par2",
		"duplicity-full.20240101T000000Z.vol1.difftar.gz.vol000+200.par2",
		"duplicity-full.20240101T000000Z.manifest.gpg",
		"duplicity-full.20240101T000000Z.jsonstat.gz",
		"duplicity-inc.20240102T000000Z.to.20240102T120000Z.manifest", // replaced
		"duplicity-inc.20240102T000000Z.to.20240102T120000Z.vol1.difftar.gz",
		"duplicity-new-signatures.20240102T000000Z.to.20240102T120000Z.sigtar.gz",
	} {
		from := filepath.Join(fixture("plain-gz"), "archive", "duplicity-inc.20240102T000000Z.to.20240103T000000Z.manifest")
		rig.put(from, name)
	}
	rig.write("isotherm-index.20240131T000000Z.gz", []byte("of the other chain"))
	rig.machine().prune(t, PruneOptions{PruneRules: PruneRules{KeepFull: 1}})
	if diff := cmp.Diff(want, rig.left()); diff != "" {
		t.Errorf("files left (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"isotherm-index.20240131T000000Z.gz"}, rig.own()); diff != "" {
		t.Error(diff)
	}
}

func TestRetention(t *testing.T) {
	t.Parallel()
	rig := newPruneRig(t, chains(t, "plain-gz", 3), dayOf(100))
	for _, tt := range []struct {
		policy string
		gone   int
	}{
		{"", 0},
		{"retention: {keep_full: 1}", 6},
		{"retention: {keep_for: 50d}", 6},
		{"retention: {keep_for: 68d}", 3},
		{"retention: {keep_full: 1, keep_for: 68d}", 3},
		{"retention: {keep_full: 2, keep_for: 50d}", 3},
		{"retention: {keep_full: 3, keep_for: 50d}", 0},
	} {
		rig.retention = tt.policy
		m := rig.machine()
		plan := m.plan(t, PruneOptions{PruneRules: m.Retention(rig.clock.Now())})
		if len(plan.Sets) != tt.gone {
			t.Errorf("%q: %d sets go, want %d", tt.policy, len(plan.Sets), tt.gone)
		}
	}
}

// Two archives in one place do not delete each other's sets, though these have the
// same times, nor each other's checkpoints.
func TestPruneOfTwoArchives(t *testing.T) {
	t.Parallel()
	rig := newPruneRig(t, chains(t, "plain-gz", 0), dayOf(100))
	archive := chains(t, "plain-gz", 2)
	for _, name := range listDir(t, archive) {
		rig.put(filepath.Join(archive, name), "home_"+name)
		rig.put(filepath.Join(archive, name), "www_"+name)
	}
	rig.write("isotherm-checkpoint.20240303T000000Z.vol1.gz", []byte("of www"))
	rig.retention = "prefixes: {all: home_}"
	rig.machine().prune(t, PruneOptions{PruneRules: PruneRules{KeepFull: 1}})
	rig.clock.Advance(300 * 24 * time.Hour)
	before := rig.left()
	rig.retention = "prefixes: {all: www_}"
	if report, err := rig.machine().PruneDue(t.Context()); err != nil || report.Files+len(report.Waiting) > 0 {
		t.Errorf("the other archive: %+v, %v", report, err)
	}
	if diff := cmp.Diff(before, rig.left()); diff != "" || len(rig.own()) != 2 {
		t.Errorf("own files %v\n%s", rig.own(), diff)
	}
	rig.retention = "prefixes: {all: home_}"
	if report, err := rig.machine().PruneDue(t.Context()); err != nil || report.Sets != 3 || len(rig.own()) != 1 {
		t.Errorf("the archive itself: %+v, %v; own files %v", report, err, rig.own())
	}
	if plan, _ := rig.machine().cleanup(t, CleanupOptions{}); !plan.IsEmpty() {
		t.Errorf("cleanup finds %+v", plan.Files)
	}
}

// Lists that cannot be read are named, and stop everything.
func TestDamagedList(t *testing.T) {
	t.Parallel()
	for text, kind := range map[string]error{
		"{":                          backends.ErrCorrupt,
		`{"version": 2, "sets": []}`: backends.ErrUnsupported,
		`{"version": 1, "sets": [{"type": "incremental", "time": "2024-01-01T00:00:00Z", "due": "2024-01-01T00:00:00Z"}]}`: backends.ErrCorrupt,
	} {
		rig := newPruneRig(t, chains(t, "plain-gz", 2), dayOf(400))
		rig.write(DeletionPrefix+"x.json", []byte(text))
		m := rig.machine()
		if _, err := m.PruneDue(t.Context()); !errors.Is(err, kind) || !strings.Contains(err.Error(), DeletionPrefix+"x.json") {
			t.Errorf("%s: error %v, want %v", text, err, kind)
		}
		if err := m.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		if st := mustStatus(t, m.Archive); st.DeletionsError == "" {
			t.Errorf("%s: status says nothing", text)
		}
	}
}

func FuzzParseDeletion(f *testing.F) {
	d := &deletion{Asked: dayOf(1), Sets: []deletionSet{{Type: "incremental", Base: dayOf(0), Time: dayOf(1), File: "x", Due: dayOf(9), Why: "x"}}}
	_, text, err := d.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := parseDeletion(text)
		if err != nil {
			return
		}
		_, again, err := d.encode()
		if err != nil {
			return // a time that JSON cannot hold
		}
		e, err := parseDeletion(again)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		a, _ := json.Marshal(d)
		if b, _ := json.Marshal(e); string(a) != string(b) {
			t.Errorf("%s became %s", a, b)
		}
	})
}

// Whatever the rules and the chains, nothing goes that a set builds on which stays,
// and the newest chain stays whole.
func TestPruneRules(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := &chain.Collection{}
		at := 0
		for range rapid.IntRange(0, 5).Draw(t, "chains") {
			ch := &chain.Chain{}
			for i := range rapid.IntRange(1, 4).Draw(t, "sets") {
				at += rapid.IntRange(1, 9).Draw(t, "days")
				s := &chain.Set{Type: dupname.Full, End: dayOf(at)}
				if i > 0 {
					s.Type, s.Start = dupname.Incremental, ch.End()
				}
				ch.Sets = append(ch.Sets, s)
			}
			c.Chains = append(c.Chains, ch)
		}
		r := PruneRules{KeepFull: rapid.IntRange(0, 4).Draw(t, "full"), KeepIncrementals: rapid.IntRange(0, 4).Draw(t, "incrementals")}
		if rapid.Bool().Draw(t, "older") {
			r.OlderThan = dayOf(rapid.IntRange(0, at+3).Draw(t, "than"))
		}
		gone, kept := r.apply(c)
		left := len(gone)
		for _, k := range kept {
			left += k.Sets
		}
		goes := map[setID]bool{}
		for _, d := range gone {
			goes[d.id] = true
		}
		for n, ch := range c.Chains {
			left -= len(ch.Sets)
			for i, s := range ch.Sets {
				if goes[idOf(s)] && n == len(c.Chains)-1 {
					t.Fatalf("%+v: the newest chain loses the set of %s", r, s.End)
				}
				if i > 0 && goes[idOf(ch.Sets[i-1])] && !goes[idOf(s)] {
					t.Fatalf("%+v: the set of %s stays without its base", r, s.End)
				}
			}
		}
		if left != 0 || len(goes) != len(gone) {
			t.Fatalf("%+v: of the sets %d are neither kept nor gone; %d go, %d of them different ones", r, -left, len(gone), len(goes))
		}
	})
}
