package faulty_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/backendtest"
	"github.com/isotherm-backup/isotherm/backends/coldsim"
	"github.com/isotherm-backup/isotherm/backends/faulty"
	"github.com/isotherm-backup/isotherm/backends/file"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T) backends.Store {
	t.Helper()
	s, err := file.New(t.TempDir(), file.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestConformance: without rules, or with rules that never strike, nothing is
// different.
func TestConformance(t *testing.T) {
	t.Run("hot", func(t *testing.T) {
		t.Parallel()
		backendtest.Run(t, backendtest.Harness{Open: func(t *testing.T) backends.Store {
			return faulty.New(open(t), faulty.Rule{Skip: 1 << 30, Fault: faulty.Fail(nil)})
		}})
	})
	t.Run("cold", func(t *testing.T) {
		t.Parallel()
		noon := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
		backendtest.Run(t, backendtest.Harness{Many: 100, Open: func(t *testing.T) backends.Store {
			s, err := coldsim.New(t.TempDir(), coldsim.Options{Class: backends.Glacier, Clock: backendtest.NewClock(noon)})
			if err != nil {
				t.Fatal(err)
			}
			return faulty.New(s)
		}})
	})
}

var errTest = errors.New("test")

func put(s backends.Store, name, data string) error {
	_, err := s.Put(context.Background(), name, strings.NewReader(data), backends.PutOptions{})
	return err
}

func get(ctx context.Context, s backends.Store, name string) (string, error) {
	r, err := s.Get(ctx, name, 0, -1)
	if err != nil {
		return "", err
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	return string(data), err
}

func TestRules(t *testing.T) {
	t.Parallel()
	s := faulty.New(open(t), faulty.Rule{Op: faulty.Put, Names: "*.manifest", Skip: 1, Times: 2, Fault: faulty.Fail(errTest)})
	var got []bool
	for _, name := range []string{"1.manifest", "2.vol", "3.manifest", "4.vol", "5.manifest", "6.manifest"} {
		err := put(s, name, "x")
		if err != nil && !errors.Is(err, errTest) {
			t.Errorf("Put: %v, want the error of the rule", err)
		}
		got = append(got, err == nil)
	}
	want := []bool{true, true, false, true, false, true}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("Put %d succeeded: %v, want %v", i, got[i], want[i])
		}
	}
	if _, err := s.Stat(t.Context(), "3.manifest"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Stat of what failed before it reached the store: %v", err)
	}
	if n := s.Count(faulty.Put); n != 6 {
		t.Errorf("%d Puts were counted, want 6", n)
	}
}

func TestLoseReply(t *testing.T) {
	t.Parallel()
	s := faulty.New(open(t), faulty.Rule{Times: 4, Fault: faulty.LoseReply(nil)})
	if err := put(s, "file", "hello"); !errors.Is(err, backends.ErrTransient) {
		t.Errorf("Put: %v, want ErrTransient", err)
	}
	if _, err := s.Stat(t.Context(), "file"); !errors.Is(err, backends.ErrTransient) {
		t.Errorf("Stat: %v, want ErrTransient", err)
	}
	n := 0
	var last error
	for _, err := range s.List(t.Context(), "") {
		n++
		last = err
	}
	if n != 2 || !errors.Is(last, backends.ErrTransient) {
		t.Errorf("List yields %d, the last %v; want 2, ErrTransient", n, last)
	}
	if err := s.Delete(t.Context(), "file"); !errors.Is(err, backends.ErrTransient) {
		t.Errorf("Delete: %v, want ErrTransient", err)
	}
	if _, err := s.Stat(t.Context(), "file"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Stat after a Delete whose reply was lost: %v, want fs.ErrNotExist", err)
	}
}

func TestBodies(t *testing.T) {
	t.Parallel()
	hello := strings.Repeat("hello ", 1000)
	s := faulty.New(open(t))
	if err := put(s, "file", hello); err != nil {
		t.Fatal(err)
	}
	flipped := []byte(hello)
	flipped[100] ^= 1
	for _, tt := range []struct {
		name    string
		fault   faulty.Fault
		want    string
		wantErr error
	}{
		{"cut", faulty.Cut(1000, errTest), hello[:1000], errTest},
		{"cut at 0", faulty.Cut(0, nil), "", backends.ErrTransient},
		{"truncate", faulty.Truncate(1000), hello[:1000], nil},
		{"corrupt", faulty.Corrupt(100), string(flipped), nil},
	} {
		s.Set(faulty.Rule{Op: faulty.Get, Fault: tt.fault})
		if got, err := get(t.Context(), s, "file"); got != tt.want || !errors.Is(err, tt.wantErr) {
			t.Errorf("%s: Get reads %d bytes, %v; want %d bytes, %v", tt.name, len(got), err, len(tt.want), tt.wantErr)
		}
	}
	s.Set(faulty.Rule{Op: faulty.Put, Fault: faulty.Cut(1000, errTest)})
	if err := put(s, "new", hello); !errors.Is(err, errTest) {
		t.Errorf("Put with a broken connection: %v", err)
	}
	if _, err := s.Stat(t.Context(), "new"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Stat after a broken Put: %v, want fs.ErrNotExist", err)
	}
	s.Set(faulty.Rule{Op: faulty.Put, Fault: faulty.Corrupt(100)})
	_, err := s.Put(t.Context(), "new", bytes.NewReader([]byte(hello)), backends.PutOptions{
		Digest: backends.Digest{Algorithm: "md5", Sum: "00000000000000000000000000000000"},
	})
	if !errors.Is(err, backends.ErrCorrupt) {
		t.Errorf("Put of damaged bytes: %v, want ErrCorrupt", err)
	}
}

func TestStall(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		below, err := file.New(dir, file.Options{})
		if err != nil {
			t.Fatal(err)
		}
		s := faulty.New(below)
		if err := put(s, "file", "hello"); err != nil {
			t.Fatal(err)
		}
		for _, fault := range []faulty.Fault{faulty.Stall(-1), faulty.Stall(0), faulty.Stall(3)} {
			s.Set(faulty.Rule{Fault: fault})
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			if got, err := get(ctx, s, "file"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("stalled Get reads %q, %v; want DeadlineExceeded", got, err)
			}
			if err := s.Delete(ctx, "file"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("stalled Delete: %v, want DeadlineExceeded", err)
			}
			cancel()
		}
	})
}

func TestVanish(t *testing.T) {
	t.Parallel()
	s := faulty.New(open(t))
	if err := put(s, "file", "hello"); err != nil {
		t.Fatal(err)
	}
	r, err := s.Get(t.Context(), "file", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s.Vanish(nil)
	if _, err := io.ReadAll(r); !errors.Is(err, backends.ErrNoStore) {
		t.Errorf("reading on from a store that vanished: %v, want ErrNoStore", err)
	}
	if _, err := s.Stat(t.Context(), "file"); !errors.Is(err, backends.ErrNoStore) {
		t.Errorf("Stat: %v, want ErrNoStore", err)
	}
	s.Return()
	if got, err := get(t.Context(), s, "file"); got != "hello" || err != nil {
		t.Errorf("Get after its return: %q, %v", got, err)
	}
}
