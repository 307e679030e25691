package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/isotherm-backup/isotherm/engine/codec"
	"github.com/isotherm-backup/isotherm/engine/pgp"
	"github.com/isotherm-backup/isotherm/internal/dupname"
)

const (
	runVersion = 1
	runFile    = "run.json"
)

// runInfo is what is written down of a backup before its first volume.
type runInfo struct {
	Version  int              `json:"version"`
	Type     dupname.SetType  `json:"-"`
	Start    time.Time        `json:"start,omitzero"` // of an incremental set
	End      time.Time        `json:"end"`
	Source   []byte           `json:"source"`
	Hostname string           `json:"hostname"`
	Prefixes dupname.Prefixes `json:"prefixes"`
	Suffix   string           `json:"suffix"`
	// Check is a message that says whether a passphrase is the one that the first
	// volumes were encrypted with: those themselves may be frozen.
	Check []byte `json:"check,omitempty"`
}

func (i *runInfo) names() setNames {
	return setNames{typ: i.Type, start: i.Start, end: i.End, prefixes: i.Prefixes, suffix: i.Suffix}
}

func (i *runInfo) write(dir string) error {
	data, err := json.Marshal(i)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, runFile)
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return fmt.Errorf("write down the backup: %w", err)
	}
	return os.Rename(path+".new", path)
}

func readRunInfo(dir string) (*runInfo, error) {
	data, err := os.ReadFile(filepath.Join(dir, runFile))
	if err != nil {
		return nil, err
	}
	var i runInfo
	if err := json.Unmarshal(data, &i); err != nil {
		return nil, fmt.Errorf("read %s: %w", filepath.Join(dir, runFile), err)
	}
	if i.Version != runVersion {
		return nil, fmt.Errorf("read %s: its version is %d, and this program knows %d", filepath.Join(dir, runFile), i.Version, runVersion)
	}
	i.Type = dupname.Full
	if !i.Start.IsZero() {
		i.Type = dupname.Incremental
	}
	return &i, nil
}

const checkText = "isotherm"

// seal makes Check.
func (i *runInfo) seal(s codec.Sealer) error {
	if s == nil {
		return nil
	}
	var out bytes.Buffer
	w, err := s.Encrypt(&out)
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, checkText)
	i.Check = out.Bytes()
	if err := errors.Join(err, w.Close()); err != nil {
		return err
	}
	i.Check = out.Bytes()
	return nil
}

// ErrOtherPassphrase is the error of an interrupted backup that cannot be carried on
// with the passphrase that is given.
var ErrOtherPassphrase = errors.New("the interrupted backup was begun with another passphrase")

// unseal checks the passphrase. A host that has no secret key cannot, and need not:
// whoever can read the first volumes can read these.
func (a *Archive) unseal(ctx context.Context, i *runInfo) error {
	if len(i.Check) == 0 || a.keys == nil {
		return nil
	}
	m, err := a.keys.Decrypt(ctx, bytes.NewReader(i.Check))
	if err == nil {
		_, err = io.Copy(io.Discard, m)
		err = errors.Join(err, m.Close())
	}
	if errors.Is(err, pgp.ErrPassphrase) {
		return fmt.Errorf("%w: %w", ErrOtherPassphrase, err)
	}
	return nil
}
