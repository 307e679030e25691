package engine

import (
	"archive/tar"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/isotherm-backup/isotherm/engine/backup"
	"github.com/isotherm-backup/isotherm/engine/chain"
	"github.com/isotherm-backup/isotherm/internal/dupname"
	"github.com/isotherm-backup/isotherm/policy"
	"github.com/isotherm-backup/isotherm/tiering"
)

// CheckpointPrefix begins the names of the files in the hot stores from which an
// interrupted backup can be carried on by another machine. duplicity ignores them.
const CheckpointPrefix = policy.OwnPrefix + "checkpoint."

// findRun looks for a run that was interrupted and can be carried on: in the state
// directory, and in the hot stores.
func (r *backupRun) findRun(ctx context.Context) (bool, error) {
	if err := r.fetchCheckpoints(ctx); err != nil {
		return false, err
	}
	dirs, err := os.ReadDir(filepath.Join(r.a.stateDir, runsDir))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	slices.Reverse(dirs) // the newest first, among those of one type
	for _, d := range dirs {
		dir := filepath.Join(r.a.stateDir, runsDir, d.Name())
		info, err := readRunInfo(dir)
		switch {
		case errors.Is(err, fs.ErrNotExist), err == nil && r.isStale(info):
			r.a.log.WarnContext(ctx, "an interrupted backup cannot be carried on; `isotherm cleanup` deletes what it stored", "set", d.Name())
			if err := os.RemoveAll(dir); err != nil {
				return false, err
			}
			continue
		case err != nil:
			return false, err
		}
		if base, ok := r.carriesOn(info); ok {
			r.base = base
			return true, r.carryOn(ctx, info, dir)
		}
		r.a.log.WarnContext(ctx, "an interrupted backup is of another source, host, kind or encryption, and waits", "set", d.Name())
	}
	return false, nil
}

// isStale reports whether a run cannot be carried on by anybody any more: there is a
// later set, or what it builds on is no end of a chain.
func (r *backupRun) isStale(i *runInfo) bool {
	for s := range r.view.sets {
		if s.Manifest != chain.NoFile && !s.End.Before(i.End) {
			return true
		}
	}
	return i.Type == dupname.Incremental && r.chainEnding(i.Start) == nil
}

// chainEnding returns the chain whose last set is of that time; nil when there is none.
func (r *backupRun) chainEnding(at time.Time) *chain.Chain {
	for _, c := range r.view.collection.Chains {
		if c.End().Equal(at) {
			return c
		}
	}
	return nil
}

// carriesOn reports whether a run that is not stale can be carried on by this call,
// and returns the sets that it builds on. What is stored of it counts for more than
// whether the next set would now be of another type, unless one was asked for.
func (r *backupRun) carriesOn(i *runInfo) (base []*chain.Set, ok bool) {
	switch {
	case string(i.Source) != r.o.Source, i.Hostname != r.o.Hostname, i.Suffix != r.codec.Options().Suffix():
		return nil, false
	case i.Type == dupname.Full:
		return nil, !r.o.Incremental
	case r.o.Full:
		return nil, false
	}
	return r.chainEnding(i.Start).Sets, true
}

// carryOn takes up a run: what is finished and not stored is stored, and it goes on
// behind that.
func (r *backupRun) carryOn(ctx context.Context, info *runInfo, dir string) error {
	if err := r.a.unseal(ctx, info); err != nil {
		return err
	}
	r.info, r.dir = *info, dir
	r.why = "carries on the backup that was interrupted"
	prefix := strings.TrimSuffix(r.info.names().of(dupname.Volume, 1), "1.difftar"+r.info.Suffix)
	inv, err := r.a.tiers.InventoryWith(ctx, tiering.InventoryOptions{Prefix: prefix, Digests: true})
	if err != nil {
		return err
	}
	if err := inv.Complete(); err != nil {
		return fmt.Errorf("which volumes of the interrupted backup are stored is not known: %w", err)
	}
	r.resume = &backup.Resume{}
	for n := 1; ; n++ {
		v, err := backup.ReadVolume(dir, n)
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return err
		}
		ok, err := r.isStored(ctx, inv, v)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		r.resume.Volumes = append(r.resume.Volumes, *v)
	}
	for r.resumesMoved() {
		r.resume.Volumes = r.resume.Volumes[:len(r.resume.Volumes)-1]
	}
	return backup.Clear(dir, len(r.resume.Volumes))
}

// isStored reports whether a volume is where it should be, and stores it from its
// local file when it is not.
func (r *backupRun) isStored(ctx context.Context, inv *tiering.Inventory, v *backup.Volume) (bool, error) {
	path := backup.VolumePath(r.dir, v.Number)
	local, err := sameFile(path, v)
	if err != nil {
		return false, err
	}
	name := r.info.names().of(dupname.Volume, v.Number)
	if f, ok := inv.Find(name); ok && f.Size == v.Size && r.sumsAgree(inv, f, v) {
		if local {
			return true, os.Remove(path)
		}
		return true, nil
	}
	if !local {
		return false, nil
	}
	return true, r.storeVolume(ctx, v, true)
}

// sumsAgree compares the checksums that stores tell with that of the volume, as
// far as they are of one kind. A store makes no file visible that is not whole.
func (r *backupRun) sumsAgree(inv *tiering.Inventory, f *tiering.File, v *backup.Volume) bool {
	want := sha1Of(v)
	for i := range f.Copies {
		d := inv.Digest(&f.Copies[i])
		if d.Algorithm == want.Algorithm && d.Sum != want.Sum {
			return false
		}
	}
	return true
}

