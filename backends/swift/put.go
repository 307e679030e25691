package swift

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/spool"
)

// small is a size that every cluster takes in one object, so that its limits need
// not be asked for.
const small = 1 << 20

// Put implements [backends.Store]. The first one makes a container that is not
// there. The body is held until it is sent, in a temporary file when it is
// larger than 1 MiB; of a file in segments, one segment at a time.
func (s *Store) Put(ctx context.Context, name string, body io.Reader, opts backends.PutOptions) (backends.Info, error) {
	object, err := s.begin(ctx, name)
	if err != nil {
		return backends.Info{}, wrap("put", name, err)
	}
	info, err := s.put(ctx, object, body, opts)
	if err != nil {
		return backends.Info{}, wrap("put", name, err)
	}
	return info, nil
}

func (s *Store) put(ctx context.Context, name string, body io.Reader, opts backends.PutOptions) (backends.Info, error) {
	p, err := s.enterOrCreate(ctx)
	if err != nil {
		return backends.Info{}, err
	}
	u := &upload{store: s, place: p, name: name, id: newID(), ifAbsent: opts.IfAbsent}
	if err := u.before(ctx); err != nil {
		return backends.Info{}, err
	}
	info, err := u.send(ctx, body, opts)
	if err != nil {
		return backends.Info{}, err
	}
	// The file is there. Segments of the one that it replaced only cost space; an
	// error would make it look as if it had to be sent again.
	_ = s.removeParts(ctx, u.replaced)
	return info, nil
}

// upload is one Put.
type upload struct {
	store    *Store
	place    *place
	name     string // of the object
	id       string // of this upload, among all
	ifAbsent bool
	replaced []segment // of the object that this one replaces
}

// before looks at what has the name now, where that matters.
func (u *upload) before(ctx context.Context) error {
	has, err := u.store.hasSegments(ctx)
	if err != nil || !has && !u.ifAbsent {
		return err
	}
	o, err := u.store.find(ctx, u.name, nil)
	if o == nil || err != nil {
		return err
	}
	if u.ifAbsent {
		return fs.ErrExist // told early, not only after the whole body was read
	}
	u.replaced, err = u.store.ownParts(ctx, o)
	return err
}

// send stores the body, in one object or in segments.
func (u *upload) send(ctx context.Context, body io.Reader, opts backends.PutOptions) (backends.Info, error) {
	if opts.Size > 0 && opts.Size <= small {
		return u.whole(ctx, body, opts)
	}
	c, err := u.store.cut(ctx)
	if err != nil {
		return backends.Info{}, err
	}
	if opts.Size > 0 && opts.Size <= c.above {
		return u.whole(ctx, body, opts)
	}
	verified, err := backends.Verified(ctx, body, opts)
	if err != nil {
		return backends.Info{}, err
	}
	if opts.Size > 0 {
		return u.large(ctx, verified, c.segmentFor(opts.Size), c.most)
	}
	return u.unknown(ctx, verified, c)
}

// whole sends a body that goes into one object.
func (u *upload) whole(ctx context.Context, body io.Reader, opts backends.PutOptions) (backends.Info, error) {
	held, err := spool.Read(ctx, body, opts, "md5")
	if err != nil {
		return backends.Info{}, err
	}
	info, err := u.plain(ctx, held)
	return info, errors.Join(err, held.Close())
}

// unknown sends a body of which it is not known whether one object can hold it.
func (u *upload) unknown(ctx context.Context, verified io.Reader, c cut) (backends.Info, error) {
	held, err := spool.Read(ctx, io.LimitReader(verified, c.above), backends.PutOptions{}, "md5")
	if err != nil {
		return backends.Info{}, err
	}
	next := make([]byte, 1)
	_, err = io.ReadFull(verified, next)
	var info backends.Info
	switch err {
	case io.EOF:
		info, err = u.plain(ctx, held)
	case nil:
		rest := io.MultiReader(held.NewReader(), bytes.NewReader(next), verified)
		info, err = u.large(ctx, rest, c.size, c.most)
	}
	return info, errors.Join(err, held.Close())
}

// plain stores one object.
func (u *upload) plain(ctx context.Context, held *spool.Body) (backends.Info, error) {
	sum := hex.EncodeToString(held.Sum("md5"))
	r := request{
		method: http.MethodPut, container: u.store.cfg.Container, object: u.name,
		header: u.header(sum), body: func() io.Reader { return held.NewReader() }, size: held.Size,
	}
	h, err := u.commit(ctx, r, func(ctx context.Context) (http.Header, error) { return u.store.putOnce(ctx, r, held, sum) })
	if err != nil {
		return backends.Info{}, err
	}
	return u.info(h, held.Size, md5Digest(sum)), nil
}

// header is what the object of the file's own name gets; sum is its entity tag.
func (u *upload) header(sum string) map[string]string {
	h := map[string]string{"Etag": sum, "Content-Type": "application/octet-stream"}
	if u.ifAbsent {
		h["If-None-Match"] = "*"
		h[putHeader] = u.id
	}
	return h
}

// info describes the new file.
func (u *upload) info(h http.Header, size int64, digest backends.Digest) backends.Info {
	i := backends.Info{
		Name: strings.TrimPrefix(u.name, u.store.prefix), Size: size, ModTime: modTime(h), Digest: digest,
		Class: u.store.class(u.place), State: backends.Ready,
	}
	if u.store.cfg.Sealing {
		i.State = backends.Frozen
	}
	return i
}

// putOnce sends an object once. The service checks the entity tag, and so do we:
// bytes that changed on the way are sent again, unless they changed in our own
// hands.
func (s *Store) putOnce(ctx context.Context, r request, held *spool.Body, sum string) (http.Header, error) {
	r.header = maps.Clone(r.header)
	resp, err := s.send(ctx, r)
	if statusOf(err) == http.StatusUnprocessableEntity {
		if h := md5.New(); held != nil {
			if _, err := io.Copy(h, held.NewReader()); err != nil || hex.EncodeToString(h.Sum(nil)) != sum {
				return nil, errors.Join(fmt.Errorf("the body changed while it was held for sending: %w", backends.ErrCorrupt), err)
			}
		}
		return nil, fmt.Errorf("the service received other bytes than were sent: %w: %w", backends.ErrTransient, err)
	}
	if err != nil {
		return nil, err
	}
	if err := s.drain(ctx, r, resp); err != nil {
		return nil, err
	}
	// 202: a newer object of the name was there already, which replaced this one.
	got := strings.Trim(resp.Header.Get("Etag"), `"`)
	if resp.StatusCode != http.StatusAccepted && got != "" && !strings.EqualFold(got, sum) {
		return nil, fmt.Errorf("%s: the service stored an object with checksum %s, sent was %s: %w", r, got, sum, backends.ErrTransient)
	}
	if resp.StatusCode == http.StatusAccepted && r.header["If-None-Match"] != "" {
		return nil, fs.ErrExist
	}
	if resp.Header.Get("Last-Modified") == "" {
		resp.Header.Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
	}
	return resp.Header, nil
}
