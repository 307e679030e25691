package engine

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
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/internal/dupname"
	"github.com/isotherm-backup/isotherm/policy"
)

// DeletionPrefix begins the names of the files that list the sets to be deleted.
// They lie in the hot tier, where any machine finds them; duplicity ignores them.
const DeletionPrefix = policy.OwnPrefix + "deletion-"

const deletionVersion = 1

// maxDeletion bounds what is read of a list: a set takes 200 bytes, and 10,000
// sets are 27 years of daily backups.
const maxDeletion = 4 << 20

// deletion is what was agreed to be deleted at one time. Its file is never
// changed: what is cancelled is left out of a new one, which is written before the
// old one goes. Sets of which no file is left are done.
type deletion struct {
	Version int           `json:"version"`
	Asked   time.Time     `json:"asked"` // by the clock of the stores
	Sets    []deletionSet `json:"sets"`
}

type deletionSet struct {
	Type string    `json:"type"` // full or incremental
	Base time.Time `json:"base,omitzero"`
	Time time.Time `json:"time"`
	// File is one of its files. It tells the archive, where others have their sets
	// in the same place under other prefixes, and the same times perhaps.
	File string `json:"file"`
	// Due is the day agreed on. Should the set's files turn out to reach their
	// minimum durations later, as after a move to another class, that is the day.
	Due time.Time `json:"due"`
	// Now: the fee was agreed to as well, so nothing is waited for.
	Now bool   `json:"now,omitempty"`
	Why string `json:"why"`
}

func (s deletionSet) id() setID {
	if s.Base.IsZero() {
		return setID{dupname.Full, 0, s.Time.Unix()}
	}
	return setID{dupname.Incremental, s.Base.Unix(), s.Time.Unix()}
}

// encode returns a list's text, and the name of its file: the same list has the
// same name, so that writing it twice does no harm.
func (d *deletion) encode() (name string, text []byte, err error) {
	d.Version = deletionVersion
	if text, err = json.Marshal(d); err != nil {
		return "", nil, err
	}
	sum := sha256.Sum256(text)
	return DeletionPrefix + d.Asked.UTC().Format(stampLayout) + "-" + hex.EncodeToString(sum[:4]) + ".json", text, nil
}

// stampLayout is how times stand in names.
const stampLayout = "20060102T150405Z"

func parseDeletion(text []byte) (*deletion, error) {
	var d deletion
	if err := json.Unmarshal(text, &d); err != nil {
		return nil, fmt.Errorf("%w: %w", backends.ErrCorrupt, err)
	}
	if d.Version != deletionVersion {
		return nil, fmt.Errorf("it is of version %d, this program reads %d: %w", d.Version, deletionVersion, backends.ErrUnsupported)
	}
	for _, s := range d.Sets {
		if s.Time.IsZero() || s.Due.IsZero() || s.Type != s.id().typ.String() {
			return nil, fmt.Errorf("a set is not told as it must be, %+v: %w", s, backends.ErrCorrupt)
		}
	}
	return &d, nil
}

// writeDeletion makes a list durable in the hot tier, and returns its file's name.
func (a *Archive) writeDeletion(ctx context.Context, d *deletion) (name string, err error) {
	name, text, err := d.encode()
	if err == nil {
		_, err = a.tiers.Put(ctx, name, bytes.NewReader(text), backends.PutOptions{Size: int64(len(text))})
	}
	if err != nil {
		return "", fmt.Errorf("list what is to be deleted: %w", err)
	}
	return name, nil
}

// deletions reads the lists that v shows, by the names of their files, but for those
// of other archives. One that cannot be read is an error: what it says may be due.
func (a *Archive) deletions(ctx context.Context, v *view) (map[string]*deletion, error) {
	var names []string
	for i := range v.inventory.Files {
		if name := v.inventory.Files[i].Name; strings.HasPrefix(name, DeletionPrefix) {
			names = append(names, name)
		}
	}
	return a.readDeletions(ctx, names)
}

func (a *Archive) readDeletions(ctx context.Context, names []string) (map[string]*deletion, error) {
	read := make([]*deletion, len(names))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(syncStreams)
	for i, name := range names {
		g.Go(func() (err error) {
			read[i], err = a.readDeletion(ctx, name)
			if errors.Is(err, fs.ErrNotExist) {
				return nil // another machine was done with it
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	lists := make(map[string]*deletion, len(names))
	for i, d := range read {
		if d != nil && a.owns(d) {
			lists[names[i]] = d
		}
	}
	return lists, nil
}

// owns reports whether a list is of this archive.
func (a *Archive) owns(d *deletion) bool {
	for _, s := range d.Sets {
		n, ok := a.parse(s.File)
		if !ok || (setID{n.Type, seconds(n.Start), n.End.Unix()}) != s.id() {
			return false
		}
	}
	return true
}

func (a *Archive) readDeletion(ctx context.Context, name string) (_ *deletion, err error) {
	body, err := a.tiers.Get(ctx, name, 0, -1)
	if err != nil {
		return nil, fmt.Errorf("read what is to be deleted: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(body, maxDeletion+1))
	if err := errors.Join(err, body.Close()); err != nil {
		return nil, fmt.Errorf("read what is to be deleted, %s: %w", name, err)
	}
	if len(text) > maxDeletion {
		return nil, fmt.Errorf("read what is to be deleted, %s: it is longer than %d bytes: %w", name, maxDeletion, backends.ErrCorrupt)
	}
	d, err := parseDeletion(text)
	if err != nil {
		return nil, fmt.Errorf("read what is to be deleted, %s: %w", name, err)
	}
	return d, nil
}

// rewriteDeletion writes a list again without some of its sets, and then removes
// the old one.
func (a *Archive) rewriteDeletion(ctx context.Context, name string, d *deletion, without func(deletionSet) bool) error {
	rest := &deletion{Asked: d.Asked}
	for _, s := range d.Sets {
		if !without(s) {
			rest.Sets = append(rest.Sets, s)
		}
	}
	if len(rest.Sets) == len(d.Sets) {
		return nil
	}
	if len(rest.Sets) > 0 {
		if _, err := a.writeDeletion(ctx, rest); err != nil {
			return err
		}
	}
	if err := a.tiers.Delete(ctx, name); err != nil {
		return fmt.Errorf("end a list of what is to be deleted: %w", err)
	}
	return nil
}
