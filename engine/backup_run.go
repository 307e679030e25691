package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/engine/backup"
	"github.com/isotherm-backup/isotherm/engine/codec"
	"github.com/isotherm-backup/isotherm/engine/walk"
	"github.com/isotherm-backup/isotherm/internal/dupname"
)

// runsDir is, in the state directory, the folder of backups that have not ended.
const runsDir = "backup"

func (a *Archive) newBackupRun(ctx context.Context, v *view, o BackupOptions, tree *walk.Tree) (_ *backupRun, err error) {
	r := &backupRun{
		a: a, o: o, view: v, tree: tree,
		codec: codec.New(codec.Options{Level: o.Level, Sealer: o.Sealer}),
	}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	if err := r.chooseBase(); err != nil {
		return nil, err
	}
	if err := r.checkSource(ctx); err != nil {
		return nil, err
	}
	if err := r.prepare(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

// prepare finds an interrupted run to carry on, or begins one.
func (r *backupRun) prepare(ctx context.Context) error {
	found, err := r.findRun(ctx)
	if err != nil || found {
		return err
	}
	if err := r.dropSignatures(ctx); err != nil {
		return err
	}
	end, err := r.newSetTime(ctx)
	if err != nil {
		return err
	}
	r.info = runInfo{
		Version: runVersion, Type: dupname.Full, End: end,
		Source: []byte(r.o.Source), Hostname: r.o.Hostname, Prefixes: r.prefixesOf(), Suffix: r.codec.Options().Suffix(),
	}
	if len(r.base) > 0 {
		r.info.Type, r.info.Start = dupname.Incremental, r.base[len(r.base)-1].End
	}
	if err := r.info.seal(r.o.Sealer); err != nil {
		return err
	}
	r.dir = filepath.Join(r.a.stateDir, runsDir, r.info.names().stamps())
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return fmt.Errorf("make the folder of the backup: %w", err)
	}
	return r.info.write(r.dir)
}

// run makes the set and makes it visible.
func (r *backupRun) run(ctx context.Context, commit func(context.Context) error) (*BackupReport, error) {
	report := &BackupReport{Type: r.info.Type, Time: r.info.End, Base: r.info.Start, Why: r.why}
	if r.resume != nil {
		report.Resumed = len(r.resume.Volumes)
	}
	r.a.progress.Expect(StageBackup, 0)
	result, err := r.volumes(ctx)
	for errors.Is(err, backup.ErrMoved) {
		r.a.log.WarnContext(ctx, "an interrupted backup is carried on from an earlier volume", "err", err)
		if err := r.stepBack(); err != nil {
			return nil, err
		}
		report.Resumed = len(r.resume.Volumes)
		result, err = r.volumes(ctx)
	}
	if err != nil {
		return nil, err
	}
	if err := r.commit(ctx, result, commit); err != nil {
		return nil, err
	}
	report.Volumes = len(result.Volumes)
	report.Counts, report.Unread, report.Unsteady = result.Counts, result.Unread, result.Unsteady
	return report, nil
}

func (r *backupRun) volumes(ctx context.Context) (*backup.Result, error) {
	opts := backup.Options{
		Tree: r.tree, Root: r.o.Source, Select: r.o.Select, Codec: r.codec, Dir: r.dir, VolumeSize: r.o.VolumeSize,
		Pending: r.o.Parallel, MaxSums: r.o.maxSums, Resume: r.resume, Store: r.storeVolume, Problem: r.o.Problem,
		Progress: func(read, stored int64) {
			r.a.progress.Add(StageBackup, read)
			r.a.progress.Add(StageStore, stored)
		},
	}
	if len(r.base) > 0 {
		old, err := r.a.openOld(ctx, r.view, r.base)
		if err != nil {
			return nil, err
		}
		if r.old != nil {
			_ = r.old.close()
		}
		old.temp = r.dir
		r.old, opts.Old = old, old
	}
	return backup.Run(ctx, opts)
}

// storeVolume puts a volume where the routes send it. What another machine needs to
// carry on lies in a hot store before; for the only volume of a set that is not worth
// it.
func (r *backupRun) storeVolume(ctx context.Context, v *backup.Volume, more bool) error {
	if more || v.Number > 1 {
		if err := r.putCheckpoint(ctx, v); err != nil {
			return err
		}
	}
	path := backup.VolumePath(r.dir, v.Number)
	name := r.info.names().of(dupname.Volume, v.Number)
	if err := r.putFile(ctx, name, path, sha1Of(v)); err != nil {
		return err
	}
	return os.Remove(path)
}

func sha1Of(v *backup.Volume) backends.Digest {
	h, _ := v.Hash()
	return backends.Digest{Algorithm: strings.ToLower(h.Algorithm), Sum: h.Sum}
}

// putFile stores a local file.
func (r *backupRun) putFile(ctx context.Context, name, path string, digest backends.Digest) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	_, err = r.a.tiers.Put(ctx, name, f, backends.PutOptions{Size: st.Size(), Digest: digest})
	return err
}

// putStream stores what fill writes, encoded, in a file of the run's folder, and
// puts it. It returns the size as stored.
func (r *backupRun) putStream(ctx context.Context, name string, fill func(io.Writer) error) (int64, error) {
	f, err := os.CreateTemp(r.dir, "put-*")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	w, err := r.codec.NewWriter(ctx, f, 0)
	if err != nil {
		return 0, err
	}
	if err = fill(w); err == nil {
		err = w.Finish()
	}
	if err != nil {
		w.Abandon()
		_ = w.Wait()
		return 0, err
	}
	if err := w.Wait(); err != nil {
		return 0, err
	}
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), r.putFile(ctx, name, f.Name(), backends.Digest{})
}
