package engine

import (
	"errors"
	"io/fs"
	"os"
)

// bases holds contents that deltas build on, until the journal has what was
// made from them. Each step of a path has a file of its own, so that a step
// that is done again after an interruption finds its base as it was.
type bases struct{ dir *folder }

// place returns the name of a base: folders keep directories small.
func (*bases) place(key string) (dir, name string) { return key[:2], key[:2] + "/" + key }

// create opens a new base.
func (b *bases) create(key string) (staged, error) {
	dir, name := b.place(key)
	f, err := b.dir.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		if err := b.dir.root.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return staged{}, err
		}
		f, err = b.dir.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	}
	return staged{f, b.dir, name}, err
}

// open opens a base to be read.
func (b *bases) open(key string) (*os.File, error) {
	_, name := b.place(key)
	return b.dir.root.Open(name)
}

// adopt moves a file here. It leaves it open.
func (b *bases) adopt(s staged) error {
	dir, name := b.place(s.name)
	if err := b.dir.root.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return rename(s.dir, s.name, b.dir, name)
}

// remove removes a base, if it is there.
func (b *bases) remove(key string) error {
	_, name := b.place(key)
	return removeIfThere(b.dir.root, name)
}

func removeIfThere(root *os.Root, name string) error {
	if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
