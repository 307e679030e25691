package walk

import (
	"errors"
	"io/fs"
	"math"

	"github.com/isotherm-backup/isotherm/engine/index"
	"github.com/isotherm-backup/isotherm/engine/selection"
)

// Errors between the parts of this package.
var (
	errNotStored = errors.New("is of a type that archives do not hold")
	errNotDir    = errors.New("is not a directory any more")
	errReplaced  = errors.New("something else has taken its place meanwhile")
)

// opens is how often a directory is opened that turns into something else and
// back between two looks at it.
const opens = 3

// A worker runs chunks.
type worker struct {
	tree     *Tree
	queue    *queue
	selector Selector
	names    *listing
	buf      []byte // for the system's listings

	file  selection.File // that the selector is asked about
	entry *Entry         // of the same
	dir   handle         // that holds it
	has   func(string) bool
}

func newWorker(t *Tree, q *queue, s Selector) *worker {
	w := &worker{tree: t, queue: q, selector: s}
	w.has = func(name string) bool { return w.tree.has(w.dir, w.entry, name) }
	return w
}

// work runs chunks until the walk is over.
func (w *worker) work() {
	for c := w.queue.take(); c != nil; c = w.queue.take() {
		w.run(c)
		w.queue.finish(c)
	}
}

// run does the work of a chunk.
func (w *worker) run(c *chunk) {
	if c.names != nil {
		w.describe(c, c.dir)
		c.dir.users.Add(-1)
		return
	}
	d := c.dir
	h, ok := w.enter(c)
	if d.parent != nil {
		d.parent.users.Add(-1)
	}
	if !ok {
		return
	}
	defer w.tree.release(d)
	names := w.listing()
	if err := w.tree.list(d, h, names, w.buf, &w.queue.stopped); err != nil {
		c.fail(w.tree.fail("list directory", d.path, err))
		return
	}
	names.sort()
	c.listed, c.names = true, names
	if len(names.keys) > chunkSize {
		w.names = nil // the chunks to come need them
	}
	d.users.Add(1)
	w.describe(c, d)
	d.users.Add(-1)
	c.names = nil
}

// listing returns an empty listing, which the worker uses again unless a chunk keeps it.
func (w *worker) listing() *listing {
	if w.names == nil {
		w.names = &listing{}
	}
	if w.buf == nil {
		w.buf = make([]byte, 64<<10)
	}
	w.names.reset()
	return w.names
}

// fail records why the directory of a chunk could not be listed. A source that is gone is an
// error: nothing says that its files were deleted.
func (c *chunk) fail(err error) {
	if errors.Is(err, fs.ErrNotExist) && c.dir.parent != nil {
		c.gone = true
		return
	}
	c.entry.Err = err
}

// enter opens the directory of a chunk, which the caller then releases. If it
// has turned into something else since it was described, its entry says what it
// is now, and enter reports false.
func (w *worker) enter(c *chunk) (h handle, ok bool) {
	d, e := c.dir, c.entry
	if d.parent == nil {
		h, err := w.tree.acquire(d)
		if err != nil {
			c.fail(w.tree.fail("open directory", d.path, err))
		}
		return h, err == nil
	}
	up, err := w.tree.acquire(d.parent)
	if err != nil {
		c.fail(w.tree.fail("open directory", d.path, err))
		return h, false
	}
	defer w.tree.release(d.parent)
	for range opens {
		var same bool
		h, same, err = w.tree.enter(up, d, e)
		if err == nil {
			if !same {
				w.complete(e)
				e.verdict = w.decide(up, e)
			}
			if e.verdict == selection.Exclude {
				w.tree.release(d)
				c.gone = true
				return h, false
			}
			return h, true
		}
		if !errors.Is(err, errNotDir) {
			break
		}
		if keep := w.look(up, e); !keep || e.Err != nil || e.Type != index.Directory {
			c.gone = !keep
			return h, false
		}
	}
	c.fail(w.tree.fail("open directory", d.path, err))
	return h, false
}

// describe fills a chunk with the entries of its names.
func (w *worker) describe(c *chunk, d *dir) {
	from, end := c.from, min(c.from+chunkSize, len(c.names.keys))
	if end < len(c.names.keys) {
		c.next = &chunk{dir: d, names: c.names, from: end, key: join(d.path, string(c.names.name(end)))}
		d.users.Add(1)
		w.queue.push(c.next)
	}
	h, err := w.tree.acquire(d)
	if err == nil {
		defer w.tree.release(d)
	} else if errors.Is(err, fs.ErrNotExist) {
		return
	}
	keys := c.names.keys[from:end]
	paths := c.names.paths(d.path, keys)
	c.entries = make([]Entry, 0, len(keys))
	for i := range keys {
		if w.queue.stopped.Load() {
			return
		}
		size := d.prefix() + int(keys[i].size)
		n := len(c.entries)
		c.entries = c.entries[:n+1]
		e := &c.entries[n]
		e.Path, e.dir, e.Type, e.Err = paths[:size], d, keys[i].kind, err
		paths = paths[size:]
		if !w.look(h, e) {
			*e = Entry{}
			c.entries = c.entries[:n]
			continue
		}
		if e.Type == index.Directory && e.Err == nil {
			e.sub = d.below(e)
		}
	}
}

// look describes an entry, of which the path and the type by the listing are
// known, and why nothing more can be. It reports whether the entry is part of the source.
func (w *worker) look(h handle, e *Entry) bool {
	if e.Err == nil {
		switch err := w.tree.describe(h, e); {
		case err == nil:
			w.complete(e)
		case errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNotStored):
			return false
		default:
			e.Err = w.tree.fail("lstat", e.Path, err)
		}
	} else {
		e.Err = w.tree.fail("lstat", e.Path, e.Err)
	}
	e.verdict = w.decide(h, e)
	if e.verdict == selection.Scan && e.Type != index.Directory && e.Type != index.Deleted {
		return false // only something below it could have been included
	}
	return e.verdict != selection.Exclude
}

// complete adds to an entry what the system does not say.
func (w *worker) complete(e *Entry) { w.tree.owners.fill(&e.Entry) }

// decide asks the selector about an entry.
func (w *worker) decide(h handle, e *Entry) selection.Verdict {
	if w.selector == nil {
		return selection.Include
	}
	w.dir, w.entry = h, e
	w.file = selection.File{Path: e.Path, Type: e.Type, Device: e.Device, Size: e.Size, ModTime: e.seconds()}
	if e.Type == index.Directory && e.Err == nil {
		w.file.Has = w.has
	}
	return w.selector.Select(&w.file)
}

// seconds is the time that rules about a file's age go by.
func (e *Entry) seconds() int64 {
	if e.Err != nil && e.ModNanos == 0 {
		return math.MaxInt64
	}
	if e.ModTime > 0 {
		return e.ModTime
	}
	return e.ModNanos / 1e9
}
