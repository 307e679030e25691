//go:build unix

package swift_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"testing"
	"time"

	ncw "github.com/ncw/swift/v2"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/swift"
	"github.com/isotherm-backup/isotherm/internal/servers"
)

// TestContainerMade: the first Put makes the container, under the storage policy
// of the store, and nothing else does.
func TestContainerMade(t *testing.T) {
	t.Parallel()
	server := servers.Swift(t)
	for _, class := range []backends.Class{"", "PCS"} {
		c := server.NewName(t, server.V1)
		s := open(t, swift.Config{Container: c.Name, Credentials: credentials(t, server.V1), Class: class})
		if _, err := s.Stat(t.Context(), "file"); !errors.Is(err, backends.ErrNoStore) || !strings.Contains(err.Error(), c.Name) {
			t.Errorf("Stat without a container: %v, want ErrNoStore", err)
		}
		if _, err := get(t, s, "file", 0, 0); !errors.Is(err, backends.ErrNoStore) {
			t.Errorf("Get without a container: %v, want ErrNoStore", err)
		}
		for _, err := range s.List(t.Context(), "") {
			if !errors.Is(err, backends.ErrNoStore) {
				t.Errorf("List without a container: %v, want ErrNoStore", err)
			}
		}
		if err := s.Delete(t.Context(), "file"); !errors.Is(err, backends.ErrNoStore) {
			t.Errorf("Delete without a container: %v, want ErrNoStore", err)
		}
		if info := put(t, s, "file", []byte("x")); info.Class != "PCS" {
			t.Errorf("the class of a new file is %q", info.Class)
		}
		wantFile(t, s, "file", []byte("x"))
	}
	c := server.NewName(t, server.V1)
	s := open(t, swift.Config{Container: c.Name, Credentials: credentials(t, server.V1), Class: "PCS"})
	for range 2 {
		if err := s.Create(t.Context()); err != nil {
			t.Errorf("Create: %v", err)
		}
	}
	if got := list(t, s); len(got) != 0 {
		t.Errorf("a new container holds %v", got)
	}
	bad := open(t, swift.Config{Container: c.Name + "-bad", Credentials: credentials(t, server.V1), Class: "GOLD"})
	if err := bad.Create(t.Context()); err == nil || errors.Is(err, backends.ErrTransient) || !strings.Contains(err.Error(), "GOLD") {
		t.Errorf("Create under a storage policy that there is not: %v", err)
	}
}

// TestPolicy: a container of another storage policy is refused by every method,
// and one that seals by a store that does not expect it.
func TestPolicy(t *testing.T) {
	t.Parallel()
	server := servers.Swift(t)
	hot, cold := server.NewContainer(t, server.V1, server.HotPolicy), server.NewContainer(t, server.V1, server.PCAPolicy)
	for _, tt := range []struct {
		container, want string
		class           backends.Class
	}{
		{hot.Name, "has the storage policy PCS, not STANDARD", "STANDARD"},
		{cold.Name, "pca://" + cold.Name, ""},
	} {
		s := open(t, swift.Config{Container: tt.container, Credentials: credentials(t, server.V1), Class: tt.class})
		_, statErr := s.Stat(t.Context(), "file")
		_, putErr := s.Put(t.Context(), "file", strings.NewReader("x"), backends.PutOptions{})
		_, getErr := get(t, s, "file", 0, -1)
		for _, err := range []error{statErr, putErr, getErr, s.Delete(t.Context(), "file"), s.Create(t.Context())} {
			if !errors.Is(err, backends.ErrUnsupported) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s as %q: %v, want ErrUnsupported with %q", tt.container, tt.class, err, tt.want)
			}
		}
	}
	put(t, open(t, swift.Config{Container: hot.Name, Credentials: credentials(t, server.V1), Class: "pcs"}), "file", nil)
	hot.Make("_segments", server.PCAPolicy)
	s := open(t, swift.Config{Container: hot.Name, Credentials: credentials(t, server.V1), SegmentAbove: 5, SegmentSize: 5})
	_, err := s.Put(t.Context(), "large", strings.NewReader("more than five"), backends.PutOptions{})
	if !errors.Is(err, backends.ErrUnsupported) || !strings.Contains(err.Error(), hot.Name+"_segments") {
		t.Errorf("Put of segments into a container of another policy: %v", err)
	}
}

// TestDenied: what one may not do is fs.ErrPermission, with the service's number
// of the request and without secrets.
func TestDenied(t *testing.T) {
	t.Parallel()
	server := servers.Swift(t)
	c := server.NewContainer(t, server.V1, server.HotPolicy)
	for _, header := range []ncw.Headers{nil, {"X-Container-Read": server.Reader.User}} {
		if header != nil {
			if err := server.V1.Connection().ContainerUpdate(t.Context(), c.Name, header); err != nil {
				t.Fatal(err)
			}
		}
		s := open(t, swift.Config{Container: c.Name, Credentials: credentials(t, server.Reader)})
		_, err := s.Put(t.Context(), "file", strings.NewReader("x"), backends.PutOptions{})
		if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "403 Forbidden") || !strings.Contains(err.Error(), "transaction tx") {
			t.Errorf("Put by a reader: %v, want fs.ErrPermission", err)
		}
		for _, secret := range servers.Secrets() {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the error shows a secret: %v", err)
			}
		}
		if header == nil {
			continue
		}
		if _, err := s.Stat(t.Context(), "file"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Stat by a reader: %v", err)
		}
		setup, err := s.Examine(t.Context())
		if err != nil || fmt.Sprint(setup.Denied) != "["+"HEAD of container "+c.Name+"_segments HEAD of the account]" {
			t.Errorf("Examine by a reader: %+v, %v", setup, err)
		}
	}
}

