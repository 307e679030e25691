package tiering

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
)

// An Inventory is what all stores held when they were listed. It is never
// changed once it has been returned.
type Inventory struct {
	// Stores are the names of the policy's stores, in its order.
	Stores []string
	// Failed says which stores could not be listed to the end, and why. What
	// lies there is unknown; copies listed before the failure are in Files.
	Failed map[string]error
	// Files are sorted by name, each name once.
	Files []File

	digests map[*Copy]backends.Digest // nil unless asked for
}

// A File is one name, with every copy that a listing showed.
type File struct {
	Name string
	// Size is that of the newest copy, in bytes as stored.
	Size   int64
	Copies []Copy // in the order of Inventory.Stores; at least one
}

// A Copy is one file in one store.
type Copy struct {
	Class   backends.Class
	Size    int64   // bytes as stored
	ModTime Instant // when it entered the store
	// At is when a Thawing copy may be ready, or when a Thawed one freezes
	// again; 0 when the service does not tell.
	At    Instant
	Store uint16 // index into Inventory.Stores
	State backends.State
}

// Readable reports whether the copy could be read when it was listed.
func (c Copy) Readable() bool { return c.State == backends.Ready || c.State == backends.Thawed }

// An Instant is a time in nanoseconds since 1970 UTC; 0 is no time. It stands
// for time.Time where there are millions of them.
type Instant int64

// InstantOf returns t as an Instant.
func InstantOf(t time.Time) Instant {
	if t.IsZero() {
		return 0
	}
	return Instant(t.UnixNano())
}

// Time returns the Instant as a time in UTC; the zero Time for 0.
func (i Instant) Time() time.Time {
	if i == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(i)).UTC()
}

// Complete returns nil when every store could be listed, so that a name which
// is not in the inventory exists nowhere.
func (inv *Inventory) Complete() error {
	var errs []error
	for _, name := range inv.Stores {
		if err := inv.Failed[name]; err != nil {
			errs = append(errs, fmt.Errorf("list: %w", err))
		}
	}
	return errors.Join(errs...)
}

// Find returns the file of that name.
func (inv *Inventory) Find(name string) (*File, bool) {
	i, ok := slices.BinarySearchFunc(inv.Files, name, func(f File, name string) int {
		return strings.Compare(f.Name, name)
	})
	if !ok {
		return nil, false
	}
	return &inv.Files[i], true
}

// Digest returns the checksum that the service keeps of a copy, which must be
// an element of a File of this inventory. It is zero when the service keeps
// none, and when InventoryOptions.Digests was not set.
func (inv *Inventory) Digest(c *Copy) backends.Digest { return inv.digests[c] }

// In returns the file's copy in the store of that index, or nil.
func (f *File) In(store int) *Copy {
	for i := range f.Copies {
		if int(f.Copies[i].Store) == store {
			return &f.Copies[i]
		}
	}
	return nil
}

// fileChunk, copyChunk and nameChunk are what the builder allocates at once:
// large enough that the allocator's overhead vanishes, small enough that the
// rest of the last one does not matter.
const (
	fileChunk = 8 << 10
	copyChunk = 8 << 10
	nameChunk = 256 << 10
)

// A builder collects files, given in order, in few large pieces of memory.
type builder struct {
	files   [][]File
	copies  []Copy
	names   *strings.Builder
	count   int
	digests map[*Copy]backends.Digest
}

func newBuilder(digests bool) *builder {
	b := &builder{names: new(strings.Builder)}
	if digests {
		b.digests = make(map[*Copy]backends.Digest)
	}
	return b
}

// add appends the file that the infos describe, one for each store.
func (b *builder) add(name string, found []found) {
	if len(b.copies)+len(found) > cap(b.copies) {
		b.copies = make([]Copy, 0, max(copyChunk, len(found)))
	}
	first := len(b.copies)
	for _, f := range found {
		b.copies = append(b.copies, copyOf(f.store, f.info))
		if b.digests != nil && !f.info.Digest.IsZero() {
			b.digests[&b.copies[len(b.copies)-1]] = f.info.Digest
		}
	}
	copies := b.copies[first:len(b.copies):len(b.copies)]
	last := len(b.files) - 1
	if last < 0 || len(b.files[last]) == fileChunk {
		b.files = append(b.files, make([]File, 0, fileChunk))
		last++
	}
	b.files[last] = append(b.files[last], File{Name: b.keep(name), Size: newest(copies).Size, Copies: copies})
	b.count++
}

// keep returns a copy of name that shares its memory with other names: a
// listing's own strings each take a whole size class of the allocator, or hang
// on to the page they were cut from.
func (b *builder) keep(name string) string {
	if b.names.Cap()-b.names.Len() < len(name) {
		b.names = new(strings.Builder)
		b.names.Grow(max(nameChunk, len(name)))
	}
	start := b.names.Len()
	b.names.WriteString(name)
	return b.names.String()[start:]
}

func (b *builder) finish() []File {
	files := make([]File, 0, b.count)
	for i, chunk := range b.files {
		files = append(files, chunk...)
		b.files[i] = nil // so that the memory can be had again at once
	}
	return files
}

func copyOf(store int, info backends.Info) Copy {
	return Copy{
		Store: uint16(store), State: info.State, Class: info.Class, Size: info.Size,
		ModTime: InstantOf(info.ModTime), At: InstantOf(info.At),
	}
}

func newest(copies []Copy) Copy {
	return slices.MaxFunc(copies, func(a, b Copy) int { return cmp.Compare(a.ModTime, b.ModTime) })
}
