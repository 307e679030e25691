package tiering

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
)

// RepairPrefix begins the names of the files in the hot stores that hold a
// Record each. duplicity ignores them.
const RepairPrefix = "isotherm-repair-"

// LockPrefix begins the names of the writers' locks (package writerlock).
const LockPrefix = "isotherm-lock."

// OfOneStore reports whether a file of that name is about the store in which it
// lies: a Record, or a writer's lock. It is never copied or moved to another one.
func OfOneStore(name string) bool {
	return strings.HasPrefix(name, RepairPrefix) || strings.HasPrefix(name, LockPrefix)
}

// A Record says that the copies of one file are not as they should be, and
// what they should be. It lies in the state directory and in a hot store until
// Repair has made it untrue.
type Record struct {
	Version int    `json:"version"`
	Name    string `json:"name"`
	// Want are the stores that are to hold the file; none for a file that is
	// to be deleted.
	Want []string `json:"want"`
	// Good are the stores known to hold the right version. Reads skip the
	// others. None when that is not known.
	Good   []string        `json:"good"`
	Size   int64           `json:"size,omitempty"`  // bytes as stored; 0 when not known
	Digest backends.Digest `json:"digest,omitzero"` // of the right version, if known
	Since  time.Time       `json:"since"`           // by Tiers.Clock
	Why    string          `json:"why"`
	// Moving says that the copies were right, all of them, and that Want is
	// where a move takes them; see Tiers.NoteMove.
	Moving bool `json:"moving,omitempty"`
	// Published says that the record lies in a hot store, so that it is out of
	// date once it is gone from there.
	Published bool `json:"published,omitempty"`
}

const recordVersion = 1

// maxRecord bounds what is read of a record from a store: names and errors are
// a few hundred bytes.
const maxRecord = 1 << 20

// Deleted reports whether the record is of a file that is to be deleted.
func (r Record) Deleted() bool { return len(r.Want) == 0 }

// fileName is the record's name in a store and, without the prefix, in the
// state directory. It tells nothing of the file's name, so that nobody takes it
// for that file.
func (r Record) fileName() string {
	sum := sha256.Sum256([]byte(r.Name))
	return RepairPrefix + hex.EncodeToString(sum[:16]) + ".json"
}

// records are the Records that are known here.
type records struct {
	dir string // "" for none

	learning sync.Mutex // held while the stores are asked
	learned  bool       // guarded by learning

	mu     sync.Mutex // guards byName
	byName map[string]Record
}

// openRecords reads the records kept in dir.
func openRecords(dir string) (*records, error) {
	rs := &records{dir: dir, byName: make(map[string]Record)}
	if dir == "" {
		return rs, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open repair records: %w", err)
	}
	paths, err := filepath.Glob(filepath.Join(dir, RepairPrefix+"*.json"))
	if err != nil {
		return nil, fmt.Errorf("open repair records: %w", err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("open repair records: %w", err)
		}
		r, err := parseRecord(data)
		if err != nil {
			return nil, fmt.Errorf("read repair record %s: %w", path, err)
		}
		rs.byName[r.Name] = r
	}
	return rs, nil
}

func parseRecord(data []byte) (Record, error) {
	var r Record
	if err := json.Unmarshal(data, &r); err != nil {
		return Record{}, fmt.Errorf("%w: %w", backends.ErrCorrupt, err)
	}
	if r.Version != recordVersion || r.Name == "" {
		return Record{}, fmt.Errorf("version %d of %q: %w", r.Version, r.Name, backends.ErrUnsupported)
	}
	return r, nil
}

func (rs *records) get(name string) (Record, bool) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r, ok := rs.byName[name]
	return r, ok
}

// all returns the records sorted by name.
func (rs *records) all() []Record {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return slices.SortedFunc(maps.Values(rs.byName), func(a, b Record) int { return strings.Compare(a.Name, b.Name) })
}

// keep remembers r, and writes it to the state directory.
func (rs *records) keep(r Record) error {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.byName[r.Name] = r
	if rs.dir == "" {
		return nil
	}
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return replaceFile(filepath.Join(rs.dir, r.fileName()), data)
}

