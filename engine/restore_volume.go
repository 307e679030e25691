package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"strconv"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/engine/catalog"
	"github.com/isotherm-backup/isotherm/engine/difftar"
	"github.com/isotherm-backup/isotherm/engine/index"
	"github.com/isotherm-backup/isotherm/engine/librsync"
	"github.com/isotherm-backup/isotherm/engine/need"
	"github.com/isotherm-backup/isotherm/engine/pathindex"
)

// scrapName is what a worker calls a file that nobody will read.
const scrapName = "scrap"

// spoolName is what a worker calls the volume that it is reading.
const spoolName = "volume"

// A worker fetches volumes and applies them, one at a time.
type worker struct {
	*restorer
	dir   *folder // its own, in the staging
	spool spool
	buf   []byte
	out   output
	files placer
}

func (r *restorer) newWorker(n int) (*worker, error) {
	name := workName + "/" + strconv.Itoa(n)
	if err := r.staging.Mkdir(name, 0o700); err != nil {
		return nil, err
	}
	root, err := r.staging.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	w := &worker{restorer: r, buf: make([]byte, outputBuffer)}
	if w.dir, err = openFolder(root, strconv.Itoa(n)); err != nil {
		return nil, err
	}
	w.spool.file, err = root.OpenFile(spoolName, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, errors.Join(err, w.dir.Close())
	}
	if w.files, err = r.sink.placer(w); err != nil {
		return nil, errors.Join(err, w.spool.file.Close(), w.dir.Close())
	}
	return w, nil
}

func (w *worker) close() error {
	return errors.Join(w.spool.release(), w.spool.file.Close(), w.files.Close(), w.dir.Close())
}

// A damage is an error in what the volume itself says.
type damage struct{ err error }

func (e *damage) Error() string { return e.err.Error() }
func (e *damage) Unwrap() error { return e.err }

// apply reads the volume in the spool and uses what the restore needs of it. It
// returns the pieces of contents that other volumes continue, and whether the
// volume is to be read again when what it builds on is there. A path that fails
// is reported and the rest goes on; a volume that cannot be decoded to its end
// is a *VolumeError.
func (w *worker) apply(ctx context.Context, i int) (pieces []piece, again bool, err error) {
	name := w.volumes[i].Name
	plain, err := w.open(ctx, name, w.spool.reader())
	if err != nil {
		return nil, false, w.decodeError(ctx, name, err)
	}
	next, stop := iter.Pull2(w.members(i))
	defer stop()
	a := &application{worker: w, ctx: ctx, volume: i, contents: newContents(plain), next: next}
	err = a.run()
	if closeErr := plain.Close(); err == nil && closeErr != nil {
		err = &damage{closeErr}
	}
	if d, ok := errors.AsType[*damage](err); ok {
		return nil, false, w.decodeError(ctx, name, d.err)
	}
	return a.pieces, a.again, err
}

// decodeError sorts errors of decoding: what no other try would change is the
// volume's own. A wrong key ends the restore: with the right one every volume
// can be used.
func (w *worker) decodeError(ctx context.Context, name string, err error) error {
	if ctx.Err() != nil || isFull(err) || errors.Is(err, fs.ErrClosed) || locked(err) {
		return err
	}
	return &VolumeError{name, err}
}

// An application is the reading of one volume.
type application struct {
	*worker
	ctx      context.Context
	volume   int
	contents *contents
	next     func() (*need.Member, error, bool)
	want     *need.Member // nil after the last
	pieces   []piece
	again    bool // a base was missing
}

// run walks the volume and the list of what is needed of it in step.
func (a *application) run() error {
	if err := a.advance(); err != nil {
		return err
	}
	for {
		got := a.contents.next()
		if got == nil {
			break
		}
		if err := a.ctx.Err(); err != nil {
			return err
		}
		if err := a.skipTo(got); err != nil {
			return err
		}
		if a.want == nil || a.want.Name != got.Path {
			continue
		}
		if err := a.take(got); err != nil {
			return err
		}
		if err := a.advance(); err != nil {
			return err
		}
	}
	if a.contents.err != io.EOF {
		return &damage{a.contents.err}
	}
	for a.want != nil {
		if err := a.missing(); err != nil {
			return err
		}
	}
	return nil
}

// advance goes to the next member that is needed.
func (a *application) advance() error {
	m, err, ok := a.next()
	if !ok {
		m = nil
	}
	a.want = m
	return err
}

