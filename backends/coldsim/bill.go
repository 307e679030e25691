package coldsim

import (
	"encoding/json"
	"net/url"
	"path/filepath"
	"slices"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
)

// Event is one request that a service would bill, or would have refused.
type Event struct {
	At    time.Time `json:"at"` // simulated
	Kind  EventKind `json:"kind"`
	Name  string    `json:"name,omitempty"`
	Bytes int64     `json:"bytes,omitempty"` // put, got, or thawed

	// Of a thaw: what was asked, and the answer. Only Started and Upgraded
	// retrieve the bytes; the others are requests alone.
	Speed   backends.Speed `json:"speed,omitempty"`
	Days    int            `json:"days,omitempty"`
	Outcome string         `json:"outcome,omitempty"`

	// Of an early deletion, by Delete or by replacement: what was left of the
	// minimum duration.
	Left time.Duration `json:"left,omitempty"`
}

// plainEvent is an Event whose name is percent-encoded, since names are any
// bytes and JSON is UTF-8.
type plainEvent Event

// MarshalJSON writes the event with its name percent-encoded.
func (e Event) MarshalJSON() ([]byte, error) {
	e.Name = url.PathEscape(e.Name)
	return json.Marshal(plainEvent(e))
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (e *Event) UnmarshalJSON(data []byte) error {
	err := json.Unmarshal(data, (*plainEvent)(e))
	if err == nil {
		e.Name, err = url.PathUnescape(e.Name)
	}
	return err
}

// EventKind says what an Event was.
type EventKind string

// The kinds of event.
const (
	EventPut   EventKind = "put"
	EventGet   EventKind = "get"
	EventList  EventKind = "list" // one page
	EventStat  EventKind = "stat"
	EventThaw  EventKind = "thaw"
	EventEarly EventKind = "early-deletion"
	// EventDelete is free of charge, and counted.
	EventDelete EventKind = "delete"
)

// refused is the Outcome of a request that did nothing and costs nothing.
const refused = "refused"

// Refused reports whether the service did nothing: a Get of a frozen file, a
// thaw for which there was no capacity, too many requests.
func (e Event) Refused() bool { return e.Outcome == refused }

// Bill returns everything that was asked of the store in dir since it was made,
// in the order of time.
func Bill(dir string) ([]Event, error) {
	var events []Event
	folder := stateFolder(dir)
	_, err := readLines(filepath.Join(folder, "bill"), 0, func(e Event) { events = append(events, e) })
	if err != nil {
		return nil, err
	}
	_, err = readLines(filepath.Join(folder, "thaws"), 0, func(t thaw) {
		if t.Event.Kind != "" {
			events = append(events, t.Event)
		}
	})
	slices.SortStableFunc(events, func(a, b Event) int { return a.At.Compare(b.At) })
	return events, err
}

// Totals are the sums of a bill. Refused requests are in Refused alone.
type Totals struct {
	Puts, Gets, Lists, Stats, Deletes, Refused int
	PutBytes, GotBytes                         int64

	Thaws      map[backends.Speed]Retrieval
	Extensions int // thaw requests that moved an expiry
	Idle       int // thaw requests that changed nothing
	Early      []Event
}

// Retrieval is what was thawed at one speed.
type Retrieval struct {
	Requests int
	Bytes    int64
}

// Sum adds up a bill.
func Sum(events []Event) Totals {
	t := Totals{Thaws: make(map[backends.Speed]Retrieval)}
	for _, e := range events {
		t.add(e)
	}
	return t
}

func (t *Totals) add(e Event) {
	if e.Refused() {
		t.Refused++
		return
	}
	switch e.Kind {
	case EventPut:
		t.Puts++
		t.PutBytes += e.Bytes
	case EventGet:
		t.Gets++
		t.GotBytes += e.Bytes
	case EventList:
		t.Lists++
	case EventStat:
		t.Stats++
	case EventDelete:
		t.Deletes++
	case EventEarly:
		t.Early = append(t.Early, e)
	case EventThaw:
		t.addThaw(e)
	}
}

func (t *Totals) addThaw(e Event) {
	switch e.Outcome {
	case backends.Started.String(), backends.Upgraded.String():
		r := t.Thaws[e.Speed]
		r.Requests++
		r.Bytes += e.Bytes
		t.Thaws[e.Speed] = r
	case backends.Extended.String():
		t.Extensions++
	default:
		t.Idle++
	}
}
