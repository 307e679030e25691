package backendtest

import (
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isotherm-backup/isotherm/backends"
)

const (
	second = time.Second
	day    = 24 * time.Hour
)

// coldTests are about thaws. Each of them also says what holds for stores that
// never freeze.
func coldTests() []check {
	return []check{
		{"Frozen", testFrozen},
		{"ThawOnline", testThawOnline},
		{"ThawSpeeds", testThawSpeeds},
		{"ThawUnsupported", testThawUnsupported},
		{"ThawMissing", testThawMissing},
		{"ThawExpiry", testThawExpiry},
		{"ThawExtend", testThawExtend},
		{"ThawUpgrade", testThawUpgrade},
		{"ThawOtherKeep", testThawOtherKeep},
		{"ThawReplaced", testThawReplaced},
		{"ThawRace", testThawRace},
	}
}

// request sends a thaw request that must not fail.
func (p *place) request(name string, req backends.ThawRequest) backends.ThawOutcome {
	p.Helper()
	outcome, err := backends.Thaw(p.Context(), p.store, name, req)
	if err != nil {
		p.Fatalf("Thaw(%q, %+v): %v", name, req, err)
	}
	return outcome
}

// wantOutcome sends a thaw request and checks the answer.
func (p *place) wantOutcome(name string, req backends.ThawRequest, want backends.ThawOutcome) {
	p.Helper()
	if got := p.request(name, req); got != want {
		p.Errorf("Thaw(%q, %+v) is %v, want %v", name, req, got, want)
	}
}

// thaw makes a file readable.
func (p *place) thaw(name string) {
	p.Helper()
	if !p.terms.Cold || p.stat(name).Readable() {
		return
	}
	p.request(name, backends.ThawRequest{Speed: p.fastest(), Keep: 3 * day})
	p.awaitState(name, backends.Thawed, p.terms.Speeds[p.fastest()].Max)
}

// fastest returns the speed with the shortest time.
func (p *place) fastest() backends.Speed { return p.speeds()[0] }

// speeds returns the speeds of the store, fastest first.
func (p *place) speeds() []backends.Speed {
	if len(p.terms.Speeds) == 0 {
		return []backends.Speed{backends.SpeedStandard}
	}
	return slices.SortedFunc(maps.Keys(p.terms.Speeds), func(a, b backends.Speed) int {
		return int(p.terms.Speeds[a].Max - p.terms.Speeds[b].Max)
	})
}

// awaitState lets time pass until a file is in a state, which it must be within
// about d.
func (p *place) awaitState(name string, want backends.State, d time.Duration) {
	p.Helper()
	const steps = 12
	end := p.clock.Now().Add(d + d/4)
	for {
		now := p.clock.Now()
		info := p.stat(name)
		if info.State == want {
			return
		}
		if now.After(end) {
			p.Fatalf("%q is %v after %v, want %v", name, info.State, d+d/4, want)
		}
		p.pass(d / steps)
	}
}

// pass lets d of the store's time pass.
func (p *place) pass(d time.Duration) {
	p.Helper()
	if c, ok := p.clock.(interface{ Advance(time.Duration) }); ok {
		c.Advance(d)
		return
	}
	if err := p.clock.Sleep(p.Context(), d); err != nil {
		p.Fatal(err)
	}
}

// slack is by how much the dates of files and the clock may differ: two seconds
// of real time, and nothing on a clock that stands still.
func (p *place) slack() time.Duration {
	real, sim := time.Now(), p.clock.Now()
	if _, ok := p.clock.(interface{ Advance(time.Duration) }); ok {
		return 0
	}
	if err := p.clock.Sleep(p.Context(), second); err != nil {
		p.Fatal(err)
	}
	rate := float64(p.clock.Now().Sub(sim)) / float64(time.Since(real))
	return time.Duration(max(1, rate) * float64(2*second))
}