// drop forgets r here.
func (rs *records) drop(r Record) error {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	delete(rs.byName, r.Name)
	if rs.dir == "" {
		return nil
	}
	if err := os.Remove(filepath.Join(rs.dir, r.fileName())); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Degraded returns the records of all files whose copies are known not to be
// as they should be, sorted by name. Those that only another machine made are
// known after the first listing or read.
func (t *Tiers) Degraded() []Record { return t.records.all() }

// degrade makes r durable: here, and in hot stores. It is an error when it is
// durable nowhere.
func (t *Tiers) degrade(ctx context.Context, r Record) error {
	r.Version, r.Since = recordVersion, t.clock.Now().UTC()
	if old, ok := t.records.get(r.Name); ok && !r.Since.After(old.Since) {
		r.Since = old.Since.Add(1) // the newest record is the one that counts
	}
	t.log.Warn("copies are degraded", "file", r.Name, "want", r.Want, "good", r.Good, "why", r.Why)
	published := t.publish(ctx, r)
	r.Published = published == nil
	kept := t.records.keep(r)
	if kept == nil && (r.Published || t.records.dir != "") {
		return nil
	}
	return fmt.Errorf("record that %s is degraded: %w", r.Name, errors.Join(kept, published))
}

// publish writes r to every hot store but those that have just failed the file
// itself; nil when one of them took it. An older record that is left in one of
// the others counts less.
func (t *Tiers) publish(ctx context.Context, r Record) error {
	r.Published = true
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	errs := []error{errors.New("no hot store takes it")}
	taken := false
	for _, s := range t.hot() {
		if slices.Contains(r.Want, s.name) && !slices.Contains(r.Good, s.name) {
			continue
		}
		opts := backends.PutOptions{Size: int64(len(data))}
		if _, err := t.putIn(ctx, s, r.fileName(), bytes.NewReader(data), opts); err != nil {
			errs = append(errs, err)
		} else {
			taken = true
		}
	}
	if taken {
		return nil
	}
	return errors.Join(errs...)
}

// settle removes the record of a file that is as it should be again. Where it
// cannot be removed, an older record may lie, too, which says otherwise: a newer
// one then stays that is true.
func (t *Tiers) settle(ctx context.Context, name string) error {
	r, ok := t.records.get(name)
	if !ok {
		return nil
	}
	var errs []error
	for _, s := range t.hot() {
		if err := s.Delete(ctx, r.fileName()); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) == 0 {
		return t.records.drop(r)
	}
	r.Good, r.Why = r.Want, fmt.Sprintf("its old record cannot be removed: %v", errors.Join(errs...))
	return t.degrade(ctx, r)
}

// hot returns the stores that can be read at once.
func (t *Tiers) hot() []*place {
	return slices.Collect(func(yield func(*place) bool) {
		for _, s := range t.stores {
			if !s.cold && !yield(s) {
				return
			}
		}
	})
}

// learn reads, once, the records that lie in the hot stores. A store that
// cannot be read now is passed over: it says so itself when it is listed.
func (t *Tiers) learn(ctx context.Context) {
	t.records.learning.Lock()
	defer t.records.learning.Unlock()
	if t.records.learned {
		return
	}
	seen, complete := make(map[string]bool), true
	for _, s := range t.hot() {
		if err := t.learnFrom(ctx, s, seen); err != nil {
			complete = false
			t.log.Debug("repair records cannot be read", "store", s.name, "err", err)
		}
	}
	for _, r := range t.records.all() {
		if complete && r.Published && !seen[r.fileName()] {
			// Another machine has repaired it.
			if err := t.records.drop(r); err != nil {
				t.log.Warn("repair record cannot be removed", "file", r.Name, "err", err)
			}
		}
	}
	t.records.learned = ctx.Err() == nil
}

func (t *Tiers) learnFrom(ctx context.Context, s *place, seen map[string]bool) error {
	for info, err := range s.List(ctx, RepairPrefix) {
		if err != nil {
			return err
		}
		seen[info.Name] = true
		data, err := readAll(ctx, s, info.Name)
		if err != nil {
			return err
		}
		r, err := parseRecord(data)
		if err != nil {
			return fmt.Errorf("read repair record %s: %w", info.Name, err)
		}
		if here, ok := t.records.get(r.Name); ok && !here.Since.Before(r.Since) {
			continue
		}
		if err := t.records.keep(r); err != nil {
			return err
		}
	}
	return nil
}

func readAll(ctx context.Context, s backends.Store, name string) ([]byte, error) {
	body, err := s.Get(ctx, name, 0, -1)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(body, maxRecord))
	return data, errors.Join(err, body.Close())
}
