package swift

import (
	"context"
	"crypto/rand"
	"fmt"
	"io/fs"
	"net/http"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
)

// newID returns an ID that no other upload has.
func newID() string { return rand.Text() }

// settle is how long a conditional Put waits until it trusts what it reads back.
//
// Swift looks whether there is an object of the name when a PUT begins, and
// stores it when its body has arrived, without a lock: of several at once all may
// succeed, and the one that began last remains. So each Put notes its ID in the
// object, waits for longer than the others can take between their look and their
// end (tiny bodies: the time of a disk), and has won if the ID is its own.
const settle = time.Second

// newest asks all replicas of an object for the newest one.
func newest() map[string]string { return map[string]string{"X-Newest": "true"} }

// commit sends the object that makes the file visible, until it is answered. A
// conditional one that succeeds is the only one.
func (u *upload) commit(ctx context.Context, r request, once func(ctx context.Context) (http.Header, error)) (http.Header, error) {
	var header http.Header
	err := u.store.retry.Do(ctx, func(ctx context.Context) error {
		h, err := once(ctx)
		header = h
		return err
	})
	if statusOf(err) == http.StatusNotFound {
		return nil, fmt.Errorf("container %s is gone: %w: %w", r.container, backends.ErrNoStore, err)
	}
	if !u.ifAbsent {
		return header, err
	}
	if statusOf(err) == http.StatusPreconditionFailed {
		// The answer to an earlier attempt may have been lost: then the object
		// that is in the way is our own.
		if err = u.mine(ctx); err == nil {
			header = http.Header{"Last-Modified": {time.Now().UTC().Format(http.TimeFormat)}}
		}
	}
	if err != nil {
		return nil, err
	}
	if err := (backends.RealClock{}).Sleep(ctx, settle); err != nil {
		return nil, err
	}
	return header, u.mine(ctx)
}

// mine fails with fs.ErrExist when the object is not that of this upload.
func (u *upload) mine(ctx context.Context) error {
	o, err := u.store.find(ctx, u.name, newest())
	if err == nil && (o == nil || o.put != u.id) {
		return fs.ErrExist
	}
	return err
}
