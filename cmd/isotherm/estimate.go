package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/isotherm-backup/isotherm/engine"
	"github.com/isotherm-backup/isotherm/engine/index"
	"github.com/isotherm-backup/isotherm/engine/selection"
	"github.com/isotherm-backup/isotherm/internal/dupname"
	"github.com/isotherm-backup/isotherm/policy"
	"github.com/isotherm-backup/isotherm/policy/price"
)

// estimateAnswer is the answer of backup --dry-run.
type estimateAnswer struct {
	Type    string         `json:"type"`
	Base    time.Time      `json:"base,omitzero"`
	Why     string         `json:"why"`
	New     int64          `json:"new"`
	Changed int64          `json:"changed"`
	Deleted int64          `json:"deleted"`
	Same    int64          `json:"same"`
	Unread  int64          `json:"unread"`
	Bytes   int64          `json:"bytes"`
	Volumes int64          `json:"volumes"`
	Months  []monthOfStore `json:"months,omitempty"`
}

// monthOfStore is what volumes cost in one store.
type monthOfStore struct {
	Store string       `json:"store"`
	Price price.Amount `json:"price"`
}

// estimate says what a backup would do.
func (a *app) estimate(ctx context.Context, s *session, opts engine.BackupOptions) error {
	troubles := &troubles{app: a}
	opts.Problem = troubles.add
	e, err := s.archive.EstimateBackup(ctx, opts)
	a.progress.wait()
	if err != nil {
		return hintBackup(err)
	}
	answer := estimateAnswer{
		Type: e.Type.String(), Base: e.Base, Why: e.Why, New: e.New, Changed: e.Changed, Deleted: e.Deleted, Same: e.Same,
		Unread: e.Unread, Bytes: e.Bytes, Volumes: e.Volumes,
	}
	if answer.Months, err = monthsOf(s, e); err != nil {
		return err
	}
	return a.answer(answer, func(w io.Writer) error {
		answer.print(w)
		if e.Resumes {
			a.say("isotherm: an interrupted backup would be carried on; part of this is stored already")
		}
		return nil
	})
}

func (e *estimateAnswer) print(w io.Writer) {
	fmt.Fprintf(w, "would make %s %s set (%s)\n", map[bool]string{true: "an", false: "a"}[e.Type == dupname.Incremental.String()], e.Type, e.Why)
	fmt.Fprintf(w, "%s new, %d changed, %d deleted, %d as before\n", count(int(e.New), "path", "paths"), e.Changed, e.Deleted, e.Same)
	fmt.Fprintf(w, "at most %s in %s\n", size(e.Bytes), count(int(e.Volumes), "volume", "volumes"))
	for _, m := range e.Months {
		fmt.Fprintf(w, "a month of that at %s: at most %s\n", m.Store, money([]price.Amount{m.Price}))
	}
}

// monthsOf prices a month of the volumes in each store that they would go to. A
// stripe may put all of them into any one of its stores.
func monthsOf(s *session, e *engine.BackupEstimate) ([]monthOfStore, error) {
	now := s.tiers.Clock().Now()
	name := dupname.Name{Kind: dupname.Volume, Type: dupname.Full, End: now.UTC().Truncate(time.Second), Volume: 1, Compressed: true}
	var months []monthOfStore
	for _, tier := range s.policy.Route(name.String(), e.Bytes/max(e.Volumes, 1), now).Tiers {
		t, ok := s.policy.Tier(tier)
		if !ok {
			continue
		}
		for _, store := range t.Stores {
			place, ok := s.policy.Store(store)
			if !ok || place.Unbilled() {
				continue
			}
			amount, err := monthAt(s, place, e, now)
			if err != nil {
				return nil, err
			}
			if amount != nil {
				months = append(months, monthOfStore{store, *amount})
			}
		}
	}
	return months, nil
}

// monthAt prices a month in one store; nil when no price book is named.
func monthAt(s *session, place *policy.Store, e *engine.BackupEstimate, now time.Time) (*price.Amount, error) {
	name := place.Prices
	if name == "" {
		name = s.policy.Prices
	}
	if name == "" {
		return nil, nil
	}
	book, err := price.Open(string(name), filepath.Dir(s.policy.Path))
	if err != nil {
		return nil, err
	}
	items, err := book.Storage([]price.Stock{{Class: place.Class, Objects: e.Volumes, Bytes: e.Bytes}}, book.Month(now))
	if err != nil {
		return nil, err
	}
	for _, total := range price.Total(items) {
		return &total, nil
	}
	return nil, nil
}

// explainPath says which rule of the selection decides about a path.
func (a *app) explainPath(opts engine.BackupOptions, path string) error {
	rel, ok := strings.CutPrefix(filepath.Clean(path), strings.TrimSuffix(filepath.Clean(opts.Source), "/")+"/")
	if !ok && filepath.IsAbs(path) && filepath.Clean(path) != filepath.Clean(opts.Source) {
		return usageError{fmt.Errorf("%s does not lie below %s", path, opts.Source)}
	}
	if filepath.Clean(path) == filepath.Clean(opts.Source) {
		rel = ""
	}
	selected, _ := opts.Select.(*selection.Selection)
	var above []*selection.File
	parts := strings.Split(rel, "/")
	for i := range parts[:len(parts)-1] {
		f, err := selectionFile(opts.Source, strings.Join(parts[:i+1], "/"))
		if err != nil {
			return err
		}
		above = append(above, f)
	}
	f, err := selectionFile(opts.Source, rel)
	if err != nil {
		return err
	}
	d := selected.Explain(f, above...)
	answer := selectedAnswer{Path: path, BackedUp: d.Verdict != selection.Exclude, Why: d.String()}
	if d.Rule != nil {
		answer.Rule = d.Rule.String()
	}
	return a.answer(answer, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, answer.Why)
		return err
	})
}

// selectedAnswer is the answer of backup --explain.
type selectedAnswer struct {
	Path     string `json:"path"`
	BackedUp bool   `json:"backed_up"`
	Rule     string `json:"rule,omitempty"`
	Why      string `json:"why"`
}

// selectionFile describes a path of a source to the selection.
func selectionFile(source, rel string) (*selection.File, error) {
	full := filepath.Join(source, rel)
	info, err := os.Lstat(full)
	if err != nil {
		return nil, err
	}
	f := &selection.File{Path: rel, Size: info.Size(), ModTime: info.ModTime().Unix(), Type: index.Regular}
	if f.Device, err = deviceOf(full); err != nil {
		return nil, err
	}
	switch m := info.Mode(); {
	case m.IsDir():
		f.Type = index.Directory
		f.Has = func(name string) bool {
			_, err := os.Lstat(filepath.Join(full, name))
			return !errors.Is(err, os.ErrNotExist)
		}
	case m&os.ModeSymlink != 0:
		f.Type = index.Symlink
	case m&os.ModeNamedPipe != 0:
		f.Type = index.Fifo
	case m&os.ModeCharDevice != 0:
		f.Type = index.CharDevice
	case m&os.ModeDevice != 0:
		f.Type = index.BlockDevice
	}
	return f, nil
}
