package thaw

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/policy/price"
	"github.com/isotherm-backup/isotherm/tiering"
)

func recordText(t testing.TB) []byte {
	t.Helper()
	r := Request{Files: files(3, volume, frozenIn(0)...), Stores: []StoreTerms{deep(t)}, Now: now}
	r.Files = append(r.Files, &tiering.File{Name: "not UTF-8: \xff%", Size: 1, Copies: frozenIn(0)})
	p, err := NewPlan(r)
	if err != nil {
		t.Fatal(err)
	}
	text, err := encode(&record{Version: recordVersion, ID: jobID(p, nil), Plan: p})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestRecordNames(t *testing.T) {
	t.Parallel()
	r, err := parseRecord(recordText(t))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := r.Plan.Files.Names[3], "not UTF-8: \xff%"; got != want {
		t.Errorf("name = %q, want %q", got, want)
	}
}

func TestBadRecords(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "{", "null", `{"version":1}`, `{"version":1,"id":"../x","plan":{"version":1}}`,
		`{"version":1,"id":"1","plan":{"version":1,"files":{"names":["a"],"sizes":[1],"waves":[0]}}}`,
		`{"version":1,"id":"1","plan":{"version":1,"files":{"names":["a"],"sizes":[],"waves":[]}}}`,
		`{"version":1,"id":"1","plan":{"version":1,"waves":[{"store":1}]}}`,
	} {
		if _, err := parseRecord([]byte(text)); err == nil {
			t.Errorf("parseRecord(%q) succeeded", text)
		}
	}
	if _, err := parseRecord([]byte(`{"version":2}`)); !errors.Is(err, backends.ErrUnsupported) {
		t.Errorf("a later version: %v, want ErrUnsupported", err)
	}
	if _, err := parseProgress([]byte(`{"version":1,"status":{"id":""}}`)); !errors.Is(err, backends.ErrCorrupt) {
		t.Errorf("a progress without id: %v, want ErrCorrupt", err)
	}
}

// FuzzRecord: whatever is read, a job can be made of it without a panic, and
// what was accepted is read again.
func FuzzRecord(f *testing.F) {
	f.Add(recordText(f), []byte(`{"version":1,"status":{"id":"1","state":"running"},"asked":"AQ==","done":"/////w=="}`))
	f.Fuzz(func(t *testing.T, text, state []byte) {
		r, err := parseRecord(text)
		if err != nil {
			return
		}
		again, err := encode(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseRecord(again); err != nil {
			t.Fatalf("accepted once, not again: %v", err)
		}
		p, err := parseProgress(state)
		if err != nil {
			p = &progress{}
		}
		j := newJob(nil, Options{}, r, p)
		j.takeOver(state)
		s := j.Status()
		if got := s.Frozen.Files + s.Thawing.Files + s.Readable.Files + s.Done.Files; got != r.Plan.Len() {
			t.Fatalf("%d files are counted, the plan has %d", got, r.Plan.Len())
		}
	})
}

// TestProgressMerge: notes of several machines can be merged in any order, and
// merging again changes nothing.
func TestProgressMerge(t *testing.T) {
	t.Parallel()
	draw := rapid.Custom(func(t *rapid.T) *progress {
		p := &progress{
			Asked:   rapid.SliceOfN(rapid.Byte(), 2, 2).Draw(t, "asked"),
			Done:    rapid.SliceOfN(rapid.Byte(), 2, 2).Draw(t, "done"),
			AskedAt: []time.Time{now.Add(time.Duration(rapid.IntRange(0, 9).Draw(t, "at")))},
		}
		p.Status.State = rapid.SampledFrom([]State{Running, Running, Cancelled}).Draw(t, "state")
		p.Status.Requests = rapid.Int64Range(0, 9).Draw(t, "requests")
		extra, err := price.NewAmount(rapid.SampledFrom([]string{"0", "1", "2.5"}).Draw(t, "extra"), "USD")
		if err != nil {
			t.Fatal(err)
		}
		p.Status.Extra = []price.Amount{extra}
		return p
	})
	text := func(ps ...*progress) string {
		sum := &progress{Asked: make(bitmap, 2), Done: make(bitmap, 2), AskedAt: make([]time.Time, 1)}
		sum.Status.State = Running
		for _, p := range ps {
			sum.merge(p)
		}
		b, err := json.Marshal(sum)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := draw.Draw(t, "a"), draw.Draw(t, "b"), draw.Draw(t, "c")
		want := text(a, b, c)
		for _, got := range []string{text(c, b, a), text(b, a, c), text(a, b, c, a, b)} {
			if got != want {
				t.Fatalf("another order gives\n%s, want\n%s", got, want)
			}
		}
	})
}

func TestPollCadence(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name              string
		elapsed           time.Duration
		shortest, longest time.Duration
		want              time.Duration
	}{
		{"first at half the shortest", 0, 12 * time.Hour, 48 * time.Hour, 6 * time.Hour},
		{"then every quarter of an hour", 6 * time.Hour, 12 * time.Hour, 48 * time.Hour, 15 * time.Minute},
		{"five minutes when late", 48 * time.Hour, 12 * time.Hour, 48 * time.Hour, 5 * time.Minute},
		{"expedited", time.Minute, time.Minute, 5 * time.Minute, 30 * time.Second},
	} {
		if got := pollAfter(tt.elapsed, tt.shortest, tt.longest); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

// BenchmarkJobMillion writes down, reads and opens a job of a million files.
func BenchmarkJobMillion(b *testing.B) {
	p, err := NewPlan(Request{Files: files(1e6, volume, frozenIn(0)...), Stores: []StoreTerms{deep(b)}, Now: now, Bandwidth: 500e6})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		text, err := encode(&record{Version: recordVersion, ID: "1", Plan: p})
		if err != nil {
			b.Fatal(err)
		}
		r, err := parseRecord(text)
		if err != nil {
			b.Fatal(err)
		}
		newJob(nil, Options{}, r, &progress{})
		b.ReportMetric(float64(len(text)), "bytes")
	}
}
