package need

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/isotherm-backup/isotherm/engine/catalog"
)

// Volumes is what the manifest of one set says of the paths in its volumes. It
// takes some dozens of bytes a volume: keys are kept without what they share
// with the one before, and read in order alone.
type Volumes struct {
	numbers []int32
	bounds  []byte // per key: uvarint shared, uvarint rest, the rest
	last    []byte
	key     []byte // the next one, while it is added
}

// Add appends a volume: its number, and the first and the last path of which it
// holds something. Volumes come in the order of their numbers.
func (v *Volumes) Add(number int, start, end string) error {
	if n := len(v.numbers); n > 0 && int(v.numbers[n-1]) >= number {
		return fmt.Errorf("volume %d follows volume %d", number, v.numbers[n-1])
	}
	v.numbers = append(v.numbers, int32(number))
	v.add(start)
	v.add(end)
	return nil
}

func (v *Volumes) add(path string) {
	key := catalog.AppendKey(v.key[:0], path)
	shared := 0
	for shared < min(len(key), len(v.last)) && key[shared] == v.last[shared] {
		shared++
	}
	v.bounds = binary.AppendUvarint(v.bounds, uint64(shared))
	v.bounds = binary.AppendUvarint(v.bounds, uint64(len(key)-shared))
	v.bounds = append(v.bounds, key[shared:]...)
	v.last, v.key = key, v.last
}

// Len returns the number of volumes.
func (v *Volumes) Len() int { return len(v.numbers) }

// Number returns the number of volume i, counted from 0.
func (v *Volumes) Number(i int) int { return int(v.numbers[i]) }

// find returns which volume has a number.
func (v *Volumes) find(number int) (int, bool) {
	return slices.BinarySearchFunc(v.numbers, number, func(n int32, number int) int { return int(n) - number })
}

// A walk goes through the volumes of a set in step with its paths.
type walk struct {
	*Volumes
	rest  []byte // of bounds
	key   []byte // the last one decoded
	first int    // the volume that window[0] describes
	// window are the volumes from the first one that can hold a path to come,
	// up to the first one that begins after the last path asked for.
	window []bounds
}

type bounds struct{ start, end []byte }

func newWalk(v *Volumes) walk { return walk{Volumes: v, rest: v.bounds} }

// next decodes one more key.
func (w *walk) next() []byte {
	shared, n := binary.Uvarint(w.rest)
	length, m := binary.Uvarint(w.rest[n:])
	rest := w.rest[n+m:][:length]
	w.rest = w.rest[n+m+len(rest):]
	w.key = append(w.key[:shared], rest...)
	return w.key
}

// more decodes one more volume, if there is one.
func (w *walk) more() bool {
	if len(w.rest) == 0 {
		return false
	}
	var b bounds
	if n := len(w.window); n < cap(w.window) {
		b = w.window[:n+1][n] // an old one, whose memory serves again
	}
	b.start = append(b.start[:0], w.next()...)
	b.end = append(b.end[:0], w.next()...)
	w.window = append(w.window, b)
	return true
}

// locate returns the volumes that hold a path: first up to but not including
// past. There are none if first equals past. Keys must ascend from call to call.
func (w *walk) locate(key []byte) (first, past int) {
	for len(w.window) > 0 || w.more() {
		if bytes.Compare(w.window[0].end, key) >= 0 {
			break
		}
		w.drop()
	}
	n := 0
	for n < len(w.window) || w.more() {
		if bytes.Compare(w.window[n].start, key) > 0 {
			break
		}
		n++
	}
	return w.first, w.first + n
}

// drop passes over the first volume of the window.
func (w *walk) drop() {
	b := w.window[0]
	copy(w.window, w.window[1:])
	w.window[len(w.window)-1] = b
	w.window = w.window[:len(w.window)-1]
	w.first++
}

// read yields the volumes which duplicity reads to restore any of these paths:
// its test is on the ranges alone (archive format, section 13).
func (v *Volumes) read(paths [][]byte) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		w := newWalk(v)
		for i := 0; w.more(); i++ {
			b := w.window[0]
			read := slices.ContainsFunc(paths, func(path []byte) bool {
				begins := bytes.Compare(b.start, path) <= 0 || catalog.Contains(path, b.start)
				return begins && bytes.Compare(path, b.end) <= 0
			})
			if read && !yield(i) {
				return
			}
			w.drop()
		}
	}
}
