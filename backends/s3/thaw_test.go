package s3_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
)

const (
	glacier  = `x-amz-storage-class: GLACIER`
	sinking  = `x-amz-storage-class: INTELLIGENT_TIERING`
	underway = glacier + "\n" + `x-amz-restore: ongoing-request="true"`
	thawed   = glacier + "\n" + `x-amz-restore: ongoing-request="false", expiry-date="Fri, 21 Dec 2040 00:00:00 GMT"`
	sunk     = sinking + "\n" + `x-amz-archive-status: ARCHIVE_ACCESS`
)

// restoreRequest is the body of a RestoreObject.
type restoreRequest struct {
	Days *int
	Tier string `xml:"GlacierJobParameters>Tier"`
}

// TestThawAnswers goes through the answers of cold-storage spec section 4.2.
func TestThawAnswers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		what            string
		provider        string
		class           backends.Class
		head            string // headers of the file, where it is looked at
		speed           backends.Speed
		status          int
		code            string
		want            backends.ThawOutcome
		err             error
		looks, requests int
	}{
		{"cold", "aws", "GLACIER", "", backends.Bulk, 202, "", backends.Started, nil, 0, 1},
		{"thawed", "aws", "GLACIER", "", backends.Bulk, 200, "", backends.Extended, nil, 0, 1},
		{"thawing", "aws", "GLACIER", "", backends.Bulk, 409, "RestoreAlreadyInProgress", backends.Underway, nil, 0, 1},
		{"cold, fast", "aws", "GLACIER", glacier, backends.Expedited, 202, "", backends.Started, nil, 1, 1},
		{"made faster", "aws", "GLACIER", underway, backends.Expedited, 202, "", backends.Upgraded, nil, 1, 1},
		{"made faster, by a service that answers 200", "aws", "GLACIER", underway, backends.Expedited, 200, "", backends.Upgraded, nil, 1, 1},
		{"thawing as fast", "aws", "GLACIER", underway, backends.Expedited, 409, "RestoreAlreadyInProgress", backends.Underway, nil, 1, 1},
		{"thawed, fast", "aws", "GLACIER", thawed, backends.Expedited, 200, "", backends.Extended, nil, 1, 1},
		{"no capacity", "aws", "GLACIER", glacier, backends.Expedited, 503, "GlacierExpeditedRetrievalNotAvailable", 0, backends.ErrNoCapacity, 1, 1},
		{"online", "aws", "GLACIER", "", backends.Bulk, 403, "InvalidObjectState", backends.Online, nil, 0, 1},
		{"in an active tier", "aws", "GLACIER", "", backends.Bulk, 403, "ObjectAlreadyInActiveTierError", backends.Online, nil, 0, 1},
		{"gone", "aws", "GLACIER", "", backends.Bulk, 404, "NoSuchKey", 0, fs.ErrNotExist, 0, 1},
		{"denied", "aws", "GLACIER", "", backends.Bulk, 403, "AccessDenied", 0, fs.ErrPermission, 0, 1},
		{"no bucket", "aws", "GLACIER", "", backends.Bulk, 404, "NoSuchBucket", 0, backends.ErrNoStore, 0, 1},
		{"refused, and cold", "aws", "GLACIER", glacier, backends.Bulk, 400, "InvalidArgument", 0, errAny, 1, 1},
		{"refused, and thawing", "aws", "GLACIER", underway, backends.Bulk, 409, "SomeOtherWord", backends.Underway, nil, 1, 1},
		{"expedited from a class that has none", "aws", "STANDARD", `x-amz-storage-class: DEEP_ARCHIVE`, backends.Expedited, 400, "InvalidArgument", 0, backends.ErrUnsupported, 2, 1},
		{"never cold", "aws", "STANDARD", `x-other: 1`, backends.Bulk, 0, "", backends.Online, nil, 1, 0},
		{"frozen by a rule of the bucket", "aws", "STANDARD", glacier, backends.Bulk, 202, "", backends.Started, nil, 1, 1},
		{"thawed, frozen by a rule of the bucket", "aws", "STANDARD", thawed, backends.Bulk, 200, "", backends.Extended, nil, 1, 1},
		{"refused, sunk, and refused again", "aws", "GLACIER", sunk, backends.Bulk, 400, "InvalidArgument", 0, errAny, 1, 2},
		{"sunk", "aws", "INTELLIGENT_TIERING", sunk, backends.Bulk, 202, "", backends.Started, nil, 1, 1},
		{"not sunk", "aws", "INTELLIGENT_TIERING", sinking, backends.Bulk, 0, "", backends.Online, nil, 1, 0},
		{"speed that is none", "aws", "GLACIER", "", "warp", 0, "", 0, backends.ErrUnsupported, 0, 0},
		{"speed of others", "aws", "GLACIER", "", backends.SpeedOnly, 0, "", 0, backends.ErrUnsupported, 0, 0},
		{"Scaleway", "scaleway", "GLACIER", glacier, backends.SpeedOnly, 202, "", backends.Started, nil, 1, 1},
		{"Scaleway, thawed", "scaleway", "GLACIER", thawed, backends.SpeedOnly, 0, "", backends.Unchanged, nil, 1, 0},
		{"fewer days at OVHcloud", "ovh", "DEEP_ARCHIVE", strings.Replace(thawed, "GLACIER", "DEEP_ARCHIVE", 1), backends.SpeedOnly, 400, "InvalidRequest", backends.Unchanged, nil, 1, 1},
	} {
		t.Run(tt.what, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			looks, sent := 0, []restoreRequest{}
			f := startFake(t, func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				if r.Method == http.MethodHead {
					looks++
					describe(w, tt.head)
					return
				}
				var req restoreRequest
				if err := xml.NewDecoder(r.Body).Decode(&req); err != nil || r.Method != http.MethodPost || !r.URL.Query().Has("restore") {
					t.Errorf("request %s %s: %v", r.Method, r.URL, err)
				}
				sent = append(sent, req)
				if tt.code != "" {
					refuse(w, tt.status, tt.code, "no")
					return
				}
				w.WriteHeader(tt.status)
			})
			c := f.config()
			c.Provider, c.Class = tt.provider, tt.class
			if tt.provider == "ovh" {
				c.Region = "eu-west-par"
			}
			got, err := open(t, c).Thaw(t.Context(), "file", backends.ThawRequest{Speed: tt.speed, Keep: 25 * time.Hour})
			if got != tt.want || (err == nil) != (tt.err == nil) || tt.err != errAny && !errors.Is(err, tt.err) {
				t.Errorf("Thaw = %v, %v; want %v, %v", got, err, tt.want, tt.err)
			}
			mu.Lock()
			defer mu.Unlock()
			if looks != tt.looks || len(sent) != tt.requests {
				t.Errorf("%d looks and %d requests, want %d and %d", looks, len(sent), tt.looks, tt.requests)
			}
			for _, req := range sent {
				if sinks := tt.class == "INTELLIGENT_TIERING" || tt.head == sunk && len(sent) == 2 && req == sent[1]; (req.Days == nil) != sinks || req.Days != nil && *req.Days != 2 {
					t.Errorf("%v days were asked for, of %s", req.Days, tt.class)
				}
				if (req.Tier == "") != (tt.speed == backends.SpeedOnly) || !strings.EqualFold(req.Tier, string(tt.speed)) && req.Tier != "" {
					t.Errorf("tier %q was asked for, want %q", req.Tier, tt.speed)
				}
			}
		})
	}
}

