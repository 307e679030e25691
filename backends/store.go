package backends

import (
	"context"
	"io"
	"iter"
	"time"
)

// A Store is one place that holds named files. Names are slash-free unless they
// begin with a folder that the caller chose; a store treats them as opaque bytes.
// A name that a store cannot hold (too long, "..", an empty name) is
// ErrUnsupported from every method.
//
// All methods may be called by several goroutines at once. A cancelled context
// ends any method, and the reading of what Get returned, with an error that is
// ctx.Err. When the place itself is gone, every method but Close fails with
// ErrNoStore; after Close, with fs.ErrClosed.
type Store interface {
	// Put writes the file name from body, replacing an older one whole. The
	// body is read once, to its end. Put returns only when the file is
	// durable and its size and checksum agree with what was read; the Info is
	// that of the file as stored.
	//
	// With PutOptions.IfAbsent and a file of that name, the error is
	// fs.ErrExist. When the body's bytes do not match PutOptions.Size or
	// PutOptions.Digest, nothing is stored and the error is ErrCorrupt.
	Put(ctx context.Context, name string, body io.Reader, opts PutOptions) (Info, error)

	// Get opens length bytes of the file from offset; a negative length reads
	// to the end. A range is cut at the end of the file: what begins there or
	// beyond it is empty, and not an error. The reader fails with io.ErrUnexpectedEOF when the service
	// sends less than it announced. The caller closes it.
	//
	// A file that does not exist is fs.ErrNotExist; one that cannot be read
	// now is a *FrozenError. Get never starts a thaw; where the service's own
	// GET would (OVH PCA), the store looks before it reads.
	Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error)

	// List yields the files whose names begin with prefix, in ascending byte
	// order of their names, each name once, at the cost of the listing alone:
	// never a request per file. A file put or deleted meanwhile may be listed
	// or not; every other one is. After an error nothing more is yielded.
	List(ctx context.Context, prefix string) iter.Seq2[Info, error]

	// Stat describes one file; fs.ErrNotExist when there is none.
	Stat(ctx context.Context, name string) (Info, error)

	// Delete removes a file. A file that does not exist is not an error:
	// a repeated Delete whose first answer was lost must succeed.
	Delete(ctx context.Context, name string) error

	// Close releases connections and locks. The store is unusable afterwards.
	Close() error
}

// PutOptions says what is known of a file before it is written. The zero value
// puts any body under the store's own class.
type PutOptions struct {
	Size     int64  // bytes of the body; 0 means not known
	Digest   Digest // expected checksum of the body; zero means not known
	IfAbsent bool   // fail with fs.ErrExist rather than replace
}

// Info describes one stored file.
type Info struct {
	Name    string
	Size    int64     // bytes as stored
	ModTime time.Time // when the file entered the store, by the store's clock
	Digest  Digest    // checksum that the service keeps; zero when it keeps none
	Class   Class
	State   State
	// At is when a Thawing file may be ready, or when a Thawed one freezes
	// again; zero when the service does not tell.
	At time.Time
}

// Readable reports whether a Get of the file would be answered now.
func (i Info) Readable() bool { return i.State == Ready || i.State == Thawed }

// A Digest is a checksum of a whole file.
type Digest struct {
	Algorithm string // "md5", "sha1", "sha256", "crc64nvme"; "" for none
	Sum       string // lower-case hex
}

// Class is a storage class by its name on the wire of its provider, such as
// DEEP_ARCHIVE. The same name means different things at different providers
// (spec: cold storage, section 12.4). Unknown names are kept as they are.
type Class string

// Classes that stores in this module behave by.
const (
	Standard    Class = "STANDARD"
	Glacier     Class = "GLACIER"
	DeepArchive Class = "DEEP_ARCHIVE"
	PCS         Class = "PCS" // OVH Public Cloud Storage, Swift
	PCA         Class = "PCA" // OVH Public Cloud Archive, Swift
)

// State says whether a file can be read.
type State uint8

// The states of a file. The zero value is StateUnknown: it cannot be told
// without a request that is billed or changes the state.
const (
	StateUnknown State = iota
	Ready              // readable, for good
	Frozen             // not readable, nothing under way
	Thawing            // not readable, a thaw is under way
	Thawed             // readable until Info.At
)

// Speed is the retrieval tier of a thaw request.
type Speed string

// The speeds of S3; SpeedOnly stands for services that offer no choice
// (OVH PCA, OVH Cold Archive, Scaleway).
const (
	Expedited     Speed = "expedited"
	SpeedStandard Speed = "standard"
	Bulk          Speed = "bulk"
	SpeedOnly     Speed = "only"
)

// A Thawer is a Store whose files can be frozen.
type Thawer interface {
	Store

	// Thaw asks for one file to be made readable. It is idempotent: a file
	// that is thawing already is Underway, one that is thawed has its expiry
	// set anew (Extended: expiry counts from now, so a shorter Keep shortens
	// it) or keeps it where Terms.Extend is false (Unchanged), one that never
	// freezes is Online. A speed that the store cannot give is ErrUnsupported
	// before anything is sent; Expedited without capacity is ErrNoCapacity;
	// throttling is ErrTransient.
	Thaw(ctx context.Context, name string, req ThawRequest) (ThawOutcome, error)

	// Terms says what this store offers. It sends nothing.
	Terms() Terms
}

// ThawRequest is what is asked for one file.
type ThawRequest struct {
	Speed Speed
	// Keep is how long the file stays readable, rounded up to whole days, at
	// least one; ignored where Terms.Keep is false.
	Keep time.Duration
}

// ThawOutcome is the service's answer to a ThawRequest.
type ThawOutcome uint8

// The answers of cold-storage spec section 4.2.
const (
	Started   ThawOutcome = iota + 1 // 202: a thaw began
	Extended                         // 200: already readable, expiry changed
	Underway                         // 409: already thawing; nothing changed (this speed or a faster one runs, or with another Keep)
	Upgraded                         // thawing, now at the faster speed asked for
	Online                           // 403 InvalidObjectState: nothing to thaw
	Unchanged                        // already readable, and its expiry cannot be moved
)

// Terms are the conditions of a cold store.
type Terms struct {
	Cold    bool // files freeze as soon as they are put
	Speeds  map[Speed]Times
	Keep    bool // the caller chooses how long a thawed file stays readable
	Extend  bool // a thawed file's expiry can be moved
	Upgrade bool // a thaw under way can be made faster
	// MinDuration is billed even when a file is deleted earlier.
	MinDuration time.Duration
	// RequestRate is how many thaw requests a second the service takes; 0 means
	// no known limit.
	RequestRate float64
}

// Times says how long a thaw typically takes, from request to readable. No
// provider guarantees them.
type Times struct{ Min, Max time.Duration }

// A Clock tells a store's time. Stores that live in real time have none of
// their own; coldsim's runs faster.
type Clock interface {
	Now() time.Time
	// Sleep waits for d of this clock's time, or until ctx is done.
	Sleep(ctx context.Context, d time.Duration) error
}

// A Clocked store has a clock of its own, by which all times in its Infos are
// to be read.
type Clocked interface{ Clock() Clock }
