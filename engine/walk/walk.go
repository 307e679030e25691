// Package walk goes through the tree of a source in the archive's order.
//
// The order is that of package index: depth first, the entries of a directory by
// the raw bytes of their names (archive format, section 6). Directories ahead of
// the caller are listed and described by a few goroutines, so that a walk is
// about as fast as the system can describe files; what is read ahead is bounded.
package walk

import (
	"context"
	"io/fs"
	"iter"
	"sync"

	"github.com/isotherm-backup/isotherm/engine/index"
	"github.com/isotherm-backup/isotherm/engine/selection"
)

// An Entry is a path of the source. It may be copied; its strings are never
// written to again, but one that is kept for long is better cloned, for it holds on to those
// of its neighbours.
type Entry struct {
	// Entry is what an archive records. The names of the owners are "" when this
	// machine does not know them. ModTime is the second that duplicity stores:
	// 0 for a time before 1970, and the next one for the last tenth of a
	// microsecond of a second, because duplicity keeps times as floating point.
	index.Entry
	Size        int64 // bytes
	ModNanos    int64 // last change of the content, nanoseconds since 1970
	ChangeNanos int64 // last change of anything (ctime); 0 where there is none
	// Inode, Device and Links are what the system says (st_ino, st_dev,
	// st_nlink); 0 where it says nothing.
	Inode, Device, Links uint64
	// Err says why a path that exists could not be described, or why a directory
	// could not be listed; it wraps the system's error. What the archive has of such a
	// path, and below it, is still there for all that is known. A path that could not
	// be described has no more than its name and, if the listing tells it, its type;
	// index.Deleted stands for an unknown one.
	Err error

	verdict selection.Verdict
	dir     *dir   // that holds it; nil for the root
	sub     *chunk // the first of what a directory holds, until the walk enters it
}

// A Selector decides which paths are part of the source. A walk asks about each path but the
// root once, or again when it turns into something else meanwhile, and about a directory before it is opened;
// it asks from several goroutines at once, and ahead of what it has yielded. The File, and
// its Has, are valid only until Select returns. One that could not be described has
// a size of 0 and the latest of all times, so that no rule about these leaves it out.
type Selector interface {
	Select(*selection.File) selection.Verdict
}

// Options say how to walk.
type Options struct {
	Select  Selector // nil for everything
	Workers int      // goroutines that read ahead; 0 for a number that suits the machine
}

// A Tree is the source of a backup. Its methods may be called by several
// goroutines at once.
type Tree struct {
	name   string // of the root, as it was given
	root   *dir   // nil when the root is not a directory
	owners owners
	system // what differs between operating systems
}

// Open opens the source at a path: a directory, or anything else that an archive can
// hold. A symbolic link is not followed: like duplicity, a walk then yields the link itself.
// A directory must be readable. The Tree must be closed.
func Open(root string) (*Tree, error) {
	t := &Tree{name: root}
	t.owners.init()
	if err := t.open(); err != nil {
		return nil, err
	}
	return t, nil
}

// Walk yields what the tree holds, the root first. Sockets are passed over, and so is a
// path that vanishes before it is described. A directory of verdict Scan comes
// right before the first path in it that is included or has an Err, or not at all.
// An entry is valid until the next step. The only error is that of the
// context, after which nothing follows.
func (t *Tree) Walk(ctx context.Context, opts Options) iter.Seq2[*Entry, error] {
	return func(yield func(*Entry, error) bool) {
		w := newWalker(ctx, t, &opts, yield)
		defer w.stop()
		w.walk()
	}
}

// fail wraps an error of the system with what was done to which path.
func (t *Tree) fail(op, path string, err error) error {
	return &fs.PathError{Op: op, Path: t.path(path), Err: err}
}

// path returns the full path of what the tree has under one.
func (t *Tree) path(path string) string {
	if path == "" {
		return t.name
	}
	return t.name + "/" + path
}