// errAny stands for an error of no kind.
var errAny = errors.New("any error")

// describe answers HEAD.
func describe(w http.ResponseWriter, headers string) {
	if headers == "" {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	for line := range strings.SplitSeq(headers, "\n") {
		key, value, _ := strings.Cut(line, ": ")
		w.Header().Set(key, value)
	}
	w.Header().Set("ETag", `"x"`)
	w.Header().Set("Content-Length", "1")
	w.Header().Set("Last-Modified", "Fri, 21 Dec 2012 00:00:00 GMT")
}

// TestThawOfAnotherClass: a file that sinks, in a store of another class, is
// asked for without days, by a request of its own.
func TestThawOfAnotherClass(t *testing.T) {
	t.Parallel()
	for _, class := range []backends.Class{"GLACIER", "STANDARD"} {
		var mu sync.Mutex
		var bodies []string
		f := startFake(t, func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			if r.Method == http.MethodHead {
				describe(w, sunk)
				return
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			bodies = append(bodies, string(body))
			if strings.Contains(string(body), "<Days>") {
				refuse(w, 400, "InvalidArgument", "INTELLIGENT_TIERING objects are not subject to restore expiry.")
				return
			}
			w.WriteHeader(http.StatusAccepted)
		})
		c := f.config()
		c.Class = class
		got, err := open(t, c).Thaw(t.Context(), "file", backends.ThawRequest{Speed: backends.Bulk, Keep: time.Hour})
		if got != backends.Started || err != nil {
			t.Errorf("Thaw in a store of %s = %v, %v after %q", class, got, err, bodies)
		}
	}
}

// TestThawThrottled: too many requests are repeated, and then ErrTransient.
func TestThawThrottled(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"SlowDown", "ThrottlingException"} {
		n := 0
		var mu sync.Mutex
		f := startFake(t, func(w http.ResponseWriter, _ *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			if n++; n < 3 {
				refuse(w, 503, code, "Please reduce your request rate.")
				return
			}
			w.WriteHeader(http.StatusAccepted)
		})
		c := f.config()
		c.Class = "GLACIER"
		got, err := open(t, c).Thaw(t.Context(), "file", backends.ThawRequest{Speed: backends.Bulk})
		if got != backends.Started || err != nil || f.requests() != 3 {
			t.Errorf("Thaw under %s = %v, %v after %d requests", code, got, err, f.requests())
		}
		always := startFake(t, func(w http.ResponseWriter, _ *http.Request) { refuse(w, 429, code, "no") })
		c = always.config()
		c.Class = "GLACIER"
		if _, err := open(t, c).Thaw(t.Context(), "file", backends.ThawRequest{Speed: backends.Bulk}); !errors.Is(err, backends.ErrTransient) {
			t.Errorf("Thaw under %s for ever: %v", code, err)
		}
	}
}

