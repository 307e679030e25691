package thaw

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/policy/price"
	"github.com/isotherm-backup/isotherm/tiering"
)

// now is in a month of 744 hours, as the cost examples have it.
var now = time.Date(2027, 3, 1, 6, 20, 0, 0, time.UTC)

const volume = 200 << 20

// The terms of the two cold classes of S3, cold-storage spec section 3.
var (
	glacier = backends.Terms{
		Cold: true, Keep: true, Extend: true, Upgrade: true, RequestRate: 1000,
		Speeds: map[backends.Speed]backends.Times{
			backends.Expedited:     {Min: time.Minute, Max: 5 * time.Minute},
			backends.SpeedStandard: {Min: 3 * time.Hour, Max: 5 * time.Hour},
			backends.Bulk:          {Min: 5 * time.Hour, Max: 12 * time.Hour},
		},
	}
	deepArchive = backends.Terms{
		Cold: true, Keep: true, Extend: true, Upgrade: true, RequestRate: 1000,
		Speeds: map[backends.Speed]backends.Times{
			backends.SpeedStandard: {Min: 9 * time.Hour, Max: 12 * time.Hour},
			backends.Bulk:          {Min: 12 * time.Hour, Max: 48 * time.Hour},
		},
	}
	pca = backends.Terms{
		Cold:   true,
		Speeds: map[backends.Speed]backends.Times{backends.SpeedOnly: {Min: 10 * time.Minute, Max: 12 * time.Hour}},
	}
)

