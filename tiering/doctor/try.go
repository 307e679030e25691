package doctor

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/policy"
)

// try writes a small file, finds it, reads it and deletes it.
func (x *examiner) try(ctx context.Context) {
	s := x.tiers.Store(x.store.Name)
	name := policy.OwnPrefix + "check-" + rand.Text()
	data := []byte("isotherm check: this file may be deleted\n")
	info, err := s.Put(ctx, name, bytes.NewReader(data), backends.PutOptions{Size: int64(len(data))})
	if err != nil {
		x.add(Problem, x.fixFor(err, "write"), "cannot be written: %v", cause(err))
		return
	}
	if class := x.store.Class; class != "" && info.Class != "" && string(info.Class) != class {
		x.add(Problem, "write the class that the service has in this region", "stores a file of class %s as %s", class, info.Class)
	}
	works := x.tryList(ctx, s, name) && x.tryRead(ctx, s, name, data)
	x.tryAgain(ctx, s, name, data)
	// A file that was put is taken away, whatever became of ctx.
	if err := s.Delete(context.WithoutCancel(ctx), name); err != nil {
		x.add(Problem, x.fixFor(err, "delete"), "cannot delete %s, which was written to try it: %v", name, cause(err))
		return
	}
	if works {
		x.add(Fine, "", "was written, listed, read and deleted from")
	}
}

func (x *examiner) tryList(ctx context.Context, s backends.Store, name string) bool {
	for info, err := range s.List(ctx, name) {
		if err != nil {
			x.add(Problem, x.fixFor(err, "list"), "cannot be listed after a write: %v", cause(err))
			return false
		}
		if info.Name == name {
			return true
		}
	}
	x.add(Note, "", "its listing lags behind: a file that was just written is not in it yet")
	return true
}

// tryRead reads the file. Of one that is frozen, it is the refusal that is right.
func (x *examiner) tryRead(ctx context.Context, s backends.Store, name string, want []byte) bool {
	body, err := s.Get(ctx, name, 0, -1)
	if errors.Is(err, backends.ErrFrozen) && x.tiers.Cold(x.store.Name) {
		return true
	}
	var got []byte
	if err == nil {
		got, err = io.ReadAll(body)
		err = errors.Join(err, body.Close())
	}
	switch {
	case err != nil:
		x.add(Problem, x.fixFor(err, "read"), "cannot be read: %v", cause(err))
		return false
	case !bytes.Equal(got, want):
		x.add(Problem, "look for a proxy or gateway on the way that changes files",
			"gives back other bytes than were written: %d instead of %d", len(got), len(want))
		return false
	}
	return true
}

// tryAgain finds out whether two machines that write one file at once are told
// apart, which the locks of an archive rest on.
func (x *examiner) tryAgain(ctx context.Context, s backends.Store, name string, data []byte) {
	if x.tiers.Cold(x.store.Name) {
		return // locks lie in hot stores, and a second write would be billed
	}
	_, err := s.Put(ctx, name, bytes.NewReader(data), backends.PutOptions{IfAbsent: true})
	switch {
	case errors.Is(err, fs.ErrExist):
	case err == nil:
		x.add(Warning, "let only one machine write to the archive", "replaces a file that a write should not have replaced: two machines could take one lock")
	default:
		x.add(Warning, x.fixFor(err, "write"), "cannot write only where nothing is: %v", cause(err))
	}
}
