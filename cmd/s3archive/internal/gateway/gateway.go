// Package gateway serves the S3 API with archive storage classes.
//
// Signatures, access rules, checksums, ranges, tags, object lock and the assembly of parts are versitygw's, whose backend for
// directories stores each object version as a file. Keys, versions, storage classes, restores, listings and lifecycle rules are
// this package's: it stands between versitygw's API and its backend, and translates keys to files.
package gateway

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"

	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/batch"
	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/clock"
	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/glacier"
	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/index"
	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/ledger"
	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/settings"
)

// Gateway is versitygw's backend. Only one can be open in a process, since versitygw changes the working directory.
type Gateway struct {
	*posix.Posix // what has to do with buckets, and files by their blob's name as the key

	dir     string // holds everything
	account string
	control *settings.Control
	clock   *clock.Clock
	index   *index.Index
	ledger  *ledger.Ledger
	events  events
	keys    locks
	rate    rate
	sweeps  sweeps
	jobs    *batch.Jobs
	trace   func(string)
}

var _ backend.Backend = (*Gateway)(nil)

// Files in the directory.
const (
	dataDir     = "data"
	indexFile   = "index.db"
	eventsFile  = "events.jsonl"
	controlFile = "control.json"
)

// Names under which parts of the gateway keep their state in the index.
const (
	anchorName = "clock"
	ledgerName = "ledger"
	openName   = "open"
)

// Config says where and for whom a gateway is.
type Config struct {
	Dir     string // its file system must have user extended attributes
	Region  string
	Account string // 12 digits, of the one account that there is
	Base    settings.Settings
	Warn    func(error)  // told of what goes wrong without a request to answer
	Trace   func(string) // told of every request; may be nil
}

// Open opens or creates a gateway.
func Open(c Config) (_ *Gateway, err error) {
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return nil, err
	}
	root := filepath.Join(dir, dataDir)
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, err
	}
	if err := (meta.XattrMeta{}).Test(root); err != nil {
		return nil, fmt.Errorf("%s must be on a file system with user extended attributes, such as ext4, xfs or btrfs: %w", root, err)
	}
	x, err := index.Open(filepath.Join(dir, indexFile))
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, x.Close())
		}
	}()
	files, err := posix.New(root, meta.XattrMeta{}, posix.PosixOpts{
		Concurrency:         5000,
		IOBufferSize:        1 << 20,
		CopyObjectThreshold: 5 << 30, // the service's limit for a copy in one piece
		ForceNoObjLockFile:  true,    // no other process writes here
	})
	if err != nil {
		return nil, err
	}
	g := &Gateway{
		Posix: files, dir: dir, account: c.Account, trace: c.Trace, index: x, ledger: &ledger.Ledger{},
		control: settings.NewControl(filepath.Join(dir, controlFile), c.Base, c.Warn),
		events:  events{path: filepath.Join(dir, eventsFile)},
		sweeps:  sweeps{warn: c.Warn},
	}
	if g.jobs, err = batch.Open(c.Account, c.Region, jobService{g}, x); err != nil {
		return nil, err
	}
	return g, g.load()
}

// load reads what the gateway kept when it was open the last time.
func (g *Gateway) load() error {
	var anchor clock.Anchor
	var open bool
	err := errors.Join(g.index.Load(anchorName, &anchor), g.index.Load(ledgerName, g.ledger), g.index.Load(openName, &open))
	if err != nil {
		return err
	}
	g.clock = clock.New(anchor, time.Now)
	if open { // it was not closed
		if err := g.collect(); err != nil {
			return err
		}
	}
	return errors.Join(g.keepTime(), g.index.Save(openName, true))
}

// Close ends the gateway. No request may be running.
func (g *Gateway) Close() error {
	g.Posix.Shutdown()
	return errors.Join(g.saveLedger(), g.index.Save(openName, false), g.index.Close())
}

// Shutdown does nothing: versitygw calls it when it stops to listen, which it may do before it begins anew at another port.
func (g *Gateway) Shutdown() {}

// keepTime sets the clock by the settings, and keeps where it is.
func (g *Gateway) keepTime() error {
	s := g.control.Settings()
	return g.index.Save(anchorName, g.clock.Set(s.Speedup, glacier.Seconds(s.ClockOffset)))
}

// Now is the time of the server's clock.
func (g *Gateway) Now() time.Time { return g.clock.Now() }

// saveLedger writes the ledger if it has changed.
func (g *Gateway) saveLedger() error {
	if !g.ledger.Changed() {
		return nil
	}
	return g.index.Save(ledgerName, g.ledger)
}

// rules are the rules of restores that are in force.
func (g *Gateway) rules() glacier.Rules { return g.control.Settings().Rules() }

// newBlob makes a name for a file, which also serves as the id of a version.
func newBlob() string { return ulid.Make().String() }

// discard deletes the files of versions that are no longer in the index.
func (g *Gateway) discard(bucket string, versions []index.Version) error {
	var errs []error
	for _, v := range versions {
		if v.Blob != "" {
			errs = append(errs, os.Remove(g.path(bucket, v.Blob)))
		}
	}
	return errors.Join(errs...)
}
