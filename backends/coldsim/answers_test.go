package coldsim_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/backendtest"
	"github.com/isotherm-backup/isotherm/backends/coldsim"
)

const day = 24 * time.Hour

// sim is a store on a clock set by hand.
type sim struct {
	*testing.T
	*coldsim.Store
	clock *backendtest.Clock
}

func newSim(t *testing.T, start time.Time, opts coldsim.Options) *sim {
	t.Helper()
	clock := backendtest.NewClock(start)
	opts.Clock = clock
	return &sim{T: t, Store: open(t, t.TempDir(), opts), clock: clock}
}

func (s *sim) put(names ...string) {
	s.T.Helper()
	for _, name := range names {
		if _, err := s.Put(s.T.Context(), name, strings.NewReader("hello"), backends.PutOptions{}); err != nil {
			s.T.Fatal(err)
		}
	}
}

func (s *sim) thaw(name string, speed backends.Speed, keep time.Duration) backends.ThawOutcome {
	s.T.Helper()
	outcome, err := s.Thaw(s.T.Context(), name, backends.ThawRequest{Speed: speed, Keep: keep})
	if err != nil {
		s.T.Fatal(err)
	}
	return outcome
}

func (s *sim) stat(name string) backends.Info {
	s.T.Helper()
	info, err := s.Stat(s.T.Context(), name)
	if err != nil {
		s.T.Fatal(err)
	}
	return info
}

func (s *sim) bill() []coldsim.Event {
	s.T.Helper()
	events, err := coldsim.Bill(s.Dir())
	if err != nil {
		s.T.Fatal(err)
	}
	return events
}

func at(s string) time.Time {
	t, err := time.Parse("2006-01-02 15:04", s)
	if err != nil {
		panic(err)
	}
	return t
}

// TestExpiry is the example of cold-storage spec section 6: thawed on 15 October
// at 10:30 for 3 days, a file freezes on the 19th; a request for 1 day on the 16th
// shortens that to the 18th.
func TestExpiry(t *testing.T) {
	t.Parallel()
	s := newSim(t, at("2026-10-15 10:00"), coldsim.Options{Class: backends.Glacier})
	s.put("file")
	s.thaw("file", backends.Expedited, 3*day)
	s.clock.Advance(30 * time.Minute)
	if info := s.stat("file"); info.State != backends.Thawed || !info.At.Equal(at("2026-10-19 00:00")) {
		t.Errorf("file is %v until %v, want thawed until 19 October", info.State, info.At)
	}
	s.clock.Advance(24*time.Hour + 30*time.Minute)
	if outcome := s.thaw("file", backends.Bulk, day); outcome != backends.Extended {
		t.Errorf("a request for a thawed file is %v, want extended", outcome)
	}
	if info := s.stat("file"); !info.At.Equal(at("2026-10-18 00:00")) {
		t.Errorf("file freezes at %v, want 18 October", info.At)
	}
	s.clock.Advance(at("2026-10-18 00:00").Sub(s.clock.Now()) - 1)
	if info := s.stat("file"); info.State != backends.Thawed {
		t.Errorf("just before midnight the file is %v", info.State)
	}
	s.clock.Advance(1)
	if info := s.stat("file"); info.State != backends.Frozen {
		t.Errorf("at midnight the file is %v", info.State)
	}
}

// TestKeep rounds up to whole days.
func TestKeep(t *testing.T) {
	t.Parallel()
	s := newSim(t, at("2026-10-15 10:00"), coldsim.Options{Class: backends.Glacier})
	s.put("file")
	s.thaw("file", backends.Expedited, day)
	s.clock.Advance(time.Hour)
	for keep, want := range map[time.Duration]string{
		0:               "2026-10-17 00:00",
		time.Nanosecond: "2026-10-17 00:00",
		day:             "2026-10-17 00:00",
		day + 1:         "2026-10-18 00:00",
		7 * day:         "2026-10-23 00:00",
		36500 * day:     at("2026-10-16 00:00").AddDate(0, 0, 36500).Format("2006-01-02 15:04"),
		-day:            "2026-10-17 00:00",
	} {
		s.thaw("file", backends.Bulk, keep)
		if info := s.stat("file"); !info.At.Equal(at(want)) {
			t.Errorf("kept for %v the file freezes at %v, want %s", keep, info.At, want)
		}
	}
}