func book(t testing.TB, id string) *price.Book {
	t.Helper()
	b, err := price.Open(id, "")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// files makes n files of one size with the same copies.
func files(n int, size int64, copies ...tiering.Copy) []*tiering.File {
	all := make([]*tiering.File, n)
	block := make([]tiering.File, n)
	for i := range all {
		block[i] = tiering.File{Name: fmt.Sprintf("duplicity-full.20240101T000000Z.vol%d.difftar.gpg", i+1), Size: size, Copies: copies}
		all[i] = &block[i]
	}
	return all
}

func frozenIn(stores ...uint16) []tiering.Copy {
	var copies []tiering.Copy
	for _, s := range stores {
		copies = append(copies, tiering.Copy{Store: s, State: backends.Frozen})
	}
	return copies
}

func deep(t testing.TB) StoreTerms {
	return StoreTerms{Name: "deep", Class: backends.DeepArchive, Terms: deepArchive, Book: book(t, "aws/us-east-1")}
}

func plan(t testing.TB, r Request) *Plan {
	t.Helper()
	r.Now = now
	p, err := NewPlan(r)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestPlanOfExamples pins the plan of the cost examples V4 to V7: 500 GB from
// DEEP_ARCHIVE.
func TestPlanOfExamples(t *testing.T) {
	t.Parallel()
	p := plan(t, Request{Files: files(2560, volume, frozenIn(0)...), Stores: []StoreTerms{deep(t)}, Keep: 7 * day})
	if len(p.Quotes) != 2 || p.Quotes[0].Speed != backends.SpeedStandard || p.Quotes[1].Speed != backends.Bulk {
		t.Fatalf("quotes = %v, want standard and bulk", p.Quotes)
	}
	bulk := p.Quotes[1]
	bulk.Speed = p.Chosen.Speed
	if diff := cmp.Diff(p.Chosen, bulk, cmp.Comparer(sameAmount)); diff != "" || p.Chosen.Speed != backends.Bulk {
		t.Errorf("chosen %q is not bulk: %s", p.Chosen.Speed, diff)
	}
	got := p.Chosen.Prices[0]
	// Requests: 2560/1000 x (0.025 + 0.0004) + listings: the first poll after
	// 6 h, then every 15 min until 48 h, one more since sending takes 2.56 s:
	// 1 + 42 x 4 + 1 polls of 3 pages: 510/1000 x 0.005.
	for what, c := range map[string]struct {
		amount price.Amount
		want   string
	}{
		"retrieval": {got.Retrieval, "1.250000"},
		"requests":  {got.Requests, "0.067574"},
		"copy":      {got.Copy, "2.967742"},
		"egress":    {got.Egress, "45.000000"},
		"total":     {got.Total, "49.285316"},
	} {
		if c.amount.Decimal(6) != c.want {
			t.Errorf("%s = %s, want %s", what, c.amount.Decimal(6), c.want)
		}
	}
	if want := now.Add(48*time.Hour + 2560*time.Millisecond); !p.Chosen.ReadyBy.Equal(want) {
		t.Errorf("ready by %s, want %s", p.Chosen.ReadyBy, want)
	}
}

func sameAmount(a, b price.Amount) bool {
	return a.Currency == b.Currency && a.Rat().Cmp(b.Rat()) == 0 && a.Complete() == b.Complete()
}

// TestPlanMixesSpeeds: 10 MB/s carry 500 GB in 14.9 h; a deadline of 55 h
// leaves 7 h after bulk retrieval. What those cannot carry comes by standard.
func TestPlanMixesSpeeds(t *testing.T) {
	t.Parallel()
	p := plan(t, Request{
		Files: files(2560, volume, frozenIn(0)...), Stores: []StoreTerms{deep(t)},
		Deadline: 55 * time.Hour, Bandwidth: 10e6,
	})
	counts := map[backends.Speed]int{}
	for i := range p.Len() {
		counts[p.Waves[p.Files.Waves[i]].Speed]++
		if i > 0 && p.Waves[p.Files.Waves[i]].Speed == backends.SpeedStandard && p.Waves[p.Files.Waves[i-1]].Speed == backends.Bulk {
			t.Fatalf("file %d comes by standard after one by bulk", i)
		}
	}
	// 7 h less the 2.56 s of sending requests at 10 MB/s are 251,974,400,000
	// bytes: 1201 volumes.
	if counts[backends.Bulk] != 1201 || counts[backends.SpeedStandard] != 2560-1201 {
		t.Errorf("speeds = %v, want 1201 bulk and the rest standard", counts)
	}
	if !p.Chosen.InTime || p.Chosen.DownloadedBy.After(p.Deadline) {
		t.Errorf("downloaded by %s, deadline %s", p.Chosen.DownloadedBy, p.Deadline)
	}
	if p.Chosen.Speed != "" {
		t.Errorf("speed = %q, want none: they are mixed", p.Chosen.Speed)
	}
}

func TestPlanDeadline(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		deadline  time.Duration
		bandwidth int64
		limit     Limit
		earliest  time.Duration
	}{
		{"thaw", 11 * time.Hour, 100e9, ByThaw, 12 * time.Hour},
		{"bandwidth", 24 * time.Hour, 1e6, ByBandwidth, 12*time.Hour + 536870912*time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := deep(t)
			s.Terms.RequestRate = 0
			_, err := NewPlan(Request{
				Files: files(2560, volume, frozenIn(0)...), Stores: []StoreTerms{s}, Now: now,
				Deadline: tt.deadline, Bandwidth: tt.bandwidth,
			})
			late, ok := errors.AsType[*DeadlineError](err)
			if !ok {
				t.Fatalf("err = %v, want a DeadlineError", err)
			}
			if late.Limit != tt.limit || late.Earliest.Sub(now.Add(tt.earliest)).Abs() > 10*time.Second {
				t.Errorf("limit %s, earliest %s; want %s, %s", late.Limit, late.Earliest.Sub(now), tt.limit, tt.earliest)
			}
		})
	}
}