// TestExamine: what can surprise a user is told.
func TestExamine(t *testing.T) {
	t.Parallel()
	s, w, c := wired(t, nil)
	setup, err := s.Examine(t.Context())
	if err != nil || setup.Provider != "swift" || setup.Versioning || setup.Skew.Abs() > 5*time.Second || len(setup.Notes) != 1 {
		t.Errorf("Examine of a plain container: %+v, %v", setup, err)
	}
	for _, header := range []ncw.Headers{
		{"X-Versions-Enabled": "true"},
		{"X-Container-Meta-Quota-Bytes": "1048576", "X-Container-Meta-Quota-Count": "2000", "X-Container-Read": ".r:*"},
	} {
		if err := servers.Swift(t).V1.Connection().ContainerUpdate(t.Context(), c.Name, header); err != nil {
			t.Fatal(err)
		}
	}
	c.Make("_segments", servers.Swift(t).PCAPolicy)
	w.set(func(req *http.Request, send roundTrip) (*http.Response, error) {
		resp, err := send(req)
		if err == nil && req.Method == http.MethodHead {
			resp.Header.Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
			if strings.Count(req.URL.Path, "/") == 2 {
				resp.Header.Set("X-Account-Meta-Quota-Bytes", "10737418240")
			}
		}
		return resp, err
	})
	setup, err = s.Examine(t.Context())
	if err != nil || !setup.Versioning || (setup.Skew-time.Hour).Abs() > 5*time.Second {
		t.Errorf("Examine: %+v, %v", setup, err)
	}
	notes := strings.Join(setup.Notes, "\n")
	for _, want := range []string{"policy is PCS", "1.0 MiB at the most", "2,000 files at the most", "Anybody", "Its storage policy is PCA", "account may hold 10 GiB"} {
		if !strings.Contains(notes, want) {
			t.Errorf("the notes lack %q:\n%s", want, notes)
		}
	}
	gone := open(t, swift.Config{Container: "missing-" + c.Name, Credentials: credentials(t, servers.Swift(t).V1)})
	if _, err := gone.Examine(t.Context()); !errors.Is(err, backends.ErrNoStore) {
		t.Errorf("Examine of no container: %v, want ErrNoStore", err)
	}
}

// TestListLong lists 100,000 files in eleven requests, and files that appear
// behind the listing's place do not come twice.
func TestListLong(t *testing.T) {
	t.Parallel()
	s, w, c := wired(t, nil)
	put(t, s, "file", nil)
	const files, page = 100_000, 10_000
	name := func(i int) string { return fmt.Sprintf("duplicity-full.20261127T000000Z.vol%06d.difftar.gpg", i) }
	w.set(func(req *http.Request, send roundTrip) (*http.Response, error) {
		if !req.URL.Query().Has("format") {
			return send(req)
		}
		from := 0
		if marker := req.URL.Query().Get("marker"); marker != "" {
			fmt.Sscanf(marker, "duplicity-full.20261127T000000Z.vol%d", &from)
			from++
		}
		entries := make([]map[string]any, 0, page)
		for i := from; i < min(from+page, files); i++ {
			entries = append(entries, map[string]any{
				"name": name(i), "bytes": i, "hash": "d41d8cd98f00b204e9800998ecf8427e", "last_modified": "2026-11-27T02:28:36.652330", "content_type": "x",
			})
		}
		text, err := json.Marshal(entries)
		resp := answer(req, http.StatusOK, nil)
		resp.Body = io.NopCloser(strings.NewReader(string(text)))
		return resp, err
	})
	n := 0
	for info, err := range s.List(t.Context(), "") {
		if err != nil || info.Name != name(n) || info.Size != int64(n) {
			t.Fatalf("file %d is listed as %+v, %v", n, info, err)
		}
		n++
	}
	if n != files || w.count("GET "+c.Name) != 11 {
		t.Errorf("%d files in %d requests, want %d in 11", n, w.count("GET "+c.Name), files)
	}
}

// TestListBackwards: a service that repeats a page is not asked for ever.
func TestListBackwards(t *testing.T) {
	t.Parallel()
	s, w, _ := wired(t, nil)
	put(t, s, "file", nil)
	settle(t, func() bool { return len(list(t, s)) == 1 })
	w.set(func(req *http.Request, send roundTrip) (*http.Response, error) {
		q := req.URL.Query()
		q.Del("marker")
		req.URL.RawQuery = q.Encode()
		return send(req)
	})
	var last error
	n := 0
	for _, err := range s.List(t.Context(), "") {
		last = err
		n++
	}
	if n != 2 || !errors.Is(last, backends.ErrCorrupt) {
		t.Errorf("listing of a service that repeats itself: %d files, then %v", n, last)
	}
}

// TestConfig: a configuration that cannot work is refused before anything is sent.
func TestConfig(t *testing.T) {
	t.Parallel()
	c := find(t, map[string]string{"SWIFT_PREAUTHURL": "http://127.0.0.1:1", "SWIFT_PREAUTHTOKEN": "x"})
	for name, config := range map[string]swift.Config{
		"no container":   {Credentials: c},
		"a path":         {Container: "a/b", Credentials: c},
		"nobody":         {Container: "a"},
		"large segments": {Container: "a", Credentials: c, SegmentAbove: 1, SegmentSize: 2},
		"PCA":            {Container: "a", Credentials: c, Class: "pca"},
		"negative":       {Container: "a", Credentials: c, SegmentSize: -1},
	} {
		if s, err := swift.New(config); err == nil {
			t.Errorf("%s: store is %v, want an error", name, s)
		}
	}
}