// TestSpread: thaws of one request set finish hours apart, each between the
// typical limits, the same in every run.
func TestSpread(t *testing.T) {
	t.Parallel()
	ready := func(seed int64) []time.Duration {
		s := newSim(t, noon, coldsim.Options{Class: backends.PCA, Seed: seed})
		var took []time.Duration
		for i := range 200 {
			name := fmt.Sprintf("duplicity-full.20260101T000000Z.vol%d.difftar.gpg", i)
			s.put(name)
			s.thaw(name, backends.SpeedOnly, 0)
			took = append(took, s.stat(name).At.Sub(noon)) // PCA tells
		}
		return took
	}
	first := ready(1)
	if diff := cmp.Diff(first, ready(1)); diff != "" {
		t.Errorf("the same seed gives other times (-first +second):\n%s", diff)
	}
	if slices.Equal(first, ready(2)) {
		t.Error("another seed gives the same times")
	}
	// 200 names, evenly spread, leave no sixth of the range empty.
	low, high := 10*time.Minute, 12*time.Hour
	sixths := make([]int, 6)
	for _, d := range first {
		if d < low || d > high {
			t.Fatalf("a thaw takes %v, want between %v and %v", d, low, high)
		}
		sixths[min(5, int(6*(d-low)/(high-low)))]++
	}
	if slices.Min(sixths) < 15 {
		t.Errorf("thaws by sixths of their time: %v, want about 33 each", sixths)
	}
}

// TestUpgrade: a faster request with the same Days shortens a thaw, and both are
// billed; others while it runs do nothing.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	s := newSim(t, noon, coldsim.Options{Class: backends.Glacier})
	s.put("file")
	for _, step := range []struct {
		speed backends.Speed
		keep  time.Duration
		want  backends.ThawOutcome
	}{
		{backends.Bulk, 2 * day, backends.Started},
		{backends.Bulk, 2 * day, backends.Underway},
		{backends.Expedited, 3 * day, backends.Underway}, // other Days
		{backends.SpeedStandard, 2 * day, backends.Upgraded},
		{backends.Bulk, 2 * day, backends.Underway},
		{backends.SpeedStandard, 2 * day, backends.Underway},
		{backends.Expedited, 2 * day, backends.Upgraded},
	} {
		if got := s.thaw("file", step.speed, step.keep); got != step.want {
			t.Errorf("%s for %v is %v, want %v", step.speed, step.keep, got, step.want)
		}
	}
	s.clock.Advance(5 * time.Minute)
	if info := s.stat("file"); info.State != backends.Thawed || !info.At.Equal(at("2026-11-24 00:00")) {
		t.Errorf("file is %v until %v, want thawed until 24 November", info.State, info.At)
	}
	want := map[backends.Speed]coldsim.Retrieval{
		backends.Bulk: {Requests: 1, Bytes: 5}, backends.SpeedStandard: {Requests: 1, Bytes: 5}, backends.Expedited: {Requests: 1, Bytes: 5},
	}
	sum := coldsim.Sum(s.bill())
	if diff := cmp.Diff(want, sum.Thaws); diff != "" || sum.Idle != 4 {
		t.Errorf("billed thaws (-want +got):\n%s; %d idle requests, want 4", diff, sum.Idle)
	}
}

// TestLateUpgrade: an upgrade never makes a thaw slower.
func TestLateUpgrade(t *testing.T) {
	t.Parallel()
	s := newSim(t, noon, coldsim.Options{Class: backends.DeepArchive})
	s.put("file")
	s.thaw("file", backends.Bulk, day)
	started := s.clock.Now()
	for s.stat("file").State == backends.Thawing {
		s.clock.Advance(time.Hour)
	}
	took := s.clock.Now().Sub(started)

	s.put("file") // frozen again; the same name takes as long as before
	s.thaw("file", backends.Bulk, day)
	s.clock.Advance(took - 2*time.Hour)
	if outcome := s.thaw("file", backends.SpeedStandard, day); outcome != backends.Upgraded {
		t.Errorf("upgrade is %v", outcome)
	}
	s.clock.Advance(2 * time.Hour)
	if info := s.stat("file"); info.State != backends.Thawed {
		t.Errorf("after an upgrade shortly before its end the file is %v", info.State)
	}
}

// TestExpeditedRefused: without capacity nothing starts, and other speeds work.
func TestExpeditedRefused(t *testing.T) {
	t.Parallel()
	s := newSim(t, noon, coldsim.Options{Class: backends.Glacier, RefuseExpedited: true})
	s.put("file")
	_, err := s.Thaw(t.Context(), "file", backends.ThawRequest{Speed: backends.Expedited, Keep: day})
	if !errors.Is(err, backends.ErrNoCapacity) {
		t.Errorf("Thaw: %v, want ErrNoCapacity", err)
	}
	if info := s.stat("file"); info.State != backends.Frozen {
		t.Errorf("file is %v, want frozen", info.State)
	}
	if sum := coldsim.Sum(s.bill()); sum.Refused != 1 || len(sum.Thaws) > 0 {
		t.Errorf("billed: %+v", sum)
	}
	if got := s.thaw("file", backends.SpeedStandard, day); got != backends.Started {
		t.Errorf("Thaw at another speed is %v", got)
	}
	s.clock.Advance(5 * time.Hour)
	if got := s.thaw("file", backends.Expedited, day); got != backends.Extended {
		t.Errorf("an extension, which retrieves nothing, is %v", got)
	}
}