func TestPlanMaxCost(t *testing.T) {
	t.Parallel()
	limit := func(s, currency string) *price.Amount {
		a, err := price.NewAmount(s, currency)
		if err != nil {
			t.Fatal(err)
		}
		return &a
	}
	unknown := deep(t)
	unknown.Book = book(t, "aws/eu-west-1")
	bare := deep(t)
	bare.Book = nil
	for _, tt := range []struct {
		name  string
		store StoreTerms
		max   *price.Amount
		ok    bool
		by    string
	}{
		{"below", deep(t), limit("49.29", "USD"), true, ""},
		{"above", deep(t), limit("49.28", "USD"), false, "0.005316"},
		{"unknown prices", unknown, limit("1000", "USD"), false, ""},
		{"no book", bare, limit("1000", "USD"), false, ""},
		{"other currency", deep(t), limit("1000", "EUR"), false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p, err := NewPlan(Request{
				Files: files(2560, volume, frozenIn(0)...), Stores: []StoreTerms{tt.store}, Now: now, Keep: 7 * day, MaxCost: tt.max,
			})
			if tt.ok {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			dear, ok := errors.AsType[*CostError](err)
			if !ok {
				t.Fatalf("err = %v, want a CostError", err)
			}
			if p == nil {
				t.Error("no plan to show")
			}
			if tt.by == "" && dear.By.Currency != "" || tt.by != "" && dear.By.Decimal(6) != tt.by {
				t.Errorf("by = %s, want %q", dear.By.Decimal(6), tt.by)
			}
		})
	}
}

// TestPlanStates: what is readable costs nothing to thaw, what is thawing is
// waited for, and what would freeze before it is read is extended.
func TestPlanStates(t *testing.T) {
	t.Parallel()
	s := deep(t)
	s.Terms.RequestRate = 0
	at := func(d time.Duration) tiering.Instant { return tiering.InstantOf(now.Add(d)) }
	for _, tt := range []struct {
		name   string
		copies []tiering.Copy
		action Action
		store  int
		ready  time.Duration
	}{
		{"hot", []tiering.Copy{{Store: 1, State: backends.Ready}}, Read, 1, 0},
		{"hot and frozen", []tiering.Copy{{Store: 0, State: backends.Frozen}, {Store: 1, State: backends.Ready}}, Read, 1, 0},
		{"thawed for long", []tiering.Copy{{State: backends.Thawed, At: at(5 * day)}}, Read, 0, 0},
		{"thawed, end not told", []tiering.Copy{{State: backends.Thawed}}, Read, 0, 0},
		{"thawed, freezes soon", []tiering.Copy{{State: backends.Thawed, At: at(time.Minute)}}, Extend, 0, 0},
		{"thawing, time told", []tiering.Copy{{State: backends.Thawing, At: at(2 * time.Hour)}}, Wait, 0, 2 * time.Hour},
		{"thawing", []tiering.Copy{{State: backends.Thawing}}, Wait, 0, 48 * time.Hour},
		{"frozen", []tiering.Copy{{State: backends.Frozen}}, Thaw, 0, 48 * time.Hour},
		{"unknown", []tiering.Copy{{State: backends.StateUnknown}}, Thaw, 0, 48 * time.Hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := plan(t, Request{
				Files:  files(1, volume, tt.copies...),
				Stores: []StoreTerms{s, {Name: "hot", Class: backends.Standard, Book: s.Book}},
			})
			w := p.Waves[0]
			if w.Action != tt.action || w.Store != tt.store || !w.ReadyBy.Equal(now.Add(tt.ready)) {
				t.Errorf("%s from store %d after %s; want %s from %d after %s", w.Action, w.Store, w.ReadyBy.Sub(now), tt.action, tt.store, tt.ready)
			}
			asked := tt.action == Thaw || tt.action == Extend
			if got := !p.Chosen.Prices[0].Copy.IsZero(); got != asked {
				t.Errorf("the copy is paid for: %v, want %v", got, asked)
			}
		})
	}
	if _, err := NewPlan(Request{Files: files(1, 1), Stores: []StoreTerms{s}, Now: now}); !errors.Is(err, ErrNoCopy) {
		t.Errorf("without a copy: %v, want ErrNoCopy", err)
	}
}