// sameFile reports whether the local file of a volume is whole.
func sameFile(path string, v *backup.Volume) (bool, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	h := sha1.New()
	n, err := io.Copy(h, f)
	return err == nil && n == v.Size && hex.EncodeToString(h.Sum(nil)) == sha1Of(v).Sum, err
}

// resumesMoved reports whether the run would go on within a file that has changed.
func (r *backupRun) resumesMoved() bool {
	n := len(r.resume.Volumes)
	if n == 0 {
		return false
	}
	last := r.resume.Volumes[n-1]
	if last.Open == nil {
		return false
	}
	st, err := os.Lstat(filepath.Join(r.o.Source, last.End.Path))
	return err != nil || st.Size() != last.Open.Size || st.ModTime().UnixNano() != last.Open.ModNanos
}

// stepBack gives up the volumes that hold parts of the file in which the run was
// interrupted.
func (r *backupRun) stepBack() error {
	if r.resume == nil || len(r.resume.Volumes) == 0 {
		return errors.New("an interrupted backup cannot be carried on, nor begun again")
	}
	vs := r.resume.Volumes
	moved := vs[len(vs)-1].End.Path
	for len(vs) > 0 && vs[len(vs)-1].Open != nil && vs[len(vs)-1].End.Path == moved {
		vs = vs[:len(vs)-1]
	}
	r.resume.Volumes = vs
	return backup.Clear(r.dir, len(vs))
}

func (r *backupRun) checkpointName(volume int) string {
	return fmt.Sprintf("%s%s.vol%d%s", CheckpointPrefix, r.info.names().stamps(), volume, r.info.Suffix)
}

// putCheckpoint stores the segment of a volume in a hot store.
func (r *backupRun) putCheckpoint(ctx context.Context, v *backup.Volume) error {
	_, err := r.putStream(ctx, r.checkpointName(v.Number), func(w io.Writer) error {
		tw := tar.NewWriter(w)
		for _, path := range append(backup.SegmentPaths(r.dir, v.Number), filepath.Join(r.dir, runFile)) {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if err := tw.WriteHeader(&tar.Header{Name: filepath.Base(path), Mode: 0o600, Size: int64(len(data))}); err != nil {
				return err
			}
			if _, err := tw.Write(data); err != nil {
				return err
			}
		}
		return tw.Close()
	})
	if err != nil {
		return fmt.Errorf("store a checkpoint: %w", err)
	}
	return nil
}

// fetchCheckpoints brings what another machine has stored of the newest
// interrupted run, as far as it is not here.
func (r *backupRun) fetchCheckpoints(ctx context.Context) error {
	newest := ""
	volumes := map[string][]int{}
	for i := range r.view.inventory.Files {
		set, n, ok := parseCheckpoint(r.view.inventory.Files[i].Name)
		if !ok {
			continue
		}
		volumes[set] = append(volumes[set], n)
		if timeOf(set) > timeOf(newest) {
			newest = set
		}
	}
	if newest == "" {
		return nil
	}
	dir := filepath.Join(r.a.stateDir, runsDir, newest)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	slices.Sort(volumes[newest])
	for _, n := range volumes[newest] {
		if _, err := backup.ReadVolume(dir, n); err == nil {
			continue
		}
		name := fmt.Sprintf("%s%s.vol%d%s", CheckpointPrefix, newest, n, r.codec.Options().Suffix())
		if err := r.fetchCheckpoint(ctx, name, dir); err != nil {
			r.a.log.WarnContext(ctx, "a checkpoint cannot be used", "file", name, "err", err)
			break
		}
	}
	return nil
}

// timeOf is what orders the names of sets: when their runs began.
func timeOf(set string) string { return set[strings.LastIndexByte(set, '.')+1:] }

func parseCheckpoint(name string) (set string, volume int, ok bool) {
	rest, ok := strings.CutPrefix(name, CheckpointPrefix)
	if !ok {
		return "", 0, false
	}
	rest = strings.TrimSuffix(strings.TrimSuffix(rest, ".gpg"), ".gz")
	set, number, ok := strings.Cut(rest, ".vol")
	volume, err := strconv.Atoi(number)
	return set, volume, ok && err == nil && volume > 0
}

// fetchCheckpoint brings one checkpoint into a run's folder. The file that says
// that a segment is whole comes last.
func (r *backupRun) fetchCheckpoint(ctx context.Context, name, dir string) error {
	stored, err := r.a.tiers.Get(ctx, name, 0, -1)
	if err != nil {
		return err
	}
	defer stored.Close()
	plain, err := r.a.openSuffixed(ctx, name, stored)
	if err != nil {
		return err
	}
	defer plain.Close()
	var last []byte
	var lastName string
	for tr := tar.NewReader(plain); ; {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if h.Name != filepath.Base(h.Name) || h.Name == "." || h.Name == ".." {
			return fmt.Errorf("%s has a file %q", name, h.Name)
		}
		data, err := io.ReadAll(tr)
		if err != nil {
			return err
		}
		if strings.HasSuffix(h.Name, ".json") && h.Name != runFile {
			last, lastName = data, h.Name
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, h.Name), data, 0o600); err != nil {
			return err
		}
	}
	if _, err := io.Copy(io.Discard, plain); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, lastName), last, 0o600)
}