// TestRate: more thaw requests than the service takes are refused, and may be
// sent again.
func TestRate(t *testing.T) {
	t.Parallel()
	s := newSim(t, noon, coldsim.Options{Class: backends.Glacier, Rate: 2})
	s.put("a", "b", "c")
	if rate := s.Terms().RequestRate; rate != 2 {
		t.Errorf("Terms name a rate of %v, want 2", rate)
	}
	s.thaw("a", backends.Bulk, day)
	s.thaw("b", backends.Bulk, day)
	_, err := s.Thaw(t.Context(), "c", backends.ThawRequest{Speed: backends.Bulk, Keep: day})
	if !errors.Is(err, backends.ErrTransient) {
		t.Errorf("third request in a second: %v, want ErrTransient", err)
	}
	s.clock.Advance(500 * time.Millisecond)
	if got := s.thaw("c", backends.Bulk, day); got != backends.Started {
		t.Errorf("request half a second later is %v", got)
	}
}

// TestPCA: what OVH tells and what it does not (cold-storage spec section 12.1).
func TestPCA(t *testing.T) {
	t.Parallel()
	s := newSim(t, noon, coldsim.Options{Class: backends.PCA})
	s.put("file")
	_, err := s.Get(t.Context(), "file", 0, -1)
	if !errors.Is(err, backends.ErrFrozen) {
		t.Errorf("Get: %v, want ErrFrozen", err)
	}
	if info := s.stat("file"); info.State != backends.Frozen || !info.At.IsZero() {
		t.Errorf("after a Get the file is %v, %v; want frozen, as before", info.State, info.At)
	}
	s.thaw("file", backends.SpeedOnly, 30*day)
	ready := s.stat("file").At
	_, err = s.Get(t.Context(), "file", 0, -1)
	var frozen *backends.FrozenError
	if !errors.As(err, &frozen) || ready.IsZero() || !frozen.ReadyAt.Equal(ready) {
		t.Errorf("Get while thawing: %v, want a FrozenError that says %v", err, ready)
	}
	s.clock.Advance(ready.Sub(noon))
	if info := s.stat("file"); info.State != backends.Thawed || !info.At.IsZero() {
		t.Errorf("thawed file is %v until %v, want thawed until an unknown time", info.State, info.At)
	}
	s.clock.Advance(day - 1)
	if info := s.stat("file"); info.State != backends.Thawed {
		t.Errorf("after nearly 24 h the file is %v", info.State)
	}
	s.clock.Advance(1)
	if info := s.stat("file"); info.State != backends.Frozen {
		t.Errorf("after 24 h the file is %v", info.State)
	}
}

// TestExpeditedLarge: from 250 MB on, Expedited goes on at 300 MB/s. The file is a
// hole.
func TestExpeditedLarge(t *testing.T) {
	t.Parallel()
	s := newSim(t, noon, coldsim.Options{Class: backends.Glacier})
	path := filepath.Join(s.Dir(), "file")
	if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, 900e6)); err != nil {
		t.Fatal(err)
	}
	s.thaw("file", backends.Expedited, day)
	s.clock.Advance(time.Minute + 2*time.Second)
	if info := s.stat("file"); info.State != backends.Thawing {
		t.Errorf("900 MB are %v after the least time of a small file and two of its three seconds", info.State)
	}
	s.clock.Advance(4*time.Minute + time.Second)
	if info := s.stat("file"); info.State != backends.Thawed {
		t.Errorf("900 MB are %v after five minutes and their three seconds", info.State)
	}
}