func TestPlanSpeed(t *testing.T) {
	t.Parallel()
	b := book(t, "aws/us-east-1")
	stores := []StoreTerms{deep(t), {Name: "glacier", Class: backends.Glacier, Terms: glacier, Book: b}}
	_, err := NewPlan(Request{Files: files(3, volume, frozenIn(0)...), Stores: stores, Now: now, Speed: backends.Expedited})
	if _, ok := errors.AsType[*SpeedError](err); !ok || !errors.Is(err, backends.ErrUnsupported) {
		t.Errorf("expedited from DEEP_ARCHIVE alone: %v, want a SpeedError", err)
	}
	striped := append(files(2, volume, frozenIn(0)...), files(2, volume, frozenIn(1)...)...)
	p := plan(t, Request{Files: striped, Stores: stores, Speed: backends.Expedited})
	if got := []backends.Speed{p.Waves[0].Speed, p.Waves[1].Speed}; !cmp.Equal(got, []backends.Speed{backends.SpeedStandard, backends.Expedited}) {
		t.Errorf("speeds = %v, want standard where expedited is not offered", got)
	}
}

// TestPlanPrefersCheaperMirror: bulk retrieval from GLACIER is free.
func TestPlanPrefersCheaperMirror(t *testing.T) {
	t.Parallel()
	b := book(t, "aws/us-east-1")
	p := plan(t, Request{
		Files:  files(5, volume, frozenIn(0, 1)...),
		Stores: []StoreTerms{deep(t), {Name: "glacier", Class: backends.Glacier, Terms: glacier, Book: b}},
	})
	if got := p.Store(0); got != "glacier" {
		t.Errorf("store = %s, want glacier", got)
	}
}

// TestPlanFreeStore: nothing is paid for reading a folder. Its copy is taken
// before one that costs, and needs no price book to stay below a limit.
func TestPlanFreeStore(t *testing.T) {
	t.Parallel()
	online := StoreTerms{Name: "online", Class: backends.Standard, Book: book(t, "aws/us-east-1")}
	folder := StoreTerms{Name: "folder", Free: true}
	limit, err := price.NewAmount("1", "USD")
	if err != nil {
		t.Fatal(err)
	}
	in := func(s uint16) tiering.Copy { return tiering.Copy{Store: s, State: backends.Ready} }
	p := plan(t, Request{Files: files(5, volume, in(0), in(1)), Stores: []StoreTerms{online, folder}, MaxCost: &limit})
	if got := p.Store(0); got != "folder" || len(p.Chosen.Prices) != 0 {
		t.Errorf("read from %s for %v, want folder for nothing", got, p.Chosen.Prices)
	}
	mixed := append(files(1, volume, in(1)), files(1, volume, frozenIn(0)...)...)
	p = plan(t, Request{Files: mixed, Stores: []StoreTerms{deep(t), folder}, MaxCost: &limit})
	alone := plan(t, Request{Files: mixed[1:], Stores: []StoreTerms{deep(t), folder}})
	if got, want := p.Chosen.Prices, alone.Chosen.Prices; len(got) != 1 || !sameAmount(got[0].Total, want[0].Total) {
		t.Errorf("a frozen volume beside one in a folder costs %v, want %v", got, want)
	}
}

// TestPlanCurrencies: prices in several currencies are not compared. Copies in
// that of the limit are taken, or in that of the first store.
func TestPlanCurrencies(t *testing.T) {
	t.Parallel()
	euro := StoreTerms{Name: "pca", Class: backends.PCA, Terms: pca, Book: book(t, "ovh-swift")}
	limit, err := price.NewAmount("100", "USD")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		stores []StoreTerms
		max    *price.Amount
		want   string
	}{
		{"first store's", []StoreTerms{euro, deep(t)}, nil, "pca"},
		{"first store's", []StoreTerms{deep(t), euro}, nil, "deep"},
		{"the limit's", []StoreTerms{euro, deep(t)}, &limit, "deep"},
	} {
		p := plan(t, Request{Files: files(5, volume, frozenIn(0, 1)...), Stores: tt.stores, MaxCost: tt.max})
		if got := p.Store(0); got != tt.want {
			t.Errorf("%s: store = %s, want %s", tt.name, got, tt.want)
		}
	}
	both := append(files(1, volume, frozenIn(0)...), files(1, volume, frozenIn(1)...)...)
	if got := plan(t, Request{Files: both, Stores: []StoreTerms{euro, deep(t)}}).Chosen.Prices; len(got) != 2 {
		t.Errorf("%d prices, want one per currency", len(got))
	}
}