// TestThawLostAnswer: a request whose answer was lost is under way when it is
// repeated, which is no failure.
func TestThawLostAnswer(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	started := false
	f := startFake(t, func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if !started {
			started = true
			panic(http.ErrAbortHandler)
		}
		refuse(w, 409, "RestoreAlreadyInProgress", "Object restore is already in progress")
	})
	c := f.config()
	c.Class = "DEEP_ARCHIVE"
	got, err := open(t, c).Thaw(t.Context(), "file", backends.ThawRequest{Speed: backends.Bulk})
	if got != backends.Underway || err != nil {
		t.Errorf("Thaw = %v, %v", got, err)
	}
}

// TestThawMany: requests that are made at once do not share what they ask for.
func TestThawMany(t *testing.T) {
	t.Parallel()
	f := startFake(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			describe(w, sunk)
			return
		}
		var req restoreRequest
		if err := xml.NewDecoder(r.Body).Decode(&req); err != nil {
			t.Error(err)
		}
		switch want, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/bucket/folder/days-"), "-"); {
		case req.Days == nil:
		case fmt.Sprint(*req.Days) != want || req.Tier != "Bulk":
			t.Errorf("%s asks for %v days, %s", r.URL.Path, *req.Days, req.Tier)
		}
		if strings.HasSuffix(r.URL.Path, "-sunk") && req.Days != nil {
			refuse(w, 400, "InvalidArgument", "no days")
			return
		}
		w.WriteHeader(http.StatusAccepted)
	})
	c := f.config()
	c.Class = "GLACIER"
	s := open(t, c)
	var wg sync.WaitGroup
	for n := range 40 {
		wg.Go(func() {
			days, end := n%5+1, "cold"
			if n%2 == 1 {
				end = "sunk"
			}
			name := fmt.Sprintf("days-%d-%d-%s", days, n, end)
			got, err := s.Thaw(t.Context(), name, backends.ThawRequest{Speed: backends.Bulk, Keep: time.Duration(days) * 24 * time.Hour})
			if got != backends.Started || err != nil {
				t.Errorf("Thaw(%s) = %v, %v", name, got, err)
			}
		})
	}
	wg.Wait()
}
