package transfer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/tiering"
)

// ImportName is the file on the tiers that says what an unfinished import is
// to bring, so that every machine can tell what is still on its way. It is
// removed when all is there.
const ImportName = "isotherm-import.json"

const stateVersion = 1

// announcement is what lies in the file ImportName.
type announcement struct {
	Version int       `json:"version"`
	Started time.Time `json:"started"` // by Tiers.Clock
	Sources []string  `json:"sources"`
	Files   []expect  `json:"files"`
}

type expect struct {
	Name string `json:"name"`
	Size int64  `json:"size"` // bytes as stored
}

// An ImportState is how far an unfinished import is.
type ImportState struct {
	Started time.Time
	Sources []string
	Files   int // that it is to bring
	// Missing are those that are not on the tiers yet, in the order in which
	// they travel.
	Missing []string
	Bytes   int64 // of Missing
}

// announce writes down what is to be brought, beside what an earlier run has
// announced, from other sources perhaps.
func (im *importer) announce(ctx context.Context, p *ImportPlan) error {
	a := announcement{Version: stateVersion, Started: im.tiers.Clock().Now().UTC(), Sources: im.names}
	seen := make(map[string]bool)
	add := func(name string, size int64) {
		if !seen[name] {
			seen[name] = true
			a.Files = append(a.Files, expect{name, size})
		}
	}
	for _, f := range p.Send {
		add(f.Name, f.Size)
	}
	for _, f := range p.Frozen {
		add(f.Name, 0)
	}
	old, err := readAnnouncement(ctx, im.tiers)
	switch {
	case err == nil:
		a.Started = old.Started
		for _, f := range old.Files {
			add(f.Name, f.Size)
		}
	case !errors.Is(err, fs.ErrNotExist):
		im.opts.Log.Warn("what an earlier import announced cannot be read", "err", err)
	}
	data, err := json.Marshal(a)
	if err != nil {
		return err
	}
	_, err = im.tiers.Put(ctx, ImportName, bytes.NewReader(data), backends.PutOptions{Size: int64(len(data))})
	if err != nil {
		return fmt.Errorf("write down the import: %w", err)
	}
	return nil
}

// conclude removes what announce wrote. When it cannot be told whether it is
// there, it is left to a later run: it says nothing wrong.
func (im *importer) conclude(ctx context.Context) error {
	if _, err := im.tiers.Stat(ctx, ImportName); err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			im.opts.Log.Warn("cannot tell whether the import is written down", "err", err)
		}
		return ctx.Err()
	}
	if err := im.tiers.Delete(ctx, ImportName); err != nil {
		return fmt.Errorf("finish the import: %w", err)
	}
	return nil
}

func readAnnouncement(ctx context.Context, tiers *tiering.Tiers) (*announcement, error) {
	body, err := tiers.Get(ctx, ImportName, 0, -1)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(body)
	if err := errors.Join(err, body.Close()); err != nil {
		return nil, err
	}
	var a announcement
	if err := json.Unmarshal(data, &a); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", ImportName, backends.ErrCorrupt, err)
	}
	if a.Version != stateVersion {
		return nil, fmt.Errorf("%s: version %d: %w", ImportName, a.Version, backends.ErrUnsupported)
	}
	return &a, nil
}

// State tells what an unfinished import has still to bring, going by what inv
// shows. It is nil when inv shows no unfinished import.
func State(ctx context.Context, tiers *tiering.Tiers, inv *tiering.Inventory) (*ImportState, error) {
	if _, ok := inv.Find(ImportName); !ok {
		return nil, nil
	}
	a, err := readAnnouncement(ctx, tiers)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the state of an import: %w", err)
	}
	s := &ImportState{Started: a.Started, Sources: a.Sources, Files: len(a.Files)}
	for _, f := range a.Files {
		if _, ok := inv.Find(f.Name); !ok {
			s.Missing = append(s.Missing, f.Name)
			s.Bytes += f.Size
		}
	}
	return s, nil
}