// TestPlanEgressSteps: what leaves two stores of one book passes the steps
// together: 10,240 GB x 0.09 + 2,060 GB x 0.085.
func TestPlanEgressSteps(t *testing.T) {
	t.Parallel()
	const half = 6150 << 30
	p := plan(t, Request{
		Files:  append(files(1, half, frozenIn(0)...), files(1, half, frozenIn(1)...)...),
		Stores: []StoreTerms{deep(t), {Name: "glacier", Class: backends.Glacier, Terms: glacier, Book: book(t, "aws-us-east-1")}},
	})
	if got, want := p.Chosen.Prices[0].Egress.Decimal(2), "1096.70"; got != want {
		t.Errorf("egress = %s, want %s", got, want)
	}
}

// TestPlanWaves: 50 TB at 50 MB/s take 12.2 days. Each wave is read before its
// first file freezes, and asked for no earlier than needed.
func TestPlanWaves(t *testing.T) {
	t.Parallel()
	const bandwidth = 50e6
	for _, keep := range []time.Duration{0, 4 * day} {
		p := plan(t, Request{Files: files(250000, volume, frozenIn(0)...), Stores: []StoreTerms{deep(t)}, Bandwidth: bandwidth, Keep: keep})
		if len(p.Waves) < 5 {
			t.Fatalf("%d waves, want several", len(p.Waves))
		}
		for i, w := range p.Waves {
			if freezes := w.ReadyFrom.Add(w.Keep); w.DownloadedBy.After(freezes) {
				t.Errorf("keep %s, wave %d: downloaded by %s, its first file freezes %s", keep, i, w.DownloadedBy, freezes)
			}
			if i > 0 && w.ReadyBy.After(p.Waves[i-1].DownloadedBy.Add(time.Second)) {
				t.Errorf("wave %d makes the line wait: ready %s, line free %s", i, w.ReadyBy, p.Waves[i-1].DownloadedBy)
			}
		}
		length := 250000 * float64(volume) / bandwidth
		if got, want := p.Chosen.DownloadedBy.Sub(p.Waves[0].ReadyBy), time.Duration(length*1e9); (got - want).Abs() > time.Second {
			t.Errorf("waves make the download last %s instead of %s", got, want)
		}
	}
}

