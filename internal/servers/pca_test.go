//go:build unix

package servers

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/ncw/swift/v2"
)

const day = 24 * time.Hour

func TestSealing(t *testing.T) {
	t.Parallel()
	s := Swift(t)
	c := s.NewContainer(t, s.V1, s.PCAPolicy)
	conn := s.V1.Connection()
	// Steps of the clock, which are far longer than any machine is slow.
	const delay = 3 * time.Hour
	at := func(offset time.Duration) {
		c.SetTimes(Times{UnsealDelay: delay, UnsealedFor: day, Offset: offset})
	}
	at(0)
	put(t, conn, c.Name, "one")
	wantState(t, conn, c.Name, "one", "sealed")
	wantRead(t, conn, c.Name, "one", swift.TooManyRequests)
	wantState(t, conn, c.Name, "one", "unsealing")
	at(delay - time.Hour)
	wantRead(t, conn, c.Name, "one", swift.TooManyRequests)
	at(delay + time.Minute)
	wantState(t, conn, c.Name, "one", "unsealed")
	wantRead(t, conn, c.Name, "one", nil)
	at(delay + day + time.Minute)
	wantState(t, conn, c.Name, "one", "sealed")
	if got, want := c.Unseals(""), []string{"one"}; !slices.Equal(got, want) {
		t.Errorf("retrievals %q, want %q", got, want)
	}
	wantRead(t, conn, c.Name, "one", swift.TooManyRequests)
	put(t, conn, c.Name, "one") // an overwrite is sealed
	wantState(t, conn, c.Name, "one", "sealed")
	if got, want := c.Unseals(""), []string{"one", "one"}; !slices.Equal(got, want) {
		t.Errorf("retrievals %q, want %q", got, want)
	}
}

// As the server is started, a retrieval takes a second.
func TestSealingByDefault(t *testing.T) {
	t.Parallel()
	s := Swift(t)
	c := s.NewContainer(t, s.V3, s.PCAPolicy)
	conn := s.V3.Connection()
	put(t, conn, c.Name, "one")
	wantRead(t, conn, c.Name, "one", swift.TooManyRequests)
	for state(t, conn, c.Name, "one") == "unsealing" {
		if t.Context().Err() != nil {
			t.Fatal(t.Context().Err())
		}
	}
	wantState(t, conn, c.Name, "one", "unsealed")
	wantRead(t, conn, c.Name, "one", nil)
}

// Containers of tests that run at once have times of their own, whichever order
// they are set in.
func TestTimesOfEachContainer(t *testing.T) {
	t.Parallel()
	s := Swift(t)
	conn := s.V1.Connection()
	var containers []*Container
	for i := range 4 {
		c := s.NewContainer(t, s.V1, s.PCAPolicy)
		c.Make("_segments", s.PCAPolicy)
		c.SetTimes(Times{UnsealDelay: time.Duration(i+1) * day})
		containers = append(containers, c)
	}
	for i, c := range containers {
		for _, name := range []string{c.Name, c.Name + "_segments"} {
			put(t, conn, name, "one")
			_, h, err := conn.ObjectOpen(t.Context(), name, "one", false, nil)
			if !errors.Is(err, swift.TooManyRequests) {
				t.Fatalf("get of a sealed object: %v, want %v", err, swift.TooManyRequests)
			}
			left, err := time.ParseDuration(h["Retry-After"] + "s")
			if want := time.Duration(i+1) * day; err != nil || left != want {
				t.Errorf("container %d: %v left (%v), want %v", i, left, err, want)
			}
		}
	}
}

// Both answers to a question that the service leaves open: whether the manifest of
// a large object decides, or each segment.
func TestLargeObjects(t *testing.T) {
	t.Parallel()
	for _, segments := range []bool{false, true} {
		t.Run(fmt.Sprintf("segments=%v", segments), func(t *testing.T) {
			t.Parallel()
			s := Swift(t)
			c := s.NewContainer(t, s.V1, s.PCAPolicy)
			c.Make("_segments", s.PCAPolicy)
			c.SetTimes(Times{UnsealDelay: day, UnsealedFor: 100 * day, Segments: segments})
			conn := s.V1.Connection()
			put(t, conn, c.Name+"_segments", "slo/1")
			put(t, conn, c.Name+"_segments", "slo/2")
			manifest := fmt.Sprintf(`[{"path":"%[1]s_segments/slo/1"},{"path":"%[1]s_segments/slo/2"}]`, c.Name)
			_, _, err := conn.Call(t.Context(), conn.StorageUrl, swift.RequestOpts{
				Container: c.Name, ObjectName: "large", Operation: "PUT", NoResponse: true,
				Parameters: url.Values{"multipart-manifest": {"put"}}, Body: strings.NewReader(manifest),
			})
			if err != nil {
				t.Fatal(err)
			}
			for i := 1; ; i++ {
				text, err := conn.ObjectGetString(t.Context(), c.Name, "large")
				if err == nil {
					if text != "slo/1slo/2" {
						t.Errorf("content is %q", text)
					}
					break
				}
				if !errors.Is(err, swift.TooManyRequests) || i > 2 {
					t.Fatalf("read %d: %v", i, err)
				}
				c.SetTimes(Times{UnsealDelay: day, UnsealedFor: 100 * day, Segments: segments, Offset: time.Duration(i) * (day + time.Hour)})
			}
			got := [2][]string{c.Unseals(""), c.Unseals("_segments")}
			want := [2][]string{{"large"}, nil}
			if segments {
				want = [2][]string{nil, {"slo/1", "slo/2"}}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("retrievals of manifests and segments (-want +got):\n%s", diff)
			}
		})
	}
}

// state is the object's by HEAD.
func state(t *testing.T, conn *swift.Connection, container, object string) string {
	t.Helper()
	_, h, err := conn.Object(t.Context(), container, object)
	if err != nil {
		t.Fatal(err)
	}
	return h["X-Ovh-Retrieval-State"]
}

// wantState asks by HEAD and by listing, in which the object is the only one.
func wantState(t *testing.T, conn *swift.Connection, container, object, want string) {
	t.Helper()
	if got := state(t, conn, container, object); got != want {
		t.Errorf("%s is %q, want %q", object, got, want)
	}
	resp, _, err := conn.Call(t.Context(), conn.StorageUrl, swift.RequestOpts{
		Container: container, Operation: "GET", Parameters: url.Values{"format": {"json"}, "policy_extra": {"true"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var listed []struct {
		Name  string
		State string `json:"policy_retrieval_state"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&listed); err != nil {
		t.Fatal(err)
	}
	if len(listed) != 1 || listed[0].Name != object || listed[0].State != want {
		t.Errorf("listed are %+v, want %s, %s", listed, object, want)
	}
}

func wantRead(t *testing.T, conn *swift.Connection, container, object string, want error) {
	t.Helper()
	if text, err := conn.ObjectGetString(t.Context(), container, object); !errors.Is(err, want) || err == nil && text != object {
		t.Errorf("read %s: %q, %v, want %v", object, text, err, want)
	}
}
