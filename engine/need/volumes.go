package need

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/isotherm-backup/isotherm/engine/catalog"
)

// Volumes is what the manifest of one set says of the paths in its volumes. It
// takes some dozens of bytes a volume.
type Volumes struct {
	numbers []int32
	keys    []byte // start and end of each volume, one after the other
	ends    []int  // where in keys the start of volume i/2, or its end, is over
}

// Add appends a volume: its number, and the first and the last path of which it
// holds something. Volumes come in the order of their numbers.
func (v *Volumes) Add(number int, start, end string) error {
	if n := len(v.numbers); n > 0 && int(v.numbers[n-1]) >= number {
		return fmt.Errorf("volume %d follows volume %d", number, v.numbers[n-1])
	}
	v.numbers = append(v.numbers, int32(number))
	for _, path := range [2]string{start, end} {
		v.keys = append(v.keys, catalog.Key(path)...)
		v.ends = append(v.ends, len(v.keys))
	}
	return nil
}

// Len returns the number of volumes.
func (v *Volumes) Len() int { return len(v.numbers) }

// Number returns the number of volume i, counted from 0.
func (v *Volumes) Number(i int) int { return int(v.numbers[i]) }

func (v *Volumes) start(i int) []byte { return v.bound(2 * i) }
func (v *Volumes) end(i int) []byte   { return v.bound(2*i + 1) }

func (v *Volumes) bound(i int) []byte {
	from := 0
	if i > 0 {
		from = v.ends[i-1]
	}
	return v.keys[from:v.ends[i]]
}

// locate returns the volumes that hold a path: first up to but not including
// past. There are none if first equals past. Keys must ascend from call to call;
// at is where the last search began and is moved on.
func (v *Volumes) locate(key []byte, at *int) (first, past int) {
	for *at < v.Len() && bytes.Compare(v.end(*at), key) < 0 {
		*at++
	}
	past = *at
	for past < v.Len() && bytes.Compare(v.start(past), key) <= 0 {
		past++
	}
	return *at, past
}

// read reports whether duplicity reads volume i to restore any of these paths:
// its test is on the range alone (archive format, section 13).
func (v *Volumes) read(i int, paths [][]byte) bool {
	return slices.ContainsFunc(paths, func(path []byte) bool {
		start := v.start(i)
		begins := bytes.Compare(start, path) <= 0 || catalog.Contains(path, start)
		return begins && bytes.Compare(path, v.end(i)) <= 0
	})
}
