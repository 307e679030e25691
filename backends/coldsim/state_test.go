package coldsim

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isotherm-backup/isotherm/backends"
)

var epoch = time.Date(2026, 11, 21, 10, 0, 0, 123456789, time.UTC)

func TestClockAt(t *testing.T) {
	t.Parallel()
	c := &clock{Version: 1, Segments: []segment{
		{Real: epoch, Sim: epoch, Speedup: 3600},
		{Real: epoch.Add(time.Hour), Sim: epoch.Add(3600 * time.Hour), Speedup: 10},
	}}
	for real, want := range map[time.Duration]time.Duration{
		-time.Hour:                -time.Hour, // as it was
		0:                         0,
		time.Nanosecond:           3600,
		time.Second:               time.Hour,
		time.Hour - 1:             3600*time.Hour - 3600,
		time.Hour:                 3600 * time.Hour,
		time.Hour + time.Second:   3600*time.Hour + 10*time.Second,
		1000*time.Hour + 30000001: 3600*time.Hour + 9990*time.Hour + 300000010,
	} {
		if got := c.at(epoch.Add(real)); !got.Equal(epoch.Add(want)) {
			t.Errorf("%v after the epoch the clock says %v, want %v", real, got, epoch.Add(want))
		}
	}
	// Beyond what a Duration can hold: a year at 3600 is 3600 of 365 days.
	year := segment{Real: epoch, Sim: epoch, Speedup: 3600}
	if got, want := year.at(epoch.AddDate(0, 0, 365)), epoch.AddDate(0, 0, 365*3600); !got.Equal(want) {
		t.Errorf("after a year the clock says %v, want %v", got, want)
	}
}

// TestOpenClock: reopened the clock is the same, at another speed it goes on from
// where it was.
func TestOpenClock(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	fast, err := openClock(folder, 1_000_000)
	if err != nil {
		t.Fatal(err)
	}
	if d := fast.Segments[0].Sim.Sub(fast.Segments[0].Real); d != 0 {
		t.Errorf("a new clock is %v off", d)
	}
	again, err := openClock(folder, 1_000_000)
	if diff := cmp.Diff(fast, again); diff != "" || err != nil {
		t.Errorf("reopened (-first +second):\n%s%v", diff, err)
	}
	before := fast.Now()
	slow, err := openClock(folder, 1)
	if err != nil {
		t.Fatal(err)
	}
	after := fast.Now()
	if now := slow.Segments[1].Sim; now.Before(before) || now.After(after) {
		t.Errorf("at another speed the clock goes on from %v, want between %v and %v", now, before, after)
	}
	if then := slow.Segments[1].Real.Add(-1); !slow.at(then).Equal(fast.at(then)) {
		t.Errorf("at another speed the past has changed to %v from %v", slow.at(then), fast.at(then))
	}
}

