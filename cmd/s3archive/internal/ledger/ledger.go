// Package ledger counts what a service would bill, so that a client's own books can be compared with it.
package ledger

import (
	"cmp"
	"encoding/json"
	"slices"
	"sync"

	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/glacier"
)

// Kind is the group that a price list has a line for.
type Kind string

// The kinds. Transition, Expiration, Job and Task are what the service does by itself; the others are requests.
const (
	Put        Kind = "PUT" // also COPY and POST
	Get        Kind = "GET"
	Head       Kind = "HEAD"
	List       Kind = "LIST"
	Delete     Kind = "DELETE" // free at AWS, and so is aborting an upload
	Restore    Kind = "RESTORE"
	Transition Kind = "TRANSITION" // an object that lifecycle rules moved, by its new class
	Expiration Kind = "EXPIRATION" // an object that lifecycle rules deleted; free at AWS
	Job        Kind = "JOB"        // a Batch Operations job
	Task       Kind = "TASK"       // an object of one; its RESTORE is counted besides
)

// Item is what is counted together.
type Item struct {
	Kind      Kind          `json:"kind"`
	Operation string        `json:"operation"`        // the API's name, such as PutObject
	Class     glacier.Class `json:"class,omitempty"`  // of the object; STANDARD for uploads in parts until they are complete
	Tier      glacier.Tier  `json:"tier,omitempty"`   // of a restore
	Batch     bool          `json:"batch,omitempty"`  // a restore that a batch job sent
	Status    int           `json:"status,omitempty"` // HTTP status of the answer
}

// Line is an item with its numbers.
type Line struct {
	Item
	Count int64 `json:"count"`
	// Bytes of the objects: taken in by PUT, handed out by GET, thawed by RESTORE, moved by TRANSITION.
	Bytes int64 `json:"bytes"`
}

type sums struct{ count, bytes int64 }

// Ledger is a set of lines. The zero value is ready; it is safe for concurrent use.
type Ledger struct {
	mu      sync.Mutex // guards what follows
	lines   map[Item]sums
	changed bool
}

// Add counts one more of item.
func (l *Ledger) Add(item Item, bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.add(item, sums{1, bytes})
}

func (l *Ledger) add(item Item, s sums) {
	if l.lines == nil {
		l.lines = map[Item]sums{}
	}
	old := l.lines[item]
	l.lines[item] = sums{old.count + s.count, old.bytes + s.bytes}
	l.changed = true
}

// Lines lists the lines in a fixed order.
func (l *Ledger) Lines() []Line {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]Line, 0, len(l.lines))
	for item, s := range l.lines {
		list = append(list, Line{item, s.count, s.bytes})
	}
	slices.SortFunc(list, func(a, b Line) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Operation, b.Operation), cmp.Compare(a.Class, b.Class),
			cmp.Compare(a.Tier, b.Tier), cmp.Compare(a.Status, b.Status))
	})
	return list
}

// Reset forgets everything.
func (l *Ledger) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines, l.changed = nil, true
}

// Changed says whether anything has changed since it was last called.
func (l *Ledger) Changed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.changed
	l.changed = false
	return was
}

// MarshalJSON writes the lines.
func (l *Ledger) MarshalJSON() ([]byte, error) { return json.Marshal(l.Lines()) }

// UnmarshalJSON adds the lines that MarshalJSON wrote.
func (l *Ledger) UnmarshalJSON(data []byte) error {
	var list []Line
	if err := json.Unmarshal(data, &list); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range list {
		l.add(line.Item, sums{line.Count, line.Bytes})
	}
	return nil
}