// skipTo reports the needed members that should have come before got. Names in
// GNU format lost bytes, and with them their order.
func (a *application) skipTo(got *content) error {
	for a.want != nil && !got.GNU && index.Compare(a.want.Name, got.Path) < 0 {
		if err := a.missing(); err != nil {
			return err
		}
	}
	return nil
}

// missing reports that the volume lacks what manifest and signatures promise.
func (a *application) missing() error {
	err := fmt.Errorf("%s does not hold it, although its set's manifest and signatures say so: %w",
		a.volumes[a.volume].Name, backends.ErrCorrupt)
	a.fail(a.want, err)
	return a.advance()
}

// take makes what is wanted from the content.
func (a *application) take(got *content) error {
	err := a.use(got)
	switch {
	case err == nil:
		return nil
	case a.contents.err != nil && a.contents.err != io.EOF:
		return &damage{a.contents.err}
	case isFull(err) || a.ctx.Err() != nil:
		return err
	}
	a.again = a.again || errors.Is(err, errNoBase)
	a.fail(a.want, fmt.Errorf("%s: %w", a.volumes[a.volume].Name, err))
	return nil
}

func (a *application) use(got *content) error {
	switch {
	case got.Action == difftar.Deleted:
		return fmt.Errorf("the volume says that it was deleted, the signatures do not: %w", backends.ErrCorrupt)
	case got.Action == difftar.Diff && !a.want.Diff:
		return fmt.Errorf("the volume has a delta where the signatures say it is whole: %w", backends.ErrCorrupt)
	case a.want.First < a.want.Last:
		return a.takePiece(got)
	case got.First > 1:
		return fmt.Errorf("the volume begins with part %d of it: %w", got.First, backends.ErrCorrupt)
	}
	return a.make(a.want, got.Action, got)
}

// make makes the content that member m stands for from its data: the content
// itself, or a delta.
func (w *worker) make(m *need.Member, action difftar.Action, data io.Reader) error {
	dst, err := w.destination(m)
	if err != nil {
		return err
	}
	w.out.start(dst.f, 0)
	w.out.expect(m.Exact)
	if action == difftar.Diff {
		err = w.patch(m, data)
	} else {
		_, err = w.out.ReadFrom(data)
	}
	if err == nil {
		err = w.out.close()
	}
	if err != nil {
		return errors.Join(err, dst.discard())
	}
	return w.made(m, dst, w.out.size(), w.out.digest())
}

// made puts a finished content where it belongs. Its SHA-256 is nil when it was not
// computed while the content was written.
func (w *worker) made(m *need.Member, dst staged, size int64, sum []byte) error {
	if m.Final == nil {
		return dst.f.Close()
	}
	w.progress.Add(StageRestore, size)
	wrong := w.check(m, dst.f, size, sum)
	final := state(m)
	if wrong != nil {
		final = final.alone()
	}
	// What is wrong in part is still more than nothing; it is reported.
	if err := w.files.place(final, dst); err != nil {
		return err
	}
	w.restored(size)
	return wrong
}

// check compares a content with the best that is known of it.
func (w *worker) check(m *need.Member, f *os.File, size int64, sum []byte) error {
	if err := checkLength(m.Final, size); err != nil {
		return err
	}
	content := io.NewSectionReader(f, 0, size)
	switch {
	case m.Exact != nil && m.Exact.HasSum:
		return w.checkSum(m.Exact, content, sum)
	case m.Step > 0:
		return checkPatched(m.Final, content)
	}
	return nil
}

// checkSum compares a content with the index, which has the SHA-256 of what was
// read from the source: whatever went wrong since, in delta, volume or patch, it
// tells.
func (w *worker) checkSum(e *pathindex.Entry, content io.Reader, sum []byte) error {
	if sum == nil {
		h := sha256.New()
		if _, err := io.CopyBuffer(h, struct{ io.Reader }{content}, w.buf); err != nil {
			return err
		}
		sum = h.Sum(nil)
	}
	if !bytes.Equal(sum, e.Sum[:]) {
		return fmt.Errorf("its content is not what was backed up: its SHA-256 is %x, the index says %x: %w", sum, e.Sum, backends.ErrCorrupt)
	}
	return nil
}

// checkLength compares a length with what the file's signature says of it.
func checkLength(e *catalog.Entry, size int64) error {
	if e.HasLength(size) {
		return nil
	}
	return fmt.Errorf("it has %d bytes, its signature counts %d blocks of %d: %w", size, e.Blocks, e.BlockLength, backends.ErrCorrupt)
}

// maxBlockLength bounds what a signature can make checkPatched allocate.
// duplicity's blocks have at most 2048 bytes, or what --max-blocksize says.
const maxBlockLength = 16 << 20

