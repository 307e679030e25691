package tiering

import (
	"context"
	"errors"
	"io"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
)

// A StoreError says in which of the policy's stores something failed.
type StoreError struct {
	Store string
	Err   error
}

func (e *StoreError) Error() string { return "store " + e.Store + ": " + e.Err.Error() }

// Unwrap returns what failed.
func (e *StoreError) Unwrap() error { return e.Err }

// metered is a store of the policy with everything that is sent to it counted,
// and stopped by the guard. Its errors name the store.
type metered struct {
	name   string
	cold   bool
	inner  backends.Store
	ledger *Ledger
	guard  Guard
	stall  time.Duration // how long a request may keep its caller waiting

	ailing atomic.Bool // the last answer to a read was a failure that may pass
}

// answered notes how the store is, by the error of a request that reads.
func (m *metered) answered(err error) error {
	m.ailing.Store(errors.Is(err, backends.ErrTransient))
	return err
}

// meteredThawer is a metered store that can be cold.
type meteredThawer struct {
	*metered
	thawer backends.Thawer
}

var (
	_ backends.Store   = (*metered)(nil)
	_ backends.Clocked = (*metered)(nil)

	_ backends.Conditional = (*metered)(nil)
	_ backends.BatchThawer = meteredThawer{}
)

// meter wraps a store of the policy; the result is a Thawer when inner is one.
func meter(m *metered) backends.Store {
	if t, ok := m.inner.(backends.Thawer); ok {
		return meteredThawer{metered: m, thawer: t}
	}
	return m
}

// send asks the guard, and writes the request down.
func (m *metered) send(r Request, speed backends.Speed) error {
	if err := m.guard.check(r, m.cold); err != nil {
		return m.wrap(err)
	}
	return m.ledger.add(Entry{Store: m.name, Request: r, Speed: speed, Requests: 1})
}

// wrap makes err name the store.
func (m *metered) wrap(err error) error {
	if err == nil {
		return nil
	}
	if frozen, ok := errors.AsType[*backends.FrozenError](err); ok {
		named := *frozen
		named.Store = m.name
		return &named
	}
	return &StoreError{Store: m.name, Err: err}
}

// Put counts one request, and the bytes that the store read of body. How long
// it may take is for the caller to say, who knows whether the body keeps it
// waiting.
func (m *metered) Put(ctx context.Context, name string, body io.Reader, opts backends.PutOptions) (backends.Info, error) {
	if err := m.send(RequestPut, ""); err != nil {
		return backends.Info{}, err
	}
	up := &tally{ledger: m.ledger, entry: Entry{Store: m.name, Request: RequestPut}}
	info, err := m.inner.Put(ctx, name, &upload{body: body, tally: up}, opts)
	return info, errors.Join(m.wrap(err), up.flush())
}

// Get counts one request, and the bytes that are read from it.
func (m *metered) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	if err := m.send(RequestGet, ""); err != nil {
		return nil, err
	}
	w := newWatch(ctx, m.stall)
	body, err := m.inner.Get(w.ctx, name, offset, length)
	if err != nil {
		w.end()
		return nil, m.wrap(m.answered(w.explain(err)))
	}
	_ = m.answered(nil)
	w.pause()
	down := &tally{ledger: m.ledger, entry: Entry{Store: m.name, Request: RequestGet}}
	return &download{body: body, store: m, watch: w, tally: down}, nil
}

// List counts one request for each page.
func (m *metered) List(ctx context.Context, prefix string) iter.Seq2[backends.Info, error] {
	return func(yield func(backends.Info, error) bool) {
		if err := m.send(RequestList, ""); err != nil {
			yield(backends.Info{}, err)
			return
		}
		w := newWatch(ctx, m.stall)
		defer w.end()
		n := 0
		for info, err := range m.inner.List(w.ctx, prefix) {
			w.pause()
			if err != nil {
				yield(backends.Info{}, m.wrap(m.answered(w.explain(err))))
				return
			}
			if n++; n > 1 && n%pageSize == 1 {
				if err := m.send(RequestList, ""); err != nil {
					yield(backends.Info{}, err)
					return
				}
			}
			if !yield(info, nil) {
				return
			}
			w.resume()
		}
	}
}

// pageSize is how many names a page of a listing holds: 1,000 at S3
// (ListObjectsV2, MaxKeys), the smallest of the providers'.
const pageSize = 1000

// Stat counts one request.
func (m *metered) Stat(ctx context.Context, name string) (backends.Info, error) {
	if err := m.send(RequestHead, ""); err != nil {
		return backends.Info{}, err
	}
	w := newWatch(ctx, m.stall)
	defer w.end()
	info, err := m.inner.Stat(w.ctx, name)
	return info, m.wrap(m.answered(w.explain(err)))
}

