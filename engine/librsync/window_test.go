package librsync

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// TestDeltaWindow: whatever was changed, the delta makes the new content, by rdiff's
// reckoning too, and what stayed about where it was is not written anew.
func TestDeltaWindow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 3))
		old := make([]byte, r.IntN(40_000))
		for i := range old {
			old[i] = byte(r.Uint32())
		}
		data := bytes.Clone(old)
		edits := r.IntN(5)
		for range edits {
			at := r.IntN(len(data) + 1)
			switch r.IntN(3) {
			case 0:
				data = append(data[:at:at], append([]byte("put in"), data[at:]...)...)
			case 1:
				data = append(data[:at:at], data[min(len(data), at+r.IntN(900)):]...)
			default:
				copy(data[at:], "written over")
			}
		}
		var sig, delta, patched bytes.Buffer
		if err := Signature(&sig, bytes.NewReader(old), 512); err != nil {
			rt.Fatal(err)
		}
		if err := DeltaWindow(&sig, iotest.HalfReader(bytes.NewReader(data)), &delta, 8); err != nil {
			rt.Fatal(err)
		}
		if err := Patch(bytes.NewReader(old), bytes.NewReader(delta.Bytes()), &patched); err != nil {
			rt.Fatal(err)
		}
		if !bytes.Equal(patched.Bytes(), data) {
			rt.Fatal("the delta makes something else")
		}
		// Each edit, and each of some ten borders, costs two blocks at most.
		if limit := (edits + 12) * 1100; delta.Len() > limit {
			rt.Errorf("%d edits make a delta of %d bytes", edits, delta.Len())
		}
	})
	old, data := bytes.Repeat([]byte("0123456789abcdef"), 10_000), bytes.Repeat([]byte("0123456789abcdef"), 9_000)
	f := func(name string) string { return filepath.Join(dir, name) }
	var sig, delta bytes.Buffer
	if err := Signature(&sig, bytes.NewReader(old), 512); err != nil {
		t.Fatal(err)
	}
	if err := DeltaWindow(&sig, bytes.NewReader(data), &delta, 4); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"old": old, "delta": delta.Bytes()} {
		if err := os.WriteFile(f(name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rdiff(t, "patch", f("old"), f("delta"), f("patched"))
	if got, err := os.ReadFile(f("patched")); err != nil || !bytes.Equal(got, data) {
		t.Errorf("rdiff makes %d bytes of the delta, %v", len(got), err)
	}
}

func TestDeltaWindowErrors(t *testing.T) {
	t.Parallel()
	var sig bytes.Buffer
	if err := Signature(&sig, bytes.NewReader(make([]byte, 5000)), 512); err != nil {
		t.Fatal(err)
	}
	for n := range sig.Len() {
		if (n-headerSize)%(weakSize+StrongLength) == 0 {
			continue // a shorter one
		}
		if err := DeltaWindow(bytes.NewReader(sig.Bytes()[:n]), bytes.NewReader(make([]byte, 9000)), &bytes.Buffer{}, 2); err == nil {
			t.Errorf("a signature cut to %d bytes is taken", n)
		}
	}
}