// TestBill compares a bill with what was asked.
func TestBill(t *testing.T) {
	t.Parallel()
	s := newSim(t, noon, coldsim.Options{Class: backends.DeepArchive})
	ctx := t.Context()
	s.put("file", "gone", "replaced")
	s.clock.Advance(100 * day)
	if err := s.Delete(ctx, "gone"); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(ctx, "gone"); err != nil {
		t.Fatal(err)
	}
	s.put("replaced")
	s.clock.Advance(80 * day)
	s.stat("file")
	if _, err := s.Stat(ctx, "gone"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if _, err := s.Get(ctx, "file", 0, -1); !errors.Is(err, backends.ErrFrozen) {
		t.Fatal(err)
	}
	s.thaw("file", backends.Bulk, day)
	s.clock.Advance(2 * day)
	s.thaw("file", backends.Bulk, 2*day)
	body, err := s.Get(ctx, "file", 1, 3)
	if err != nil {
		t.Fatal(err)
	}
	if data, err := io.ReadAll(body); string(data) != "ell" || err != nil {
		t.Errorf("Get reads %q, %v", data, err)
	}
	body.Close()
	for range s.List(ctx, "") {
	}
	if err := s.Delete(ctx, "file"); err != nil {
		t.Fatal(err)
	}
	want := coldsim.Totals{
		Puts: 4, PutBytes: 20,
		Gets: 1, GotBytes: 3,
		Lists: 1, Stats: 2, Deletes: 2, Refused: 1,
		Thaws:      map[backends.Speed]coldsim.Retrieval{backends.Bulk: {Requests: 1, Bytes: 5}},
		Extensions: 1,
		Early: []coldsim.Event{
			{At: noon.Add(100 * day), Kind: coldsim.EventEarly, Name: "gone", Bytes: 5, Left: 80 * day},
			{At: noon.Add(100 * day), Kind: coldsim.EventEarly, Name: "replaced", Bytes: 5, Left: 80 * day},
		},
	}
	if diff := cmp.Diff(want, coldsim.Sum(s.bill())); diff != "" {
		t.Errorf("bill (-want +got):\n%s", diff)
	}
}

// TestBillPages: a listing is billed by its pages, begun ones too.
func TestBillPages(t *testing.T) {
	t.Parallel()
	s := newSim(t, noon, coldsim.Options{})
	lists := func(stop int, prefix string) int {
		before := coldsim.Sum(s.bill()).Lists
		n := 0
		for _, err := range s.List(t.Context(), prefix) {
			if err != nil {
				t.Fatal(err)
			}
			if n++; n == stop {
				break
			}
		}
		return coldsim.Sum(s.bill()).Lists - before
	}
	if got := lists(0, ""); got != 1 {
		t.Errorf("listing nothing costs %d pages, want 1", got)
	}
	for i := range 1001 {
		s.put(fmt.Sprintf("file-%04d", i))
	}
	for _, tt := range []struct {
		stop   int
		prefix string
		want   int
	}{{0, "", 2}, {1000, "", 1}, {1001, "", 2}, {0, "file-0", 1}, {0, "none", 1}} {
		if got := lists(tt.stop, tt.prefix); got != tt.want {
			t.Errorf("listing %q, stopped after %d, costs %d pages, want %d", tt.prefix, tt.stop, got, tt.want)
		}
	}
}

// TestNamesInState: names that are no UTF-8 keep their thaws apart.
func TestNamesInState(t *testing.T) {
	t.Parallel()
	s := newSim(t, noon, coldsim.Options{Class: backends.Glacier})
	names := []string{"a\xff", "a\xfe", "a%FF", "a\nb", `a"b`}
	s.put(names...)
	s.thaw(names[0], backends.Bulk, day)
	again := open(t, s.Dir(), coldsim.Options{Class: backends.Glacier, Clock: s.clock})
	for i, name := range names {
		info, err := again.Stat(t.Context(), name)
		if want := i == 0; err != nil || (info.State == backends.Thawing) != want {
			t.Errorf("%q is %v, %v; thawing: want %v", name, info.State, err, want)
		}
	}
	var billed []string
	for _, e := range s.bill() {
		if e.Kind == coldsim.EventPut {
			billed = append(billed, e.Name)
		}
	}
	if diff := cmp.Diff(names, billed); diff != "" {
		t.Errorf("names on the bill (-want +got):\n%s", diff)
	}
}

// TestExisting: a directory of files becomes a store with all of them frozen.
func TestExisting(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	hot := open(t, dir, coldsim.Options{})
	if _, err := hot.Put(t.Context(), "file", bytes.NewReader(nil), backends.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	cold := open(t, dir, coldsim.Options{Class: backends.PCA})
	info, err := cold.Stat(t.Context(), "file")
	if err != nil || info.State != backends.Frozen {
		t.Errorf("file is %v, %v; want frozen", info.State, err)
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, tt := range map[string]struct {
		dir  string
		opts coldsim.Options
		kind error
	}{
		"class":   {dir, coldsim.Options{Class: "TEPID"}, backends.ErrUnsupported},
		"missing": {dir + "/missing", coldsim.Options{}, backends.ErrNoStore},
		"speedup": {dir, coldsim.Options{Speedup: -1}, nil},
		"path":    {"relative", coldsim.Options{}, nil},
	} {
		s, err := coldsim.New(tt.dir, tt.opts)
		if s != nil || err == nil || tt.kind != nil && !errors.Is(err, tt.kind) {
			t.Errorf("%s: New = %v, %v; want an error, %v", name, s, err, tt.kind)
		}
	}
}
