package pathindex

import (
	"encoding/binary"
	"math"

	"github.com/isotherm-backup/isotherm/engine/fsattr"
)

// readXattrs reads all attributes of an entry.
func (r *Reader) readXattrs(d *decoder, e *Entry) {
	first := len(r.places)
	d.bad = d.bad || len(e.Xattrs) > 0 // the tag came twice
	for len(d.b) > 0 && !d.bad {
		// They move as there come more of them: who they are is set below.
		e.Xattrs = append(e.Xattrs, fsattr.Xattr{})
		r.keep(nil, d.bytes(d.uvarint()))
		r.keep(nil, d.bytes(d.uvarint()))
	}
	if len(r.places) == first {
		return
	}
	for i := range e.Xattrs {
		r.places[first+2*i].of = &e.Xattrs[i].Name
		r.places[first+2*i+1].of = &e.Xattrs[i].Value
	}
}

func (d *decoder) readHoles(e *Entry) {
	end := int64(0)
	d.bad = d.bad || len(e.Holes) > 0
	for len(d.b) > 0 && !d.bad {
		h := fsattr.Hole{Offset: end + d.size(), Length: d.size()}
		if h.Offset < end || h.Offset+h.Length < h.Offset {
			d.bad = true
		}
		end = h.Offset + h.Length
		e.Holes = append(e.Holes, h)
	}
}

// decoder takes fields off the front of b. After a field that is not there, or
// is too large, bad is set and the fields are zero.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) uvarint() uint64 {
	if len(d.b) > 0 && d.b[0] < 0x80 && !d.bad { // most are small
		v := d.b[0]
		d.b = d.b[1:]
		return uint64(v)
	}
	v, n := binary.Uvarint(d.b)
	if n <= 0 || d.bad {
		d.bad = true
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) varint() int64 {
	v := d.uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

// size reads a number of bytes.
func (d *decoder) size() int64 {
	v := d.uvarint()
	if v > math.MaxInt64 {
		d.bad = true
		return 0
	}
	return int64(v)
}

func (d *decoder) int32() int32 {
	v := d.uvarint()
	if v > math.MaxInt32 {
		d.bad = true
		return 0
	}
	return int32(v)
}

func (d *decoder) bytes(n uint64) []byte {
	if d.bad || n > uint64(len(d.b)) {
		d.bad = true
		return nil
	}
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}