// wantState checks what Stat and List say of a file's state, and that Get agrees.
func (p *place) wantState(name string, want backends.State) {
	p.Helper()
	if got := p.stat(name); got.State != want {
		p.Errorf("Stat says that %q is %v, want %v", name, got.State, want)
	}
	var got backends.State
	p.settle(func() bool {
		for _, info := range p.list(name) {
			if info.Name == name {
				got = info.State
			}
		}
		return got == want
	})
	if got != want {
		p.Errorf("List says that %q is %v, want %v", name, got, want)
	}
}

// wantFrozen checks that a file is in a state in which it cannot be read, and
// that reading says so.
func (p *place) wantFrozen(name string, want backends.State) {
	p.Helper()
	p.wantState(name, want)
	body, err := p.store.Get(p.Context(), name, 0, -1)
	if err == nil {
		body.Close()
	}
	var frozen *backends.FrozenError
	if !errors.As(err, &frozen) || !errors.Is(err, backends.ErrFrozen) {
		p.Errorf("Get of the %v %q: %v, want a FrozenError", want, name, err)
		return
	}
	if frozen.Name != name || frozen.State != want || frozen.Class != p.stat(name).Class || frozen.Class == "" {
		p.Errorf("Get of the %v %q: %+v", want, name, frozen)
	}
	for _, kind := range []error{fs.ErrNotExist, fs.ErrPermission, backends.ErrTransient, backends.ErrCorrupt} {
		if errors.Is(err, kind) {
			p.Errorf("Get of the %v %q is %v too", want, name, kind)
		}
	}
}

// testFrozen: what is put is frozen, can be seen and deleted, and does not thaw
// from being looked at.
func testFrozen(p *place) {
	if !p.terms.Cold {
		p.put("file", []byte("hello"))
		p.wantState("file", backends.Ready)
		return
	}
	p.put("file", []byte("hello"))
	p.put("other", []byte("hello"))
	for range 3 {
		p.wantFrozen("file", backends.Frozen)
	}
	p.pass(p.terms.Speeds[p.fastest()].Max)
	p.wantFrozen("file", backends.Frozen)
	p.wantList("", "file", "other")
	if err := p.store.Delete(p.Context(), "file"); err != nil {
		p.Errorf("Delete of a frozen file: %v", err)
	}
	p.wantAbsent("file")
}

// testThawOnline: where nothing freezes, there is nothing to thaw.
func testThawOnline(p *place) {
	p.put("file", []byte("hello"))
	if p.terms.Cold {
		if len(p.terms.Speeds) == 0 {
			p.Error("Terms of a cold store name no speed")
		}
		return
	}
	p.wantOutcome("file", backends.ThawRequest{Speed: backends.Bulk, Keep: day}, backends.Online)
	p.wantState("file", backends.Ready)
}

func testThawSpeeds(p *place) {
	for speed, times := range p.terms.Speeds {
		name := "file-" + string(speed)
		p.put(name, []byte("hello"))
		req := backends.ThawRequest{Speed: speed, Keep: day}
		from := p.clock.Now()
		p.wantOutcome(name, req, backends.Started)
		outcome := p.request(name, req)
		if early := p.clock.Now().Sub(from) < times.Min; early && outcome != backends.Underway {
			p.Errorf("the same request again is %v, want %v", outcome, backends.Underway)
		} else if early {
			p.wantThawing(name, from.Add(times.Min))
		}
		p.awaitState(name, backends.Thawed, times.Max)
		if took := p.clock.Now().Sub(from); took < times.Min {
			p.Errorf("a thaw at speed %s took %v, want at least %v", speed, took, times.Min)
		}
		if got := p.read(name, 0, -1); string(got) != "hello" {
			p.Errorf("a thawed file reads %q", got)
		}
		p.wantState(name, backends.Thawed)
	}
}

