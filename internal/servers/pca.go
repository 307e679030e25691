//go:build unix

package servers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/google/renameio/v2"
)

// Times are how a container of the policy PCA seals; pca.py documents them. The
// zero value is how the server was started: sealed at once, readable 1 s after the
// first get, for 24 h.
type Times struct {
	SealAfter    time.Duration // from the upload until it is sealed; 0 for the server's
	UnsealDelay  time.Duration // from the first get until it can be read; 0 for the server's
	UnsealedFor  time.Duration // from then until it is sealed again; 0 for the server's
	RepeatWindow time.Duration // a retrieval this soon after the last one takes RepeatDelay
	RepeatDelay  time.Duration
	// Offset is added to the container's clock: a test waits for nothing that it
	// can step past.
	Offset time.Duration
	// Segments makes the segments of a large object seal one by one, while its
	// manifest shows no state; otherwise its manifest decides for all of it.
	Segments bool
}

// MarshalJSON writes what pca.py reads: numbers of seconds.
func (t Times) MarshalJSON() ([]byte, error) {
	m := make(map[string]any)
	for name, d := range map[string]time.Duration{
		"seal_after": t.SealAfter, "unseal_delay": t.UnsealDelay, "unsealed_for": t.UnsealedFor,
		"repeat_window": t.RepeatWindow, "repeat_delay": t.RepeatDelay, "clock_offset": t.Offset,
	} {
		if d != 0 {
			m[name] = d.Seconds()
		}
	}
	if t.Segments {
		m["segments"] = true
	}
	return json.Marshal(m)
}

// SetTimes replaces the times of the container and of its container NAME_segments.
// They are in force for each request that begins after it has returned, but a
// running retrieval ends when it was to end.
func (c *Container) SetTimes(t Times) {
	c.tb.Helper()
	text, err := json.Marshal(t)
	if err == nil {
		err = renameio.WriteFile(c.timesFile(), text, 0o644)
	}
	if err != nil {
		c.tb.Fatalf("set times of container %s: %v", c.Name, err)
	}
}

func (c *Container) timesFile() string {
	return filepath.Join(c.server.control, c.Name+".json")
}

func (c *Container) forgetTimes() error {
	if err := os.Remove(c.timesFile()); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Unseals returns the object names of the retrievals that were started in the
// container named by the container's name and suffix, in their order.
func (c *Container) Unseals(suffix string) []string {
	c.tb.Helper()
	text, err := os.ReadFile(c.server.events)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // none was ever started
		c.tb.Fatal(err)
	}
	names, err := unsealed(text, c.Name+suffix)
	if err != nil {
		c.tb.Fatalf("%s: %v", c.server.events, err)
	}
	return names
}

func unsealed(events []byte, container string) (names []string, err error) {
	for line := range bytes.Lines(events) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // it is being written
		}
		var event struct{ Event, Container, Object string }
		if err := json.Unmarshal(line, &event); err != nil {
			return nil, fmt.Errorf("event %q: %w", line, err)
		}
		if event.Event == "unseal" && event.Container == container {
			names = append(names, event.Object)
		}
	}
	return names, nil
}