func TestPlanJSON(t *testing.T) {
	t.Parallel()
	r := Request{Files: files(20, volume, frozenIn(0)...), Stores: []StoreTerms{deep(t)}, Deadline: 60 * time.Hour, Bandwidth: 1e6}
	p := plan(t, r)
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(plan(t, r))
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != string(again) {
		t.Error("the same request made two different plans")
	}
	var back Plan
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	rates := cmp.Comparer(func(a, b *big.Rat) bool { return a == b || a != nil && b != nil && a.Cmp(b) == 0 })
	amounts := cmp.Comparer(func(a, b price.Amount) bool { return a.String() == b.String() })
	if diff := cmp.Diff(p, &back, rates, amounts, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
}

// drawRequest draws small requests over all kinds of store and state.
func drawRequest(t *rapid.T, books map[string]*price.Book) Request {
	kinds := []StoreTerms{
		{Name: "deep", Class: backends.DeepArchive, Terms: deepArchive, Book: books["aws-us-east-1"]},
		{Name: "glacier", Class: backends.Glacier, Terms: glacier, Book: books["aws-us-east-1"]},
		{Name: "hot", Class: backends.Standard, Book: books["aws-us-east-1"]},
		{Name: "pca", Class: backends.PCA, Terms: pca, Book: books["ovh-swift"]},
		{Name: "bare", Class: backends.Glacier, Terms: glacier},
	}
	r := Request{Now: now}
	r.Stores = rapid.SliceOfNDistinct(rapid.SampledFrom(kinds), 1, 4, func(s StoreTerms) string { return s.Name }).Draw(t, "stores")
	r.Bandwidth = rapid.SampledFrom([]int64{0, 1e4, 1e5, 1e6, 1e8}).Draw(t, "bandwidth")
	r.Deadline = rapid.SampledFrom([]time.Duration{0, time.Hour, 6 * time.Hour, 15 * time.Hour, 50 * time.Hour, 200 * time.Hour}).Draw(t, "deadline")
	r.Keep = rapid.SampledFrom([]time.Duration{0, day, 3 * day}).Draw(t, "keep")
	for i := range rapid.IntRange(0, 40).Draw(t, "files") {
		f := &tiering.File{Name: fmt.Sprint("f", i), Size: rapid.Int64Range(0, 1<<30).Draw(t, "size")}
		for s := range r.Stores {
			if len(f.Copies) > 0 && rapid.Bool().Draw(t, "skip") {
				continue
			}
			c := tiering.Copy{Store: uint16(s), State: backends.Ready}
			if r.Stores[s].Terms.Cold {
				c.State = rapid.SampledFrom([]backends.State{backends.Frozen, backends.Frozen, backends.Thawing, backends.Thawed, backends.StateUnknown}).Draw(t, "state")
			}
			if c.State == backends.Thawed || c.State == backends.Thawing {
				c.At = tiering.InstantOf(now.Add(time.Duration(rapid.IntRange(-1, 80).Draw(t, "at")) * time.Hour))
			}
			f.Copies = append(f.Copies, c)
		}
		r.Files = append(r.Files, f)
	}
	return r
}

// TestPlanProperties: a plan has every file once, from a store that has it,
// keeps its deadline, and is never dearer than a plan of one speed in time.
func TestPlanProperties(t *testing.T) {
	t.Parallel()
	books := map[string]*price.Book{"aws-us-east-1": book(t, "aws-us-east-1"), "ovh-swift": book(t, "ovh-swift")}
	rapid.Check(t, func(t *rapid.T) {
		r := drawRequest(t, books)
		p, err := NewPlan(r)
		if late, ok := errors.AsType[*DeadlineError](err); ok {
			for _, q := range p.Quotes {
				if q.InTime {
					t.Fatalf("%v, but %s is in time", late, q.Speed)
				}
			}
			r.Deadline = late.Earliest.Sub(now) + time.Second
			if p, err = NewPlan(r); err != nil {
				t.Fatalf("not even in time by %s, which was called the earliest: %v", late.Earliest, err)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		checkPlan(t, r, p)
	})
}

func checkPlan(t *rapid.T, r Request, p *Plan) {
	if p.Len() != len(r.Files) {
		t.Fatalf("%d files in the plan, want %d", p.Len(), len(r.Files))
	}
	sums := make([]Count, len(p.Waves))
	for i, f := range r.Files {
		w := p.Waves[p.Files.Waves[i]]
		c := f.In(w.Store)
		if p.Files.Names[i] != f.Name || c == nil {
			t.Fatalf("file %d: %s from store %d, want one that has %s", i, p.Files.Names[i], w.Store, f.Name)
		}
		if cold := c.State == backends.Frozen; cold != (w.Action == Thaw) && c.State != backends.StateUnknown && c.State != backends.Thawing && c.State != backends.Thawed {
			t.Fatalf("file %d is %s: %s", i, c.State, w.Action)
		}
		sums[p.Files.Waves[i]].Files++
		sums[p.Files.Waves[i]].Bytes += f.Size
	}
	for i, w := range p.Waves {
		if sums[i] != (Count{w.Files, w.Bytes}) {
			t.Fatalf("wave %d has %v, says %d files, %d bytes", i, sums[i], w.Files, w.Bytes)
		}
		if r.Deadline > 0 && w.DownloadedBy.After(now.Add(r.Deadline)) {
			t.Fatalf("wave %d is downloaded by %s, the deadline is %s", i, w.DownloadedBy.Sub(now), r.Deadline)
		}
		if w.ReadyBy.Before(w.ReadyFrom) || w.DownloadedBy.Before(w.RequestAt) {
			t.Fatalf("wave %d: times out of order: %+v", i, w)
		}
	}
	for _, q := range p.Quotes {
		if !q.InTime || len(q.Prices) != 1 || len(p.Chosen.Prices) != 1 || !q.Prices[0].Total.Complete() {
			continue
		}
		if c, err := p.Chosen.Prices[0].Total.Cmp(q.Prices[0].Total); err == nil && c > 0 {
			t.Fatalf("the plan costs %s, %s alone %s", p.Chosen.Prices[0].Total, q.Speed, q.Prices[0].Total)
		}
	}
}

// TestPlanAgainstBruteForce tries every assignment of a few files: with files
// of one size the plan costs no more than the best one; with several sizes at
// most one file per speed comes by a dearer way than in the best one.
func TestPlanAgainstBruteForce(t *testing.T) {
	t.Parallel()
	b := book(t, "aws-us-east-1")
	rapid.Check(t, func(t *rapid.T) {
		uniform := rapid.Bool().Draw(t, "uniform")
		r := Request{
			Now: now, Bandwidth: 1e6,
			Deadline: time.Duration(rapid.IntRange(1, 60*60).Draw(t, "minutes")) * time.Minute,
			Stores: []StoreTerms{
				{Name: "deep", Class: backends.DeepArchive, Terms: deepArchive, Book: b},
				{Name: "glacier", Class: backends.Glacier, Terms: glacier, Book: b},
			},
		}
		for i := range rapid.IntRange(1, 6).Draw(t, "files") {
			f := &tiering.File{Name: fmt.Sprint("f", i), Size: 8 << 30}
			if !uniform {
				f.Size = rapid.Int64Range(1, 16<<30).Draw(t, "size")
			}
			f.Copies = rapid.SampledFrom([][]tiering.Copy{frozenIn(0), frozenIn(1), frozenIn(0, 1)}).Draw(t, "copies")
			r.Files = append(r.Files, f)
		}
		p, err := newPlanner(r)
		if err != nil {
			t.Fatal(err)
		}
		best, tolerance := bruteForce(p)
		got, late := p.choose(p.offered())
		if math.IsInf(best, 1) != (late != nil) {
			t.Fatalf("err = %v, best of all %g", late, best)
		}
		if late != nil {
			return
		}
		if uniform {
			tolerance = 0
		}
		if got.score > best*(1+1e-9)+tolerance {
			t.Fatalf("the plan costs %g, the best of all %g (tolerance %g)", got.score, best, tolerance)
		}
	})
}

// bruteForce returns the least score in time, and what one file per level may
// cost more.
func bruteForce(p *planner) (best, tolerance float64) {
	best = math.Inf(1)
	a := make(assignment, len(p.Files))
	var try func(i int)
	try = func(i int) {
		if i == len(a) {
			if o := p.outcome(a); o.quote.InTime && o.score < best {
				best = o.score
			}
			return
		}
		for _, w := range p.sets[p.setOf[i]].ways {
			a[i] = uint16(w)
			try(i + 1)
		}
	}
	try(0)
	for i, f := range p.Files {
		least, most := math.Inf(1), 0.0
		for _, w := range p.sets[p.setOf[i]].ways {
			least, most = min(least, p.ways[w].cost(f.Size)), max(most, p.ways[w].cost(f.Size))
		}
		tolerance = max(tolerance, most-least)
	}
	return best, tolerance * 4
}

func BenchmarkPlanMillion(b *testing.B) {
	r := Request{
		Files: files(1e6, volume, frozenIn(0, 1)...), Now: now,
		Stores:   []StoreTerms{deep(b), {Name: "glacier", Class: backends.Glacier, Terms: glacier, Book: book(b, "aws-us-east-1")}},
		Deadline: 0, Bandwidth: 500e6,
	}
	for name, deadline := range map[string]time.Duration{"cheapest": 0, "mixed": 122 * time.Hour} {
		b.Run(name, func(b *testing.B) {
			r.Deadline = deadline
			b.ReportAllocs()
			for b.Loop() {
				p, err := NewPlan(r)
				if err != nil {
					b.Fatal(err)
				}
				runtime.KeepAlive(p)
			}
		})
	}
}
