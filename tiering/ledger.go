package tiering

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
)

// A Request is a kind of request that a provider bills by itself.
type Request string

// The kinds of request.
const (
	RequestPut    Request = "put"
	RequestGet    Request = "get"
	RequestList   Request = "list" // one page
	RequestHead   Request = "head"
	RequestDelete Request = "delete"
	RequestThaw   Request = "thaw"  // Entry.Speed says how fast
	RequestBatch  Request = "batch" // a job that sends thaw requests, each of which is counted too
)

// An Entry is one line of the ledger: requests that were sent to a store, or
// bytes that went over the line.
type Entry struct {
	Time     time.Time      `json:"time"` // by Tiers.Clock
	Store    string         `json:"store"`
	Request  Request        `json:"request"`
	Speed    backends.Speed `json:"speed,omitempty"`
	Requests int64          `json:"n,omitempty"`
	Up       int64          `json:"up,omitempty"`   // bytes sent
	Down     int64          `json:"down,omitempty"` // bytes received
}

// A Key names what counts are kept for.
type Key struct {
	Store   string
	Request Request
	Speed   backends.Speed // "" unless Request is RequestThaw
}

// Count is how many requests there were, and their bytes.
type Count struct{ Requests, Up, Down int64 }

func (c Count) plus(e Entry) Count {
	return Count{Requests: c.Requests + e.Requests, Up: c.Up + e.Up, Down: c.Down + e.Down}
}

// A Ledger counts what is sent to the stores. Each entry is in the file before
// its request is sent, so a process that is killed has never sent more than
// it wrote down; bytes are written down as they pass. Several processes may
// write one ledger at once.
//
// The file is JSON Lines, one Entry a line, one file a month.
type Ledger struct {
	dir string // "" keeps the counts in memory only
	now func() time.Time

	mu     sync.Mutex // guards what follows
	counts map[Key]Count
	file   *os.File
	month  string
}

// openLedger opens the ledger kept in dir, which is made when needed; "" for
// one that is not kept.
func openLedger(dir string, now func() time.Time) (*Ledger, error) {
	if dir != "" {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("open ledger: %w", err)
		}
	}
	return &Ledger{dir: dir, now: now, counts: make(map[Key]Count)}, nil
}

// add writes e down and counts it.
func (l *Ledger) add(e Entry) error {
	e.Time = l.now().UTC()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.write(e); err != nil {
		return fmt.Errorf("write ledger: %w", err)
	}
	k := Key{Store: e.Store, Request: e.Request, Speed: e.Speed}
	l.counts[k] = l.counts[k].plus(e)
	return nil
}

// write appends one line by one write call, which O_APPEND keeps apart from
// the lines of other processes. The caller holds mu.
func (l *Ledger) write(e Entry) error {
	if l.dir == "" {
		return nil
	}
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if month := e.Time.Format("2006-01"); month != l.month {
		if err := l.turn(month); err != nil {
			return err
		}
	}
	_, err = l.file.Write(append(line, '\n'))
	return err
}

// turn opens the file of another month.
func (l *Ledger) turn(month string) error {
	if l.file != nil {
		if err := l.file.Close(); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(filepath.Join(l.dir, month+".jsonl"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	l.file, l.month = f, month
	if err != nil {
		l.month = ""
	}
	return err
}

// Counts returns what this process has sent since Open.
func (l *Ledger) Counts() map[Key]Count {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make(map[Key]Count, len(l.counts))
	for k, c := range l.counts {
		out[k] = c
	}
	return out
}

// Total adds up the counts of this process for one kind of request over all
// stores and speeds.
func (l *Ledger) Total(r Request) Count {
	var sum Count
	for k, c := range l.Counts() {
		if k.Request == r {
			sum = sum.plus(Entry{Requests: c.Requests, Up: c.Up, Down: c.Down})
		}
	}
	return sum
}

// Entries yields what all processes have written down, month by month. A line
// that cannot be read, as a loss of power leaves it, is skipped.
func (l *Ledger) Entries() iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		if l.dir == "" {
			return
		}
		names, err := filepath.Glob(filepath.Join(l.dir, "*.jsonl"))
		if err != nil {
			yield(Entry{}, fmt.Errorf("read ledger: %w", err))
			return
		}
		for _, name := range names {
			if !entriesOf(name, yield) {
				return
			}
		}
	}
}

// entriesOf yields the entries of one file; false when the caller has had
// enough.
func entriesOf(path string, yield func(Entry, error) bool) bool {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return true
	}
	if err != nil {
		return yield(Entry{}, fmt.Errorf("read ledger: %w", err))
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var e Entry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			continue
		}
		if !yield(e, nil) {
			return false
		}
	}
	if err := lines.Err(); err != nil {
		return yield(Entry{}, fmt.Errorf("read ledger %s: %w", path, err))
	}
	return true
}

func (l *Ledger) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file, l.month = nil, ""
	return err
}
