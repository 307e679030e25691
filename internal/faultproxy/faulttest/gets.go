package faulttest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/http"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/internal/faultproxy"
)

// downs are the faults that a get may meet, but for wrong bytes.
func downs() []faultproxy.Kind {
	return []faultproxy.Kind{
		faultproxy.Silent, faultproxy.Lost, faultproxy.Busy, faultproxy.ResetDown, faultproxy.CutDown, faultproxy.StallDown, faultproxy.DripDown,
	}
}

// testGet: faults, and what is read is the file, or its part.
func testGet(r *rig) {
	r.each(func(r *rig, kind faultproxy.Kind) {
		l := r.line(uint64(kind), r.short())
		for name, size := range r.sizes() {
			data := content(size)
			l.put(l.direct, name, data)
			for _, part := range []struct{ offset, length, end int }{{0, -1, size}, {size / 3, size / 2, size/3 + size/2}} {
				before := l.proxy.Counts()
				l.proxy.Set(some(kind, times(kind), about(name, http.MethodGet)))
				got, err := l.get(l.store, name, int64(part.offset), int64(part.length))
				if err != nil || !bytes.Equal(got, data[part.offset:part.end]) {
					l.Errorf("Get(%s, %d, %d): %d bytes, %v", name, part.offset, part.length, len(got), err)
				}
				l.wantHappened(kind, before, times(kind))
			}
		}
	}, downs()...)
}

// testGetFails: a get that is given up ends in an error, after bytes that are
// right.
func testGetFails(r *rig) {
	r.each(func(r *rig, kind faultproxy.Kind) {
		for name, size := range map[string]int{"small": 1 << 10, "parts": r.Parts} {
			l := r.line(uint64(kind), r.impatient())
			l.put(l.direct, name, content(size))
			l.proxy.Set(all(kind))
			got, err := l.get(l.store, name, 0, -1)
			l.wantTransient(fmt.Sprintf("Get(%s), after %d bytes", name, len(got)), err)
			if !bytes.HasPrefix(content(size), got) {
				l.Errorf("Get(%s): the %d bytes before the error are wrong", name, len(got))
			}
		}
	}, downs()...)
}

// testGetDamaged: bytes that change on their way from the service are an error at
// the latest at the end, unless they were asked for again for another reason.
func testGetDamaged(r *rig) {
	l := r.line(5, r.short())
	for name, size := range r.sizes() {
		l.put(l.store, name, content(size))
		noticed := false
		for range 10 {
			l.proxy.Set(some(faultproxy.WrongDown, 1, about(name, http.MethodGet)))
			got, err := l.get(l.store, name, 0, -1)
			noticed = errors.Is(err, backends.ErrCorrupt)
			if noticed || err != nil || !bytes.Equal(got, content(size)) {
				break
			}
		}
		if !noticed {
			l.Errorf("Get(%s) with a wrong byte does not end in ErrCorrupt", name)
		}
		l.proxy.Set(faultproxy.Faults{})
		if got, err := l.get(l.store, name, 0, -1); err != nil || !bytes.Equal(got, content(size)) {
			l.Errorf("Get(%s) again: %d bytes, %v", name, len(got), err)
		}
	}
	if l.proxy.Counts().Of[faultproxy.WrongDown] == 0 {
		l.Error("no byte was changed")
	}
}

// testRefused: a refusal that breaks off on its way is still understood, or asked
// for again.
func testRefused(r *rig) {
	r.each(func(r *rig, kind faultproxy.Kind) {
		l := r.line(10, r.short())
		for what, tt := range map[string]struct {
			do   func() error
			want error
		}{
			"Get of no file": {func() error {
				_, err := l.get(l.store, "no-such-file", 0, -1)
				return err
			}, fs.ErrNotExist},
			"Put if absent": {func() error {
				_, err := l.store.Put(l.Context(), "first", bytes.NewReader(content(2)), backends.PutOptions{IfAbsent: true})
				return err
			}, fs.ErrExist},
			"Delete of no file": {func() error { return l.store.Delete(l.Context(), "no-such-file") }, nil},
		} {
			l.proxy.Set(some(kind, times(kind), nil))
			if err := tt.do(); !errors.Is(err, tt.want) {
				l.Errorf("%s: error is %v, want %v", what, err, tt.want)
			}
		}
		l.wantFile("first", content(1))
		if l.proxy.Counts().Of[kind] == 0 {
			l.Errorf("%v has not happened", kind)
		}
	}, downs()...)
}

// testList: a listing through a bad network is whole, and names each file once.
func testList(r *rig) {
	r.each(func(r *rig, kind faultproxy.Kind) {
		const files = 30
		l := r.line(6, r.short())
		var want []string
		for i := range files {
			name := fmt.Sprintf("list-%02d", i)
			l.put(l.direct, name, content(10))
			want = append(want, name)
		}
		before := l.proxy.Counts()
		l.proxy.Set(some(kind, times(kind), nil))
		var got []string
		for info, err := range l.store.List(l.Context(), "list-") {
			if err != nil {
				l.Fatalf("List: %v", err)
			}
			got = append(got, info.Name)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			l.Errorf("List: got %v, want %v", got, want)
		}
		l.wantHappened(kind, before, times(kind))
	}, downs()...)
}
