package faulttest

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/internal/faultproxy"
)

// testRetryAfter: a service that says when to come back is not asked before.
func testRetryAfter(r *rig) {
	l := r.line(7, r.short())
	for name, do := range calls(l) {
		before := l.proxy.Counts()
		f := all(faultproxy.Busy)
		f.Times, f.RetryAfter = 1, time.Second
		l.proxy.Set(f)
		if err := do(l.store); err != nil {
			l.Errorf("%s: %v", name, err)
		}
		l.wantHappened(faultproxy.Busy, before, 1)
	}
	if early := l.proxy.Counts().Early; early > 0 {
		l.Errorf("%d requests came before the time that Retry-After said", early)
	}
}

// calls are the ways to use a store, on the file first.
func calls(l *line) map[string]func(backends.Store) error {
	return map[string]func(backends.Store) error{
		"Put": func(s backends.Store) error {
			_, err := s.Put(l.Context(), "first", bytes.NewReader(content(1)), backends.PutOptions{})
			return err
		},
		"Get": func(s backends.Store) error {
			_, err := l.get(s, "first", 0, -1)
			return err
		},
		"Stat": func(s backends.Store) error {
			_, err := s.Stat(l.Context(), "first")
			return err
		},
		"List": func(s backends.Store) error {
			for _, err := range s.List(l.Context(), "") {
				if err != nil {
					return err
				}
			}
			return nil
		},
		"Delete": func(s backends.Store) error { return s.Delete(l.Context(), "no-such-file") },
	}
}

// testDead: a service that is gone is given up by the deadline, with an error that
// says for how long it was tried; then it costs little to ask again; and when it is
// back, all is well.
func testDead(r *rig) {
	const off = faultproxy.Kind(0)
	r.each(func(r *rig, kind faultproxy.Kind) {
		faults := faultproxy.Faults{Down: true}
		if kind != off {
			faults = all(kind)
		}
		l := r.line(8, r.impatient())
		for name, do := range calls(l) {
			if slow(kind) && name != "Put" && name != "List" {
				continue // the others wait in the same way
			}
			l.proxy.Set(faults)
			err := do(l.store)
			l.wantTransient(name, err)
			if err != nil && !strings.Contains(err.Error(), "given up after") {
				l.Errorf("%s: error %q does not say how long was tried", name, err)
			}
			l.wantTransient(name+", again", do(l.store))
			l.proxy.Set(faultproxy.Faults{})
			l.wantSoon(name, func() error { return do(l.store) })
		}
		l.proxy.Set(faults)
		l.wantTransient("Get on a new store", calls(l)["Get"](l.open(l.proxy.URL(), r.impatient())))
	}, off, faultproxy.Silent, faultproxy.Busy)
}

// testStorm: many transfers at once and all faults together; every file arrives.
func testStorm(r *rig) {
	l := r.line(9, r.short())
	f := faultproxy.Faults{Shares: make(faultproxy.Shares)}
	for _, kind := range append(ups(), downs()...) {
		f.Shares[kind] = 0.03
	}
	l.proxy.Set(f)
	group, _ := errgroup.WithContext(l.Context())
	group.SetLimit(8)
	for i := range 60 {
		group.Go(func() error {
			name, data := fmt.Sprint("storm-", i), content(1000*i+1)
			if _, err := l.store.Put(l.Context(), name, bytes.NewReader(data), backends.PutOptions{IfAbsent: i%2 == 0}); err != nil {
				return err
			}
			got, err := l.get(l.store, name, 0, -1)
			if err != nil || !bytes.Equal(got, data) {
				return errors.Join(fmt.Errorf("Get(%s): %d bytes, want %d", name, len(got), len(data)), err)
			}
			if i%3 == 0 {
				return l.store.Delete(l.Context(), name)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		l.Error(err)
	}
	l.proxy.Set(faultproxy.Faults{})
	n := 0
	for info, err := range l.direct.List(l.Context(), "storm-") {
		if err != nil {
			l.Fatal(err)
		}
		var i int
		if _, err := fmt.Sscanf(info.Name, "storm-%d", &i); err != nil || i%3 == 0 || info.Size != int64(1000*i+1) {
			l.Errorf("listed is %+v", info)
		}
		n++
	}
	if n != 40 {
		l.Errorf("%d files are there, want 40", n)
	}
	if c := l.proxy.Counts(); len(c.Of) < 5 {
		l.Errorf("the storm was none: %v", c.Of)
	}
}
