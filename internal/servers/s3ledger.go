//go:build unix

package servers

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// An S3Request is a line of what a service would bill: requests that are alike.
// The words are those of cmd/s3archive/README.md, "What has happened".
type S3Request struct {
	Kind      string `json:"kind"`      // such as GET, LIST and RESTORE
	Operation string `json:"operation"` // such as RestoreObject
	Class     string `json:"class"`
	Tier      string `json:"tier"`
	Batch     bool   `json:"batch"`
	Status    int    `json:"status"` // of the answer: refused requests are counted too
	Count     int64  `json:"count"`
	Bytes     int64  `json:"bytes"` // of the objects, together
}

// Requests returns what was counted since the server's start or the last call of
// [S3Server.ForgetRequests].
func (s *S3Server) Requests() []S3Request {
	s.tb.Helper()
	var requests []S3Request
	if err := s.ledger(http.MethodGet, &requests); err != nil {
		s.tb.Fatal(err)
	}
	return requests
}

// Count returns how many requests of a kind, such as LIST, were answered at all.
func (s *S3Server) Count(kind string) int64 {
	s.tb.Helper()
	var n int64
	for _, r := range s.Requests() {
		if r.Kind == kind {
			n += r.Count
		}
	}
	return n
}

// ForgetRequests begins a new count.
func (s *S3Server) ForgetRequests() {
	s.tb.Helper()
	if err := s.ledger(http.MethodDelete, nil); err != nil {
		s.tb.Fatal(err)
	}
}

// ledger asks s3archive for its ledger, and decodes the answer into v unless that
// is nil.
func (s *S3Server) ledger(method string, v any) error {
	// Not the test's context: counts are of use in its cleanups too.
	req, err := http.NewRequest(method, s.Endpoint+"/_s3archive/ledger", nil)
	if err != nil {
		return err
	}
	client := http.Client{Transport: transport(), Timeout: time.Minute}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s", method, req.URL, resp.Status)
	}
	if v == nil {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(v); err != nil {
		return fmt.Errorf("%s %s: %w", method, req.URL, err)
	}
	return nil
}