// wantThawing checks a thawing file, unless a fast clock has passed the time at
// which it may be ready.
func (p *place) wantThawing(name string, until time.Time) {
	p.Helper()
	_, err := p.store.Get(p.Context(), name, 0, -1)
	info := p.stat(name)
	if !p.clock.Now().Before(until) {
		return
	}
	var frozen *backends.FrozenError
	if !errors.As(err, &frozen) || frozen.State != backends.Thawing || info.State != backends.Thawing {
		p.Errorf("a thawing file is %v, and Get says %v", info.State, err)
		return
	}
	// Services tell the whole seconds that are left, of which the two ask apart.
	if !info.At.IsZero() && (info.At.Before(until) || frozen.ReadyAt.Sub(info.At).Abs() > 2*second) {
		p.Errorf("a thawing file is ready at %v by Stat, %v by Get, want about the same and after %v", info.At, frozen.ReadyAt, until)
	}
}

// testThawUnsupported: a speed that is not offered is refused, and starts
// nothing.
func testThawUnsupported(p *place) {
	if !p.terms.Cold {
		return
	}
	p.put("file", []byte("hello"))
	thawer := p.store.(backends.Thawer)
	for _, speed := range []backends.Speed{"", "warp", backends.Expedited, backends.SpeedStandard, backends.Bulk, backends.SpeedOnly} {
		if _, ok := p.terms.Speeds[speed]; ok {
			continue
		}
		_, err := thawer.Thaw(p.Context(), "file", backends.ThawRequest{Speed: speed, Keep: day})
		p.wantErr("Thaw at speed "+string(speed), err, backends.ErrUnsupported)
	}
	p.wantFrozen("file", backends.Frozen)
}

func testThawMissing(p *place) {
	_, err := backends.Thaw(p.Context(), p.store, "missing", backends.ThawRequest{Speed: p.fastest(), Keep: day})
	p.wantErr("Thaw of no file", err, fs.ErrNotExist)
}

// testThawExpiry: a thawed file freezes again, and can be thawed again.
func testThawExpiry(p *place) {
	if !p.terms.Cold {
		return
	}
	p.put("file", []byte("hello"))
	for range 2 {
		p.wantOutcome("file", backends.ThawRequest{Speed: p.fastest(), Keep: day}, backends.Started)
		p.awaitState("file", backends.Thawed, p.terms.Speeds[p.fastest()].Max)
		readable, info := p.clock.Now(), p.stat("file")
		if !info.At.IsZero() && !info.At.After(readable) {
			p.Errorf("a thawed file freezes at %v, in the past of %v", info.At, readable)
		}
		// A day, rounded up to midnight at the most.
		p.awaitState("file", backends.Frozen, 2*day)
		if now := p.clock.Now(); now.Before(info.At) {
			p.Errorf("a thawed file froze before %v, want not before %v", now, info.At)
		}
		p.wantFrozen("file", backends.Frozen)
	}
}

// testThawExtend: an expiry counts from the last request, so that it can be moved
// both ways; or it cannot be moved.
func testThawExtend(p *place) {
	if !p.terms.Cold {
		return
	}
	p.put("file", []byte("hello"))
	p.thaw("file")
	if !p.terms.Extend {
		before := p.stat("file")
		p.wantOutcome("file", backends.ThawRequest{Speed: p.fastest(), Keep: 9 * day}, backends.Unchanged)
		if diff := cmp.Diff(before, p.stat("file")); diff != "" {
			p.Errorf("a request to a store that cannot extend changed (-before +after):\n%s", diff)
		}
		return
	}
	for _, days := range []time.Duration{10, 30, 5} {
		from := p.clock.Now()
		p.wantOutcome("file", backends.ThawRequest{Speed: p.speeds()[0], Keep: days * day}, backends.Extended)
		// Rounded up to midnight at the most.
		earliest, latest := from.Add(days*day), p.clock.Now().Add((days+1)*day)
		if at := p.stat("file").At; !at.IsZero() && (at.Before(earliest) || at.After(latest)) {
			p.Errorf("at %v, %d days on, the file freezes at %v", from, days, at)
		}
	}
	p.pass(4 * day)
	p.wantState("file", backends.Thawed)
	p.awaitState("file", backends.Frozen, 3*day)
}