// checkPatched compares a file that was made by deltas with its signature.
// Volumes have checksums, but nothing in the format says what a delta is to be
// applied to: a wrong base goes unseen otherwise.
func checkPatched(e *catalog.Entry, r io.Reader) error {
	if e.BlockLength > maxBlockLength {
		return fmt.Errorf("its signature has blocks of %d bytes: %w", e.BlockLength, backends.ErrCorrupt)
	}
	sum := sha256.New()
	if err := librsync.Signature(sum, r, int(e.BlockLength)); err != nil {
		return err
	}
	if !bytes.Equal(sum.Sum(nil)[:catalog.SumSize], e.Sum[:]) {
		return fmt.Errorf("what the deltas make does not agree with its signature: %w", backends.ErrCorrupt)
	}
	return nil
}

// patch applies a delta to what the step before made.
func (w *worker) patch(m *need.Member, delta io.Reader) error {
	if m.Step == 0 {
		return librsync.Patch(bytes.NewReader(nil), delta, &w.out)
	}
	base, err := w.bases.open(stepKey(m.Path, m.Step-1))
	if errors.Is(err, fs.ErrNotExist) {
		return errNoBase
	}
	if err != nil {
		return err
	}
	return errors.Join(librsync.Patch(base, delta, &w.out), base.Close())
}

// errNoBase is the error of a delta whose base could not be restored.
var errNoBase = errors.New("what the change applies to could not be restored")

// A staged file is being written in the staging.
type staged struct {
	f    *os.File
	dir  *folder
	name string
}

// discard closes and removes the file.
func (s staged) discard() error { return errors.Join(s.f.Close(), s.dir.root.Remove(s.name)) }

// destination opens the file that a member's content is written to: a base for
// the next step unless it is final.
func (w *worker) destination(m *need.Member) (staged, error) {
	if m.Final == nil {
		return w.bases.create(contentKey(m))
	}
	return w.files.create(state(m))
}

// takePiece writes what this volume holds of a content that lies in several,
// and makes the content when it is complete.
func (a *application) takePiece(got *content) error {
	m := a.want
	p := piece{Key: contentKey(m), Volume: a.volume, First: got.First}
	if got.First == 0 {
		return fmt.Errorf("the volume has it whole, the manifest in several volumes: %w", backends.ErrCorrupt)
	}
	p.Offset = int64(got.First-1) * partSize
	f, err := a.cutDir.root.OpenFile(p.Key, os.O_RDWR, 0)
	placed := false
	if errors.Is(err, fs.ErrNotExist) {
		// Its other pieces are in the journal, and it is not there any more: it
		// was complete before an interruption. This volume is read again
		// because it had not been written down.
		placed = a.cuts.begun(p.Key)
		f, err = a.newCut(p.Key, placed)
	}
	if err != nil {
		return err
	}
	a.out.start(f, p.Offset)
	if got.Action == difftar.Snapshot {
		a.out.expectHoles(m.Exact)
	}
	p.Length, err = a.out.ReadFrom(got)
	if err == nil {
		_, err = a.out.finish()
	}
	p.Last = got.lastPart()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	a.pieces = append(a.pieces, p)
	pieces, durable := a.cuts.add(m, p)
	if pieces == nil || placed {
		return f.Close()
	}
	return a.join(m, got.Action, f, pieces, durable)
}

// newCut makes the file of a content in several volumes. One that was placed
// already is written for nothing, so that its volume can be read on.
func (a *application) newCut(key string, placed bool) (*os.File, error) {
	if placed {
		return a.dir.root.OpenFile(scrapName, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	}
	return a.cutDir.root.OpenFile(key, os.O_RDWR|os.O_CREATE, 0o600)
}

// join makes a content from the file of its pieces. A whole file becomes the
// content itself; a delta stays until the journal has all its pieces.
func (a *application) join(m *need.Member, action difftar.Action, f *os.File, pieces []piece, durable bool) error {
	size, err := joined(pieces)
	if err == nil {
		err = f.Truncate(size)
	}
	if err == nil && durable {
		// A resumed restore takes the file's absence for its completion.
		err = f.Sync()
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	if action == difftar.Diff {
		return errors.Join(a.make(m, action, io.NewSectionReader(f, 0, size)), f.Close())
	}
	from := staged{f, a.cutDir, contentKey(m)}
	if m.Final == nil {
		return errors.Join(a.bases.adopt(from), f.Close())
	}
	return a.made(m, from, size, nil)
}
