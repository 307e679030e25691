package faulttest

import (
	"bytes"
	"errors"
	"io/fs"
	"net/http"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/internal/faultproxy"
)

// ups are the faults that a put may meet, but for wrong bytes.
func ups() []faultproxy.Kind {
	return []faultproxy.Kind{
		faultproxy.Silent, faultproxy.Lost, faultproxy.Busy, faultproxy.ResetUp, faultproxy.CutUp, faultproxy.StallUp, faultproxy.DripUp,
	}
}

// testPut: faults, and the file is stored as it should be.
func testPut(r *rig) {
	r.each(func(r *rig, kind faultproxy.Kind) {
		l := r.line(uint64(kind), r.short())
		for name, size := range r.sizes() {
			before := l.proxy.Counts()
			l.proxy.Set(some(kind, times(kind), about(name, "")))
			l.put(l.store, name, content(size))
			l.wantHappened(kind, before, times(kind))
			l.wantFile(name, content(size))
		}
	}, ups()...)
}

// testPutFails: a put that is given up leaves nothing that is not whole.
func testPutFails(r *rig) {
	r.each(func(r *rig, kind faultproxy.Kind) {
		for name, size := range r.sizes() {
			l := r.line(uint64(kind), r.impatient())
			f := all(kind)
			f.Only = about(name, "")
			l.proxy.Set(f)
			_, err := l.store.Put(l.Context(), name, bytes.NewReader(content(size)), backends.PutOptions{Size: int64(size)})
			l.wantTransient("Put", err)
			if _, err := l.direct.Stat(l.Context(), name); errors.Is(err, fs.ErrNotExist) {
				continue
			}
			// A service may have done what it could not say.
			if kind != faultproxy.Silent && kind != faultproxy.Lost {
				l.Errorf("%s: the file is there, although its body never came whole", name)
			}
			l.wantFile(name, content(size))
		}
	}, ups()...)
}

// testPutRepeated: a put that must not replace is not refused because of itself,
// when the answer to its first attempt was lost.
func testPutRepeated(r *rig) {
	r.each(func(r *rig, kind faultproxy.Kind) {
		l := r.line(3, r.short())
		for name, size := range r.sizes() {
			before := l.proxy.Counts()
			l.proxy.Set(some(kind, times(kind), about(name, "")))
			opts := backends.PutOptions{Size: int64(size), IfAbsent: true}
			if _, err := l.store.Put(l.Context(), name, bytes.NewReader(content(size)), opts); err != nil {
				l.Errorf("Put(%s) if absent: %v", name, err)
			}
			l.wantHappened(kind, before, times(kind))
			l.proxy.Set(some(kind, times(kind), about(name, "")))
			if _, err := l.store.Put(l.Context(), name, bytes.NewReader(content(size-1)), backends.PutOptions{IfAbsent: true}); !errors.Is(err, fs.ErrExist) {
				l.Errorf("Put(%s) if absent, of a file that is there: error is %v, want fs.ErrExist", name, err)
			}
			l.wantFile(name, content(size))
		}
	}, faultproxy.Lost, faultproxy.Silent)
}

// testPutDamaged: bytes that change on their way to the service are noticed there,
// and sent again. When they always change, nothing is stored.
func testPutDamaged(r *rig) {
	l := r.line(4, r.short())
	for name, size := range r.sizes() {
		before := l.proxy.Counts()
		l.proxy.Set(some(faultproxy.WrongUp, 1, about(name, http.MethodPut)))
		l.put(l.store, name, content(size))
		l.wantHappened(faultproxy.WrongUp, before, 1)
		l.wantFile(name, content(size))

		f, name := all(faultproxy.WrongUp), "always-"+name
		f.Only = about(name, "")
		l.proxy.Set(f)
		given := l.open(l.proxy.URL(), r.impatient())
		if info, err := given.Put(l.Context(), name, bytes.NewReader(content(size)), backends.PutOptions{}); err == nil {
			l.Errorf("Put(%s) of bytes that always change succeeds: %+v", name, info)
		}
		if info, err := l.direct.Stat(l.Context(), name); !errors.Is(err, fs.ErrNotExist) {
			l.Errorf("%s was stored: %+v, %v", name, info, err)
		}
	}
}
