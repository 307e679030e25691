package thaw

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
)

// loadRecord reads a job's plan: the local one, or that of the hot tier, which
// is then kept locally.
func loadRecord(ctx context.Context, t Tiers, local folder, id string) (*record, error) {
	text, err := local.read(id + planSuffix)
	if err == nil {
		if r, err := parseRecord(text); err == nil {
			return r, nil
		}
	}
	if text, err = hotRead(ctx, t, id+planSuffix); err != nil {
		return nil, err
	}
	r, err := parseRecord(text)
	if err != nil {
		return nil, err
	}
	return r, local.write(id+planSuffix, text)
}

// loadProgress merges what is noted locally and in the hot tier. One of them
// is enough.
func loadProgress(ctx context.Context, t Tiers, local folder, id string) (*progress, error) {
	var found *progress
	var errs []error
	for _, read := range []func() ([]byte, error){
		func() ([]byte, error) { return local.read(id + stateSuffix) },
		func() ([]byte, error) { return hotRead(ctx, t, id+stateSuffix) },
	} {
		text, err := read()
		var p *progress
		if err == nil {
			p, err = parseProgress(text)
		}
		switch {
		case err != nil:
			errs = append(errs, err)
		case found == nil:
			found = p
		default:
			n := max(len(found.Asked), len(found.Done), len(p.Asked), len(p.Done)) * 8
			found.Asked, found.Done = found.Asked.resized(n), found.Done.resized(n)
			found.merge(p)
		}
	}
	if found == nil {
		// A failure to look matters more than that one place has nothing.
		for _, err := range errs {
			if !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
		}
		return nil, errs[0]
	}
	return found, nil
}

// writeDown writes a new job: the plans first, so that a state is never
// without its plan.
func (j *Job) writeDown(ctx context.Context, plan []byte) error {
	local := folderOf(j.opts)
	if err := local.write(j.id+planSuffix, plan); err != nil {
		return err
	}
	if err := hotWrite(ctx, j.tiers, j.id+planSuffix, plan); err != nil {
		return errors.Join(err, local.remove(j.id+planSuffix))
	}
	return j.save(ctx, true)
}

// save writes the progress down, locally and, when hot, in the hot tier, after
// taking over what others have written.
func (j *Job) save(ctx context.Context, hot bool) error {
	local := folderOf(j.opts)
	if text, err := local.read(j.id + stateSuffix); err == nil {
		j.takeOver(text)
	}
	var hotErr error
	if hot {
		text, err := hotRead(ctx, j.tiers, j.id+stateSuffix)
		if err == nil {
			j.takeOver(text)
		} else if !errors.Is(err, fs.ErrNotExist) {
			hotErr = err // what is there may say that the job was cancelled
		}
	}
	j.mu.Lock()
	j.progress.Status.Later = j.later()
	text, err := encode(&j.progress)
	j.dirty = false
	j.mu.Unlock()
	if err == nil {
		err = local.write(j.id+stateSuffix, text)
	}
	if err == nil && hot && hotErr == nil {
		hotErr = hotWrite(ctx, j.tiers, j.id+stateSuffix, text)
	}
	if err = errors.Join(err, hotErr); err != nil {
		return fmt.Errorf("write down state of thaw job: %w", err)
	}
	return nil
}

// takeOver merges a written progress; one that cannot be read is replaced.
func (j *Job) takeOver(text []byte) {
	p, err := parseProgress(text)
	if err != nil {
		j.log.Warn("state of thaw job is not readable and is written anew", "job", j.id, "err", err)
		return
	}
	p.fit(j.plan)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.takeDone(p.Done)
	j.progress.merge(p)
}

// takeDone counts the files that others have read. The caller holds mu.
func (j *Job) takeDone(done bitmap) {
	for k := range min(len(done), len(j.progress.Done)) {
		fresh := done[k] &^ j.progress.Done[k]
		for i := k * 8; fresh != 0 && i < len(j.files); i, fresh = i+1, fresh>>1 {
			if fresh&1 == 0 {
				continue
			}
			w := &j.waves[j.plan.Files.Waves[i]]
			if w.left--; cold(j.files[i].state()) {
				w.frozen--
			}
			j.bucket(i).add(j.plan.Files.Sizes[i], -1)
			j.progress.Done.set(i)
			j.bucket(i).add(j.plan.Files.Sizes[i], 1)
			if j.files[i]&yielded == 0 {
				j.yielded++
			}
		}
	}
}

// close writes down that the job ended. The plans go: nobody needs them, and
// they are large.
func (j *Job) close(ctx context.Context) error {
	err := j.save(ctx, true)
	if err == nil {
		err = folderOf(j.opts).remove(j.id + planSuffix)
		if deleteErr := j.tiers.Delete(ctx, hotPrefix+j.id+planSuffix); deleteErr != nil {
			j.log.Warn("plan of an ended thaw job stays in the hot tier", "job", j.id, "err", deleteErr)
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.announce()
	return err
}
