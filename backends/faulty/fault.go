package faulty

import (
	"context"
	"io"
)

// Fault is what happens to a call. The zero Fault is none.
//
// Where a fault is made from an error, that wraps what the caller is given; nil
// stands for backends.ErrTransient.
type Fault struct {
	before func(ctx context.Context, name string) error
	lost   error // instead of the answer
	cut    error // of the body or listing, at after
	stall  bool  // from after on
	flip   bool  // the byte at after
	after  int64
}

// Fail makes the call fail before it reaches the store.
func Fail(err error) Fault {
	err = injected("failed", err)
	return Do(func(context.Context, string) error { return err })
}

// Do calls a function before the call reaches the store, which it does only
// when the function returns nil. Its error is returned as it is.
func Do(before func(ctx context.Context, name string) error) Fault {
	return Fault{before: before}
}

// LoseReply lets the store carry out the call, and fails then.
func LoseReply(err error) Fault { return Fault{lost: injected("reply lost", err)} }

// Cut breaks the body of a Put or Get after n bytes, or a listing after n files.
func Cut(n int64, err error) Fault { return Fault{cut: injected("cut off", err), after: n} }

// Truncate ends what Get reads after n bytes, with nothing to show that more is
// missing: a store that breaks its contract.
func Truncate(n int64) Fault { return Fault{cut: io.EOF, after: n} }

// Stall lets the body of a Put or Get hang after n bytes, or a listing after n
// files, until the context is done. With a negative n, and for the other
// methods, the call itself hangs.
func Stall(n int64) Fault { return Fault{stall: true, after: n} }

// Corrupt flips the lowest bit of byte n of what passes through a Put or Get.
func Corrupt(n int64) Fault { return Fault{flip: true, after: n} }

// stream is a body that suffers a fault.
type stream struct {
	io.Reader
	ctx   context.Context
	store *Store
	fault Fault
	n     int64
}

func (r *stream) Read(p []byte) (int, error) {
	if err := r.store.interrupt(r.ctx, r.fault, r.n); err != nil {
		return 0, err
	}
	f := r.fault
	if left := f.after - r.n; (f.cut != nil || f.stall) && left < int64(len(p)) {
		p = p[:left]
	}
	n, err := r.Reader.Read(p)
	if at := f.after - r.n; f.flip && at >= 0 && at < int64(n) {
		p[at] ^= 1
	}
	r.n += int64(n)
	return n, err
}
