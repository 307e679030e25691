package network

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/isotherm-backup/isotherm/backends"
)

// flaky opens data so that every transfer breaks off after a few bytes.
type flaky struct {
	data  []byte
	steps func() int // bytes of the next transfer; negative for all
	fail  error
	opens int
}

func (f *flaky) open(_ context.Context, offset, length int64) (io.ReadCloser, error) {
	f.opens++
	from := min(offset, int64(len(f.data)))
	to := int64(len(f.data))
	if length >= 0 {
		to = min(from+length, to)
	}
	part := f.data[from:to]
	if n := f.steps(); n >= 0 && n < len(part) {
		return io.NopCloser(io.MultiReader(bytes.NewReader(part[:n]), iotest.ErrReader(f.fail))), nil
	}
	return io.NopCloser(bytes.NewReader(part)), nil
}

// TestResume: however often the transfer breaks off, what is read is the range.
func TestResume(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		data := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "data")
		offset := rapid.Int64Range(0, int64(len(data))+5).Draw(t, "offset")
		length := rapid.Int64Range(-1, int64(len(data))+5).Draw(t, "length")
		f := &flaky{data: data, fail: io.ErrUnexpectedEOF, steps: func() int { return rapid.IntRange(-1, 60).Draw(t, "step") }}
		r := Retry{First: 1, Max: 1, Deadline: time.Hour}
		body, err := Resume(t.Context(), r, offset, length, f.open)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(body)
		if err := errors.Join(err, body.Close()); err != nil {
			t.Fatal(err)
		}
		from := min(offset, int64(len(data)))
		to := int64(len(data))
		if length >= 0 {
			to = min(from+length, to)
		}
		if !bytes.Equal(got, data[from:to]) {
			t.Fatalf("read %x, want %x", got, data[from:to])
		}
	})
}

// TestResumeFinal: damage is not repeated as if it were a hiccup, and a failed
// reader stays failed.
func TestResumeFinal(t *testing.T) {
	t.Parallel()
	f := &flaky{data: make([]byte, 100), fail: backends.ErrCorrupt, steps: func() int { return 10 }}
	body, err := Resume(t.Context(), Waits{}.WithDefaults().Retry, 0, -1, f.open)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := io.ReadAll(body); !errors.Is(err, backends.ErrCorrupt) {
			t.Errorf("error is %v, want ErrCorrupt", err)
		}
	}
	if f.opens != 1 {
		t.Errorf("opened %d times, want once", f.opens)
	}
	if err := body.Close(); err != nil {
		t.Error(err)
	}
}

// TestResumeCancelled: a cancelled reader ends with the context's error.
func TestResumeCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	f := &flaky{data: make([]byte, 100), fail: io.ErrUnexpectedEOF, steps: func() int { cancel(); return 10 }}
	body, err := Resume(ctx, Retry{First: time.Hour, Max: time.Hour, Deadline: 24 * time.Hour}, 0, -1, f.open)
	if err == nil {
		_, err = io.ReadAll(body)
		_ = body.Close()
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want context.Canceled", err)
	}
}

// TestResumeDeadline: a file that never arrives is given up.
func TestResumeDeadline(t *testing.T) {
	t.Parallel()
	f := &flaky{data: make([]byte, 100), fail: io.ErrUnexpectedEOF, steps: func() int { return 0 }}
	n := 0
	open := func(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
		if n++; n > 1 {
			return nil, backends.ErrTransient
		}
		return f.open(ctx, offset, length)
	}
	body, err := Resume(t.Context(), Retry{First: time.Millisecond, Max: time.Millisecond, Deadline: 50 * time.Millisecond}, 0, -1, open)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(body); !errors.Is(err, backends.ErrTransient) {
		t.Errorf("error is %v, want ErrTransient", err)
	}
	if err := body.Close(); err != nil {
		t.Error(err)
	}
}

// TestResumeDrip: transfers that get nowhere are given up by the deadline, even if
// each brings some bytes; those that bring many are not, however often they break.
func TestResumeDrip(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		what  string
		bytes int // of each transfer, which takes two seconds
		want  error
	}{
		{"dripping", 100, backends.ErrTransient},
		{"slow", 4 << 10, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := &flaky{data: make([]byte, 256<<10), fail: io.ErrUnexpectedEOF, steps: func() int { return tt.bytes }}
			open := func(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
				time.Sleep(2 * time.Second)
				return f.open(ctx, offset, length)
			}
			const deadline = time.Minute
			start := time.Now()
			body, err := Resume(t.Context(), Retry{First: 500 * time.Millisecond, Max: 10 * time.Second, Deadline: deadline}, 0, -1, open)
			if err != nil {
				t.Fatal(err)
			}
			n, err := io.Copy(io.Discard, body)
			if !errors.Is(err, tt.want) || tt.want == nil && n != int64(len(f.data)) {
				t.Errorf("%s: %d bytes, %v, want %v", tt.what, n, err, tt.want)
			}
			if took := time.Since(start); tt.want != nil && took > 2*deadline || tt.want == nil && took < deadline {
				t.Errorf("%s: ended after %v, with a deadline of %v", tt.what, took, deadline)
			}
			if err := body.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