// join returns the path of what a directory holds under a name.
func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// A walker is a walk in progress.
type walker struct {
	ctx   context.Context
	tree  *Tree
	queue *queue
	own   *worker // does what the walk needs at once and nobody has begun
	yield func(*Entry, error) bool

	frames  []frame
	scanned []*Entry // directories on the way down that wait for something included

	workers   sync.WaitGroup
	stopWatch func() bool
}

// A frame is a directory that the walk is in.
type frame struct {
	entry *Entry
	chunk *chunk
	next  int // of the chunk's entries
}

func newWalker(ctx context.Context, t *Tree, opts *Options, yield func(*Entry, error) bool) *walker {
	q := newQueue()
	w := &walker{ctx: ctx, tree: t, queue: q, own: newWorker(t, q, opts.Select), yield: yield}
	w.stopWatch = context.AfterFunc(ctx, q.stop)
	if t.root == nil {
		return w
	}
	n := opts.Workers
	if n <= 0 {
		n = defaultWorkers()
	}
	for range n {
		w.workers.Go(newWorker(t, q, opts.Select).work)
	}
	return w
}

// stop ends the walk and everything that it started.
func (w *walker) stop() {
	w.stopWatch()
	w.queue.stop()
	w.workers.Wait()
}

func (w *walker) walk() {
	root := &Entry{verdict: selection.Include}
	if err := w.ctx.Err(); err != nil {
		w.yield(nil, err)
		return
	}
	root.Err = w.tree.describeRoot(root)
	if root.Err == nil {
		w.tree.owners.fill(&root.Entry)
		w.descend(root)
	}
	if !w.visit(root) {
		return
	}
	for len(w.frames) > 0 {
		if !w.step() {
			return
		}
	}
}

// descend gives the root what it holds, if it is a directory.
func (w *walker) descend(root *Entry) {
	switch d := w.tree.root; {
	case d != nil:
		root.sub = &chunk{dir: d, entry: root}
		w.queue.push(root.sub)
	case root.Type == index.Directory:
		root.Err = w.tree.fail("list directory", "", errReplaced)
	}
}

// step goes on to the next entry of the innermost directory, or leaves it. It
// reports whether the walk goes on.
func (w *walker) step() bool {
	f := &w.frames[len(w.frames)-1]
	if f.next < len(f.chunk.entries) {
		f.next++
		return w.visit(&f.chunk.entries[f.next-1])
	}
	if f.chunk.next == nil {
		w.leave(f)
		return true
	}
	f.chunk, f.next = f.chunk.next, 0
	return w.await(f.chunk)
}

// visit yields an entry, and enters a directory.
func (w *walker) visit(e *Entry) bool {
	select {
	case <-w.ctx.Done():
		w.yield(nil, w.ctx.Err())
		return false
	default:
	}
	if e.sub == nil {
		return w.emit(e)
	}
	c := e.sub
	e.sub = nil // what it holds is not kept for longer than the walk is in it
	if !w.await(c) {
		return false
	}
	switch {
	case c.gone:
		return true
	case !c.listed:
		return w.emit(e)
	case e.verdict == selection.Scan:
		w.scanned = append(w.scanned, e)
	case !w.emit(e):
		return false
	}
	c.dir.users.Add(1)
	w.frames = append(w.frames, frame{entry: e, chunk: c})
	return true
}

// leave goes back to the directory above.
func (w *walker) leave(f *frame) {
	f.chunk.dir.users.Add(-1)
	if n := len(w.scanned); n > 0 && w.scanned[n-1] == f.entry {
		w.scanned = w.scanned[:n-1]
	}
	*f = frame{}
	w.frames = w.frames[:len(w.frames)-1]
}

// emit yields an entry, after the scanned directories that it lies in.
func (w *walker) emit(e *Entry) bool {
	for _, dir := range w.scanned {
		if !w.yield(dir, nil) {
			return false
		}
	}
	w.scanned = w.scanned[:0]
	return w.yield(e, nil)
}

// await waits until a chunk is done, or does it.
func (w *walker) await(c *chunk) bool {
	if w.queue.await(c, w.own.run) {
		return true
	}
	w.yield(nil, w.ctx.Err())
	return false
}
