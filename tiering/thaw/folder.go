package thaw

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/isotherm-backup/isotherm/backends"
)

// folder is where jobs lie on this machine.
type folder string

func folderOf(opts Options) folder { return folder(filepath.Join(opts.StateDir, "jobs")) }

func (f folder) read(name string) ([]byte, error) { return os.ReadFile(filepath.Join(string(f), name)) }

// write replaces a file whole: a process killed, or a machine switched off, at
// any moment leaves the old one or the new one.
func (f folder) write(name string, text []byte) (err error) {
	if err := os.MkdirAll(string(f), 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(string(f), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(tmp.Name()) // gone already when only the folder could not be synced
		}
	}()
	_, err = tmp.Write(text)
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), filepath.Join(string(f), name)); err != nil {
		return err
	}
	return syncFolder(string(f))
}

func (f folder) remove(name string) error {
	if err := os.Remove(filepath.Join(string(f), name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// ids lists the jobs in the folder.
func (f folder) ids() ([]string, error) {
	entries, err := os.ReadDir(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var ids []string
	for _, e := range entries {
		if id, ok := strings.CutSuffix(e.Name(), stateSuffix); ok && validID(id) {
			ids = append(ids, id)
		}
	}
	return ids, err
}

// lock takes the right to run a job; ErrBusy when another process has it. It
// falls when the returned file is closed, or the process dies.
func (f folder) lock() (*os.File, error) {
	if err := os.MkdirAll(string(f), 0o700); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(string(f), "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := tryLock(file); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// maxRecord bounds what is read of a record from the hot tier: a plan of ten
// million files takes less.
const maxRecord = 1 << 30

// hotRead reads one of a job's files from the hot tier. A file that a hot store
// which answers does not have is fs.ErrNotExist, whatever became of the others:
// a dead store of a mirror must not keep a thaw from going on.
func hotRead(ctx context.Context, t Tiers, name string) ([]byte, error) {
	text, err := readWhole(ctx, t, hotPrefix+name)
	if err == nil || errors.Is(err, fs.ErrNotExist) || ctx.Err() != nil {
		return text, err
	}
	absent := false
	for _, s := range hotStores(t) {
		_, statErr := s.Stat(ctx, hotPrefix+name)
		if statErr == nil {
			return nil, err
		}
		absent = absent || errors.Is(statErr, fs.ErrNotExist)
	}
	if absent {
		return nil, fmt.Errorf("%s%s: %w", hotPrefix, name, fs.ErrNotExist)
	}
	return nil, err
}

func readWhole(ctx context.Context, t Tiers, name string) (text []byte, err error) {
	body, err := t.Get(ctx, name, 0, -1)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	text, err = io.ReadAll(io.LimitReader(body, maxRecord+1))
	if err == nil && len(text) > maxRecord {
		err = fmt.Errorf("%s is larger than %d bytes: %w", name, maxRecord, backends.ErrCorrupt)
	}
	return text, err
}

// hotStores are the stores in which jobs can lie.
func hotStores(t Tiers) []backends.Store {
	var hot []backends.Store
	for _, name := range t.Stores() {
		if !t.Cold(name) {
			hot = append(hot, t.Store(name))
		}
	}
	return hot
}

func hotWrite(ctx context.Context, t Tiers, name string, text []byte) error {
	_, err := t.Put(ctx, hotPrefix+name, bytes.NewReader(text), backends.PutOptions{Size: int64(len(text))})
	return err
}

// hotIDs lists the jobs in the hot tier. What could be listed before an error
// is returned with it. It is no error when a store cannot be listed as long as a
// hot one can.
func hotIDs(ctx context.Context, t Tiers) ([]string, error) {
	var ids []string
	for info, err := range t.List(ctx, hotPrefix) {
		if err != nil {
			if ctx.Err() == nil && slices.ContainsFunc(hotStores(t), func(s backends.Store) bool { return listable(ctx, s) }) {
				err = nil
			}
			return ids, err
		}
		if id, ok := strings.CutSuffix(strings.TrimPrefix(info.Name, hotPrefix), stateSuffix); ok && validID(id) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// listable reports whether a store can be listed.
func listable(ctx context.Context, s backends.Store) bool {
	for _, err := range s.List(ctx, hotPrefix) {
		if err != nil {
			return false
		}
	}
	return true
}
