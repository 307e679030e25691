package thaw

import (
	"context"
	"iter"

	"github.com/isotherm-backup/isotherm/backends"
)

// Readable yields the name of each file as soon as it is readable, those that
// are readable already first, until each has been yielded or is done. Each name
// is told once, to one caller. It waits for Run, which must be running or be
// started, and fails when Run fails.
func (j *Job) Readable(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for {
			name, changed, err := j.next()
			switch {
			case err != nil:
				yield("", err)
				return
			case name != "":
				if !yield(name, nil) {
					return
				}
				continue
			case changed == nil:
				return
			}
			select {
			case <-ctx.Done():
				yield("", ctx.Err())
				return
			case <-changed:
			}
		}
	}
}

// next takes a name off the queue, or says what to wait for; nothing when all
// names were yielded.
func (j *Job) next() (name string, changed chan struct{}, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for len(j.queue) > 0 {
		i := int(j.queue[0])
		j.queue = j.queue[1:]
		if j.progress.Done.has(i) || j.files[i]&yielded != 0 || !j.files[i].readable() {
			continue
		}
		j.files[i] |= yielded
		j.yielded++
		return j.plan.Files.Names[i], nil, nil
	}
	if j.yielded == j.plan.Len() {
		return "", nil, nil
	}
	return "", j.changed, j.failed
}

// Done says that a file has been read and may freeze again. Names that are not
// in the plan are ignored.
func (j *Job) Done(name string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	i := j.find(name)
	if i < 0 || j.progress.Done.has(i) {
		return
	}
	w := &j.waves[j.plan.Files.Waves[i]]
	if w.left--; cold(j.files[i].state()) {
		w.frozen--
	}
	size := j.plan.Files.Sizes[i]
	j.bucket(i).add(size, -1)
	j.progress.Done.set(i)
	j.bucket(i).add(size, 1)
	if j.files[i]&yielded == 0 {
		j.yielded++
	}
	j.dirty = true
	if w.left == 0 {
		j.rouse() // the next wave may be due, or the end
		j.announce()
	}
}

// Again says that a file which Readable had yielded was frozen when it was to
// be read. It is asked for again, and yielded again, by a call of Readable
// that is under way or made later.
func (j *Job) Again(name string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	i := j.find(name)
	if i < 0 || j.progress.Done.has(i) || j.files[i]&yielded == 0 {
		return
	}
	j.files[i] &^= yielded
	j.yielded--
	if j.files[i].readable() {
		j.set(i, backends.Frozen)
		j.files[i] |= seen
	}
	j.rouse()
}
