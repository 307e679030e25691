package gateway

import (
	"encoding/json"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/glacier"
)

// Event is a line of events.jsonl.
type Event struct {
	Time    time.Time     `json:"time"`  // of the server's clock
	Event   string        `json:"event"` // restore, extend, hurry, transition or expire
	Bucket  string        `json:"bucket"`
	Key     string        `json:"key"`
	Version string        `json:"version,omitempty"`
	Class   glacier.Class `json:"class"` // the new one for a transition
	Tier    glacier.Tier  `json:"tier,omitempty"`
	Days    int32         `json:"days,omitempty"`
	Ready   time.Time     `json:"ready,omitzero"`
	Expiry  time.Time     `json:"expiry,omitzero"`
	Job     string        `json:"job,omitempty"` // batch job that did it
}

// events is the file of events.
type events struct {
	path string
	mu   sync.Mutex // held while a line is written
}

func (e *events) add(event Event) error {
	line, err := json.Marshal(event)
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	f, err := os.OpenFile(e.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(line, '\n'))
	return errors.Join(err, f.Close())
}
