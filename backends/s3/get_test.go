//go:build unix

package s3_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/isotherm-backup/isotherm/backends"
)

// TestGetResumes: a transfer that breaks off again and again is gone on with,
// and what is read is the file.
func TestGetResumes(t *testing.T) {
	t.Parallel()
	a := startArchive(t, "us-east-1", nil)
	a.bucket(t, "bucket")
	p := startProxy(t, a)
	p.after = func(r *http.Response, op string, _ int) error {
		if op == "GET" {
			r.Body = cut(r.Body, 100_000)
		}
		return nil
	}
	s := open(t, p.config(a, "bucket"))
	data := noise(1, 1<<20)
	if _, err := s.Put(t.Context(), "file", bytes.NewReader(data), backends.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := read(t, s, "file"); !bytes.Equal(got, data) {
		t.Errorf("%d bytes are read, which are not the file", len(got))
	}
	if n := p.of("GET"); n != 11 {
		t.Errorf("%d requests for 1 MiB in pieces of 100,000 bytes, want 11", n)
	}
	body, err := s.Get(t.Context(), "file", 1000, 500_000)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if got, err := io.ReadAll(body); err != nil || !bytes.Equal(got, data[1000:501_000]) {
		t.Errorf("a range has %d bytes, which are not those of the file: %v", len(got), err)
	}
}

// TestGetReplaced: a file that is replaced while it is read is never mixed with
// the new one.
func TestGetReplaced(t *testing.T) {
	t.Parallel()
	a := startArchive(t, "us-east-1", nil)
	a.bucket(t, "bucket")
	p := startProxy(t, a)
	p.after = func(r *http.Response, op string, _ int) error {
		if op == "GET" {
			r.Body = cut(r.Body, 100_000)
		}
		return nil
	}
	s := open(t, p.config(a, "bucket"))
	put := func(b byte) {
		t.Helper()
		if _, err := s.Put(t.Context(), "file", bytes.NewReader(bytes.Repeat([]byte{b}, 500_000)), backends.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	put('a')
	body, err := s.Get(t.Context(), "file", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	head := make([]byte, 50_000)
	if _, err := io.ReadFull(body, head); err != nil {
		t.Fatal(err)
	}
	put('b')
	rest, err := io.ReadAll(body)
	if err == nil || !strings.Contains(err.Error(), "replaced") || errors.Is(err, backends.ErrTransient) {
		t.Errorf("read of a replaced file: %v", err)
	}
	if bytes.Contains(rest, []byte("b")) {
		t.Error("the new file is mixed into the old one")
	}
}

// TestGetDamaged: a whole file is compared with its checksum, whichever is known.
func TestGetDamaged(t *testing.T) {
	t.Parallel()
	a := startArchive(t, "us-east-1", nil)
	a.bucket(t, "bucket")
	p := startProxy(t, a)
	damage := true
	p.after = func(r *http.Response, op string, _ int) error {
		if op == "GET" && damage {
			r.Body = flip(r.Body, 500)
		}
		return nil
	}
	s := open(t, p.config(a, "bucket"))
	data := noise(1, 1000)
	if _, err := s.Put(t.Context(), "ours", bytes.NewReader(data), backends.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	a.put(t, "bucket", "theirs", data)
	for _, name := range []string{"ours", "theirs"} {
		body, err := s.Get(t.Context(), name, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.ReadAll(body)
		if err := errors.Join(err, body.Close()); !errors.Is(err, backends.ErrCorrupt) {
			t.Errorf("read of %s, damaged on its way: %v, want ErrCorrupt", name, err)
		}
	}
	damage = false
	for _, name := range []string{"ours", "theirs"} {
		if got := read(t, s, name); !bytes.Equal(got, data) {
			t.Errorf("%s is not what was put", name)
		}
	}
}

// TestGetFrozenRace: the service refuses a read, and says a moment later that the
// file can be read.
func TestGetFrozenRace(t *testing.T) {
	t.Parallel()
	for _, refusals := range []int{1, 5} {
		n := 0
		f := startFake(t, func(w http.ResponseWriter, r *http.Request) {
			describe(w, thawed)
			if r.Method == http.MethodGet {
				if n++; n <= refusals {
					w.Header().Del("Content-Length")
					refuse(w, 403, "InvalidObjectState", "The operation is not valid for the object's storage class")
					return
				}
				fmt.Fprint(w, "x")
			}
		})
		c := f.config()
		c.Class = "GLACIER"
		body, err := open(t, c).Get(t.Context(), "file", 0, -1)
		if err == nil {
			body.Close()
		}
		if refusals == 1 && err != nil || refusals > 1 && !errors.Is(err, backends.ErrFrozen) {
			t.Errorf("Get after %d refusals: %v", refusals, err)
		}
	}
}

// TestGetLooksFirst: where reading would start a thaw, the store looks before.
func TestGetLooksFirst(t *testing.T) {
	t.Parallel()
	f := startFake(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodHead {
			t.Errorf("%s was sent to a frozen file", r.Method)
		}
		describe(w, underway)
	})
	c := f.config()
	c.Class, c.Provider = "GLACIER", "ceph"
	_, err := open(t, c).Get(t.Context(), "file", 0, -1)
	var frozen *backends.FrozenError
	if !errors.As(err, &frozen) || frozen.State != backends.Thawing || frozen.Class != "GLACIER" {
		t.Errorf("Get: %v", err)
	}
}

// TestNotS3: what is answered by something else is never a file.
func TestNotS3(t *testing.T) {
	t.Parallel()
	f := startFake(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>please log in</html>") })
	s := open(t, f.config())
	if _, err := s.Stat(t.Context(), "file"); err == nil {
		t.Error("Stat finds a file in a web page")
	}
	if body, err := s.Get(t.Context(), "file", 0, -1); err == nil {
		body.Close()
		t.Error("Get reads a web page")
	}
	if _, err := s.Put(t.Context(), "file", strings.NewReader("x"), backends.PutOptions{}); err == nil {
		t.Error("Put stores into a web page")
	}
}
