package swift

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/isotherm-backup/isotherm/backends"
)

// piece is a stretch of a file of which the service has a checksum: all of it, or
// a segment.
type piece struct {
	md5  string
	size int64 // negative for all that follows
}

// pieces returns those of a large object, which was just opened. None when the
// service has no checksums of them, or they are not those of the version that was
// opened.
func (s *Store) pieces(ctx context.Context, o *object) ([]piece, error) {
	var found []piece
	var err error
	if o.slo {
		found, err = s.manifestPieces(ctx, o.name)
	} else {
		var all *segments
		if all, err = s.segmentsOf(ctx, o); err == nil {
			for _, e := range all.of(o) {
				found = append(found, piece{e.Hash, e.Bytes})
			}
		}
	}
	if err != nil {
		return nil, err
	}
	// The entity tag is made of the segments' (cold-storage spec section 13).
	tags, size := md5.New(), int64(0)
	for _, p := range found {
		if md5Digest(p.md5).IsZero() {
			return nil, nil
		}
		_, _ = io.WriteString(tags, p.md5)
		size += p.size
	}
	if size != o.info.Size || hex.EncodeToString(tags.Sum(nil)) != o.etag {
		return nil, nil
	}
	return found, nil
}

// manifestPieces reads the manifest of a static large object
// (docs.openstack.org/swift, "Retrieving a Large Object"). It has none when the
// segments are themselves large objects, or only parts of objects are used.
func (s *Store) manifestPieces(ctx context.Context, name string) ([]piece, error) {
	r := request{
		method: http.MethodGet, container: s.cfg.Container, object: name,
		query: url.Values{"multipart-manifest": {"get"}}, unseals: s.cfg.Sealing,
	}
	var entries []struct {
		Hash  string `json:"hash"`
		Bytes int64  `json:"bytes"`
		Range string `json:"range"`
		Large bool   `json:"sub_slo"`
	}
	err := s.retry.Do(ctx, func(ctx context.Context) error {
		entries = nil
		resp, err := s.send(ctx, r)
		if err != nil {
			return err
		}
		if err := json.NewDecoder(resp.Body).Decode(&entries); err != nil {
			return errors.Join(broken(ctx, r, err), resp.Body.Close())
		}
		return s.drain(ctx, r, resp)
	})
	var found []piece
	for _, e := range entries {
		if e.Range != "" || e.Large {
			return nil, err
		}
		found = append(found, piece{e.Hash, e.Bytes})
	}
	return found, err
}

// checker compares what is written to it with checksums.
type checker struct {
	pieces []piece
	hash   hash.Hash
	at     int64 // bytes of the first piece that are hashed
}

func newChecker(pieces []piece) *checker { return &checker{pieces: pieces, hash: md5.New()} }

// Write fails with backends.ErrCorrupt after a piece that is not what it should be.
func (c *checker) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0 && len(c.pieces) > 0; {
		n := int64(len(rest))
		if size := c.pieces[0].size; size >= 0 {
			n = min(n, size-c.at)
		}
		c.hash.Write(rest[:n])
		rest, c.at = rest[n:], c.at+n
		if c.at == c.pieces[0].size {
			if err := c.next(); err != nil {
				return 0, err
			}
		}
	}
	return len(p), nil
}

// next ends a piece.
func (c *checker) next() error {
	want := c.pieces[0].md5
	sum := hex.EncodeToString(c.hash.Sum(nil))
	c.pieces, c.at = c.pieces[1:], 0
	c.hash.Reset()
	if !strings.EqualFold(sum, want) {
		return fmt.Errorf("received bytes have MD5 %s, the file has %s: %w", sum, want, backends.ErrCorrupt)
	}
	return nil
}

// end is called where the file ends.
func (c *checker) end() error {
	for len(c.pieces) > 0 {
		if err := c.next(); err != nil {
			return err
		}
	}
	return nil
}