// testThawUpgrade: a thaw can be made faster, and never slower.
func testThawUpgrade(p *place) {
	speeds := p.speeds()
	if !p.terms.Cold || !p.terms.Upgrade || len(speeds) < 2 {
		return
	}
	fast, slow := speeds[0], speeds[len(speeds)-1]
	p.put("file", []byte("hello"))
	from := p.clock.Now()
	p.wantOutcome("file", backends.ThawRequest{Speed: slow, Keep: day}, backends.Started)
	p.wantOutcome("file", backends.ThawRequest{Speed: fast, Keep: day}, backends.Upgraded)
	if outcome := p.request("file", backends.ThawRequest{Speed: slow, Keep: day}); p.clock.Now().Before(from.Add(p.terms.Speeds[fast].Min)) && outcome != backends.Underway {
		p.Errorf("a slower request is %v, want %v", outcome, backends.Underway)
	}
	p.awaitState("file", backends.Thawed, p.terms.Speeds[fast].Max)
}

// testThawOtherKeep: while a thaw runs, the time for which it keeps the file
// cannot be changed.
func testThawOtherKeep(p *place) {
	speeds := p.speeds()
	if !p.terms.Cold || !p.terms.Keep {
		return
	}
	slow := speeds[len(speeds)-1]
	p.put("file", []byte("hello"))
	p.wantOutcome("file", backends.ThawRequest{Speed: slow, Keep: day}, backends.Started)
	p.wantOutcome("file", backends.ThawRequest{Speed: slow, Keep: 30 * day}, backends.Underway)
	p.awaitState("file", backends.Thawed, p.terms.Speeds[slow].Max)
	p.awaitState("file", backends.Frozen, 3*day)
}

// testThawReplaced: a file that replaces a thawed one, or is put after it was
// deleted, is frozen.
func testThawReplaced(p *place) {
	if !p.terms.Cold {
		return
	}
	for _, remove := range []bool{false, true} {
		p.put("file", []byte("old"))
		p.thaw("file")
		if remove {
			if err := p.store.Delete(p.Context(), "file"); err != nil {
				p.Fatal(err)
			}
			p.wantAbsent("file")
		}
		if info := p.put("file", []byte("new")); info.State != backends.Frozen {
			p.Errorf("Put of a new file of the name: info is %+v", info)
		}
		p.wantFrozen("file", backends.Frozen)
		p.wantFile("file", []byte("new"))
	}
}

// testThawRace lets several ask at once: one starts the thaw.
func testThawRace(p *place) {
	if !p.terms.Cold {
		return
	}
	p.put("file", []byte("hello"))
	speeds := p.speeds()
	outcomes := make(chan backends.ThawOutcome, 8)
	var wg sync.WaitGroup
	for range cap(outcomes) {
		wg.Go(func() {
			outcome, err := backends.Thaw(p.Context(), p.store, "file", backends.ThawRequest{Speed: speeds[len(speeds)-1], Keep: day})
			if err != nil {
				p.Errorf("Thaw: %v", err)
			}
			outcomes <- outcome
		})
	}
	wg.Wait()
	close(outcomes)
	count := make(map[backends.ThawOutcome]int)
	for o := range outcomes {
		count[o]++
	}
	if count[backends.Started] != 1 || count[backends.Underway] != cap(outcomes)-1 {
		p.Errorf("outcomes of %d requests at once: %v, want one %v and else %v", cap(outcomes), count, backends.Started, backends.Underway)
	}
}

// testThawReopen looks at thaws through a second store.
func testThawReopen(p *place) {
	if !p.terms.Cold {
		return
	}
	p.put("file", []byte("hello"))
	p.put("later", []byte("hello"))
	again := *p
	again.store = p.Harness.Reopen(p.T, p.store)
	defer again.store.Close()
	p.thaw("file")
	if diff := cmp.Diff(p.stat("file"), again.stat("file")); diff != "" {
		p.Errorf("a thawed file, seen again (-first +second):\n%s", diff)
	}
	again.wantFile("file", []byte("hello"))
	again.thaw("later")
	p.wantFile("later", []byte("hello"))
	if _, err := p.store.Put(p.Context(), "later", strings.NewReader("new"), backends.PutOptions{}); err != nil {
		p.Fatal(err)
	}
	again.wantFrozen("later", backends.Frozen)
}