func TestOpenClockRunOut(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	data, err := json.Marshal(clock{Version: 1, Segments: []segment{{Real: epoch.AddDate(-10, 0, 0), Sim: epoch, Speedup: 3600}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "clock.json"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := openClock(folder, 3600); err == nil {
		t.Errorf("a clock that says %v was opened", c.Now())
	}
}

func TestParseClockDamaged(t *testing.T) {
	t.Parallel()
	for _, data := range []string{
		"", "{", "null", `{"version":1}`, `{"version":2,"segments":[{"speedup":1}]}`, `{"version":1,"segments":[{"speedup":0}]}`,
		`{"version":1,"segments":[{"real":"yesterday"}]}`,
	} {
		if c, err := parseClock([]byte(data)); !errors.Is(err, backends.ErrCorrupt) {
			t.Errorf("parseClock(%q) = %v, %v; want ErrCorrupt", data, c, err)
		}
	}
}

func readEvents(t *testing.T, path string) []string {
	t.Helper()
	var names []string
	if _, err := readLines(path, 0, func(e Event) { names = append(names, e.Name) }); err != nil {
		t.Fatal(err)
	}
	return names
}

// TestTornLine: what a killed writer left of a line is no line, for readers, and
// is removed by the next writer.
func TestTornLine(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "bill")
	whole := func(name string) []byte {
		data, err := json.Marshal(Event{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		return append(data, '\n')
	}
	one, two := whole("one"), whole("two")
	for cut := range len(two) {
		if err := os.WriteFile(path, slices.Concat(one, two[:cut]), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := readEvents(t, path); !slices.Equal(got, []string{"one"}) {
			t.Errorf("with %d bytes of a second line, the file reads %q", cut, got)
		}
		if err := appendLines(path, Event{Name: "three"}); err != nil {
			t.Fatal(err)
		}
		if got := readEvents(t, path); !slices.Equal(got, []string{"one", "three"}) {
			t.Errorf("appended to after %d bytes of a line, the file reads %q", cut, got)
		}
	}
	// Longer than what is looked at in one piece.
	if err := os.WriteFile(path, slices.Concat(one, bytes.Repeat([]byte("x"), 10_000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := appendLines(path, Event{Name: "three"}); err != nil {
		t.Fatal(err)
	}
	if got := readEvents(t, path); !slices.Equal(got, []string{"one", "three"}) {
		t.Errorf("appended to after a long torn line, the file reads %q", got)
	}
}

// TestDamagedState: a line that is whole and wrong is an error that names the
// file, not a thaw that never was.
func TestDamagedState(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := New(dir, Options{Class: backends.Glacier})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.thaws.path, []byte("{\"event\":{}}\n!\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(dir, Options{Class: backends.Glacier}); !errors.Is(err, backends.ErrCorrupt) || !bytes.Contains([]byte(err.Error()), []byte(s.thaws.path)) {
		t.Errorf("New: %v, want ErrCorrupt in %s", err, s.thaws.path)
	}
}

// TestStaleThaw: the thaw of a file does not become that of another one which
// took its name without the simulation's knowledge, or whose writer was killed
// before it could end the thaw.
func TestStaleThaw(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := New(dir, Options{Class: backends.Glacier, Speedup: 1_000_000})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "file")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Thaw(t.Context(), "file", backends.ThawRequest{Speed: backends.Bulk, Keep: 100 * day}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]backends.State{"": backends.Thawing, "new": backends.Frozen} {
		if name != "" {
			then := time.Now().Add(-time.Minute)
			if err := errors.Join(os.WriteFile(path, []byte(name), 0o600), os.Chtimes(path, then, then)); err != nil {
				t.Fatal(err)
			}
		}
		if info, err := s.Stat(t.Context(), "file"); err != nil || name != "" && info.State != want {
			t.Errorf("file is %v, %v; want %v", info.State, err, want)
		}
	}
}

func FuzzParseLines(f *testing.F) {
	f.Add([]byte(`{"event":{"at":"2026-11-21T12:00:00Z","kind":"thaw","name":"a%20b","bytes":5,"speed":"bulk","days":7,"outcome":"started"},` +
		`"put":"2026-11-21T12:00:00Z","days":7,"ready":"2026-11-21T20:00:00Z","until":"2026-11-29T00:00:00Z"}` + "\n"))
	f.Add([]byte(`{"event":{"name":"file"}}` + "\n" + `{"event":{"na`))
	f.Add([]byte("\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var parsed []thaw
		n, err := parseLines(bytes.NewReader(data), func(v thaw) { parsed = append(parsed, v) })
		if n < 0 || n > int64(len(data)) || n > 0 && data[n-1] != '\n' {
			t.Fatalf("%d bytes of %d are said to be whole lines", n, len(data))
		}
		if err != nil && !errors.Is(err, backends.ErrCorrupt) {
			t.Fatalf("error is %v, want ErrCorrupt", err)
		}
		// What was understood can be written and understood again.
		lines, err := encodeLines(parsed)
		if err != nil {
			return // a time that can be read and not written
		}
		var again []thaw
		if _, err := parseLines(bytes.NewReader(lines), func(v thaw) { again = append(again, v) }); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(parsed, again); diff != "" {
			t.Fatalf("written and read again (-first +second):\n%s", diff)
		}
	})
}

func FuzzParseClock(f *testing.F) {
	f.Add([]byte(`{"version":1,"segments":[{"real":"2026-11-21T10:00:00Z","simulated":"2026-11-21T10:00:00Z","speedup":3600}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseClock(data)
		if err != nil {
			if !errors.Is(err, backends.ErrCorrupt) {
				t.Fatalf("error is %v, want ErrCorrupt", err)
			}
			return
		}
		c.at(epoch)
	})
}