// Delete counts one request.
func (m *metered) Delete(ctx context.Context, name string) error {
	if err := m.send(RequestDelete, ""); err != nil {
		return err
	}
	w := newWatch(ctx, m.stall)
	defer w.end()
	return m.wrap(w.explain(m.inner.Delete(w.ctx, name)))
}

// Examine asks how the place is set up; ok is false for a store that cannot tell.
// It counts the requests that the store says it took.
func (m *metered) Examine(ctx context.Context) (setup backends.Setup, ok bool, err error) {
	e, ok := m.inner.(backends.Examiner)
	if !ok {
		return backends.Setup{}, false, nil
	}
	if err := m.send(RequestHead, ""); err != nil {
		return backends.Setup{}, true, err
	}
	w := newWatch(ctx, m.stall)
	defer w.end()
	setup, err = e.Examine(w.ctx)
	more := Entry{Store: m.name, Request: RequestHead, Requests: max(setup.Requests-1, 0)}
	return setup, true, errors.Join(m.wrap(m.answered(w.explain(err))), m.ledger.add(more))
}

// Close closes the store.
func (m *metered) Close() error { return m.wrap(m.inner.Close()) }

// Clock returns the store's clock.
func (m *metered) Clock() backends.Clock { return backends.ClockOf(m.inner) }

// Conditional returns what the store says.
func (m *metered) Conditional() bool { return backends.IsConditional(m.inner) }

// Thaw counts one request of that speed.
func (m meteredThawer) Thaw(ctx context.Context, name string, req backends.ThawRequest) (backends.ThawOutcome, error) {
	if err := m.send(RequestThaw, req.Speed); err != nil {
		return 0, err
	}
	w := newWatch(ctx, m.stall)
	defer w.end()
	outcome, err := m.thawer.Thaw(w.ctx, name, req)
	return outcome, m.wrap(w.explain(err))
}

// BatchAbove returns that of the store, 0 when it has no jobs.
func (m meteredThawer) BatchAbove() int { return backends.BatchAbove(m.thawer) }

// ThawBatch counts one job, and one request of that speed for each file. How long
// the job takes is up to the service.
func (m meteredThawer) ThawBatch(ctx context.Context, token string, names []string, req backends.ThawRequest,
	answered func(name string, outcome backends.ThawOutcome, err error),
) error {
	b, ok := m.thawer.(backends.BatchThawer)
	if !ok {
		return m.wrap(backends.ErrUnsupported)
	}
	if err := m.send(RequestBatch, ""); err != nil {
		return err
	}
	entry := Entry{Store: m.name, Request: RequestThaw, Speed: req.Speed, Requests: int64(len(names))}
	if err := m.ledger.add(entry); err != nil {
		return err
	}
	return m.wrap(b.ThawBatch(ctx, token, names, req, answered))
}

// Terms returns the store's terms.
func (m meteredThawer) Terms() backends.Terms { return m.thawer.Terms() }

// tallyStep is how many bytes pass before they are written down: the most that
// a kill can keep out of the ledger.
const tallyStep = 8 << 20

// A tally writes passing bytes to the ledger.
type tally struct {
	ledger *Ledger

	mu    sync.Mutex // guards entry
	entry Entry
}

func (t *tally) add(up, down int) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.entry.Up += int64(up)
	t.entry.Down += int64(down)
	if t.entry.Up+t.entry.Down < tallyStep {
		return nil
	}
	return t.flushLocked()
}

func (t *tally) flush() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.flushLocked()
}

func (t *tally) flushLocked() error {
	if t.entry.Up+t.entry.Down == 0 {
		return nil
	}
	err := t.ledger.add(t.entry)
	t.entry.Up, t.entry.Down = 0, 0
	return err
}

type upload struct {
	body io.Reader
	*tally
}

func (u *upload) Read(p []byte) (int, error) {
	n, err := u.body.Read(p)
	if tallied := u.add(n, 0); tallied != nil {
		return n, tallied
	}
	return n, err
}

type download struct {
	body  io.ReadCloser
	store *metered
	watch *watch
	*tally
}

func (d *download) Read(p []byte) (int, error) {
	d.watch.resume()
	n, err := d.body.Read(p)
	d.watch.pause()
	if tallied := d.add(0, n); tallied != nil {
		return n, tallied
	}
	if err != nil && err != io.EOF {
		err = d.store.wrap(d.store.answered(d.watch.explain(err)))
	}
	return n, err
}

func (d *download) Close() error {
	err := d.body.Close()
	d.watch.end()
	return errors.Join(d.store.wrap(err), d.flush())
}
