package engine

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/engine/manifest"
	"github.com/isotherm-backup/isotherm/tiering"
)

// A volumeStore is where volumes are read from: the tiered store.
type volumeStore interface {
	// Get reads from the cheapest copy that is readable.
	Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error)
	// GetFrom reads from one store.
	GetFrom(ctx context.Context, store, name string, offset, length int64) (io.ReadCloser, error)
	Stores() []string
	// Damaged records that the copy in that store is damaged: another one is
	// read from then on, and repair replaces it.
	Damaged(ctx context.Context, store, name string, why error) error
}

// A volumeFile is a volume as the stores and its manifest know it.
type volumeFile struct {
	Name string
	Size int64 // bytes as stored
	Hash manifest.Hash
	// Missing says what is missing where, when no store has it.
	Missing error
}

// hasher returns what computes the checksum that the manifest has of a stored
// volume, and whether there is one to compare with. duplicity writes SHA1 and
// reads MD5 as well (archive format, section 3).
func (v *volumeFile) hasher() (hash.Hash, bool) {
	switch v.Hash.Algorithm {
	case "SHA1":
		return sha1.New(), true
	case "MD5":
		return md5.New(), true
	}
	return sha1.New(), false
}

// A DamagedError says that a copy of a volume is not what its manifest says.
type DamagedError struct {
	Name      string
	Store     string // "" when it is not known which store answered
	Algorithm string
	Sum       string // of what was read
	Want      string // by the manifest
	Size      int64  // bytes that were read
}

func (e *DamagedError) Error() string {
	where := ""
	if e.Store != "" {
		where = " in " + e.Store
	}
	return fmt.Sprintf("%s%s is damaged: %s of its %d bytes is %s, the manifest says %s", e.Name, where, e.Algorithm, e.Size, e.Sum, e.Want)
}

// Is reports that a DamagedError is a backends.ErrCorrupt.
func (e *DamagedError) Is(target error) bool { return target == backends.ErrCorrupt }

// A VolumeError says that a volume cannot be used from any of its copies.
type VolumeError struct {
	Name string
	Err  error
}

func (e *VolumeError) Error() string { return fmt.Sprintf("volume %s: %v", e.Name, e.Err) }

// Unwrap returns what is wrong with it.
func (e *VolumeError) Unwrap() error { return e.Err }

// An elsewhereError says that the copies of a volume that can be read are
// damaged, and that another one is frozen.
type elsewhereError struct{ frozen error }

func (e *elsewhereError) Error() string { return e.frozen.Error() }

// Unwrap returns the *backends.FrozenError of the other copy.
func (e *elsewhereError) Unwrap() error { return e.frozen }

// fetch brings a volume into the spool, from whichever copy agrees with the
// manifest; copies that do not are recorded. The error is a *VolumeError when no
// copy does, and another fetch would not change that; a backends.ErrFrozen when
// it can be read later, as an *elsewhereError from another store.
func (w *worker) fetch(ctx context.Context, v *volumeFile) error {
	if v.Missing != nil {
		return &VolumeError{v.Name, v.Missing}
	}
	err := w.fetchFrom(ctx, "", v)
	if err == nil || !w.another(ctx, err) {
		return err
	}
	errs := []error{err}
	for _, store := range w.source.Stores() {
		err := w.fetchFrom(ctx, store, v)
		if err == nil {
			if len(errs) > 1 {
				errs = errs[1:] // the first one only lacks the store's name
			}
			w.damaged(errs...)
			_, err := w.recordDamage(ctx, v.Name, errs)
			return err
		}
		if !w.another(ctx, err) {
			return err
		}
		if !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	err = verdict(v.Name, errs)
	if !errors.Is(err, backends.ErrFrozen) {
		return err
	}
	bad, recordErr := w.recordDamage(ctx, v.Name, errs)
	if recordErr != nil || len(bad) == 0 {
		return errors.Join(err, recordErr)
	}
	w.damaged(bad...)
	return &elsewhereError{err}
}

// recordDamage records the copies that are known to be damaged, and returns why
// each is.
func (w *worker) recordDamage(ctx context.Context, name string, errs []error) ([]error, error) {
	var bad []error
	for _, err := range errs {
		d, ok := errors.AsType[*DamagedError](err)
		if !ok || d.Store == "" {
			continue
		}
		if err := w.source.Damaged(ctx, d.Store, name, d); err != nil && !errors.Is(err, tiering.ErrGuarded) {
			return nil, fmt.Errorf("record that %s in %s is damaged: %w", name, d.Store, err)
		}
		bad = append(bad, d)
	}
	return bad, nil
}

// verdict decides what it means that no copy of a volume could be read. One
// that answers later is more than one that is damaged.
func verdict(name string, errs []error) error {
	for _, err := range errs {
		if errors.Is(err, backends.ErrFrozen) {
			return err
		}
	}
	for _, err := range errs {
		if !errors.Is(err, backends.ErrCorrupt) && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("fetch volume %s: %w", name, errors.Join(errs...))
		}
	}
	if len(errs) > 1 {
		errs = errs[1:] // the first one only lacks the store's name
	}
	return &VolumeError{name, errors.Join(errs...)}
}

// another reports whether another copy may help: not when the fault lies here.
func (w *worker) another(ctx context.Context, err error) bool {
	_, local := errors.AsType[*spoolError](err)
	return ctx.Err() == nil && !local
}

// fetchFrom brings a volume from one store, or from any if store is "".
func (w *worker) fetchFrom(ctx context.Context, store string, v *volumeFile) error {
	var body io.ReadCloser
	var err error
	if store == "" {
		body, err = w.source.Get(ctx, v.Name, 0, -1)
	} else {
		body, err = w.source.GetFrom(ctx, store, v.Name, 0, -1)
	}
	if err != nil {
		return err
	}
	sum, known := v.hasher()
	size, err := w.fill(body, v.Size, sum)
	if err = errors.Join(err, body.Close()); err != nil {
		return fmt.Errorf("read %s: %w", v.Name, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); known && got != v.Hash.Sum {
		return &DamagedError{Name: v.Name, Store: store, Algorithm: v.Hash.Algorithm, Sum: got, Want: v.Hash.Sum, Size: size}
	}
	return nil
}

// fill writes a body of about size bytes to the spool, from its beginning.
func (w *worker) fill(body io.Reader, size int64, sum hash.Hash) (int64, error) {
	w.spool.begin(size)
	var read int64
	for {
		n, err := body.Read(w.buf)
		if n > 0 {
			sum.Write(w.buf[:n])
			if _, err := w.spool.Write(w.buf[:n]); err != nil {
				return read, err
			}
			read += int64(n)
			w.progress.Add(StageFetch, int64(n))
		}
		if err == io.EOF {
			return read, nil
		}
		if err != nil {
			return read, err
		}
	}
}
