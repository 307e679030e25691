package swift

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
)

// limits are what the cluster says it can (/info), or what it can unless it says
// otherwise.
type limits struct {
	Swift struct {
		MaxFileSize int64 `json:"max_file_size"`
	} `json:"swift"`
	SLO *struct {
		MaxSegments int   `json:"max_manifest_segments"`
		MinSize     int64 `json:"min_segment_size"`
	} `json:"slo"`
}

const (
	// largestObject and mostSegments are the defaults of Swift (cold-storage spec
	// section 13).
	largestObject = 5 << 30
	mostSegments  = 1000
	// segmentSize is 1 GiB, so that a file of 1 TB is possible.
	segmentSize = 1 << 30
)

// ask asks the cluster for its limits. Some do not answer, which is no error.
func (s *Store) ask(ctx context.Context) (*limits, error) {
	l := new(limits)
	r := request{method: http.MethodGet, info: true}
	err := s.retry.Do(ctx, func(ctx context.Context) error {
		*l = limits{}
		resp, err := s.send(ctx, r)
		if err != nil {
			return err
		}
		if err := json.NewDecoder(resp.Body).Decode(l); err != nil {
			return errors.Join(broken(ctx, r, err), resp.Body.Close())
		}
		return s.drain(ctx, r, resp)
	})
	if status := statusOf(err); status/100 == 4 && status != http.StatusUnauthorized {
		*l, err = limits{}, nil
	}
	if l.Swift.MaxFileSize <= 0 {
		l.Swift.MaxFileSize = largestObject
	}
	return l, err
}

// cut says how files are cut: those above so many bytes, into segments of so many,
// as many at the most.
type cut struct {
	above, size int64
	most        int
}

func (s *Store) cut(ctx context.Context) (cut, error) {
	l, err := s.limits.get(ctx, s.ask)
	if err != nil {
		return cut{}, err
	}
	c := cut{above: s.cfg.SegmentAbove, size: s.cfg.SegmentSize, most: mostSegments}
	if c.above == 0 || c.above > l.Swift.MaxFileSize {
		c.above = l.Swift.MaxFileSize
	}
	if c.size == 0 {
		c.size = segmentSize
	}
	if l.SLO != nil {
		c.size = max(c.size, l.SLO.MinSize)
		if l.SLO.MaxSegments > 0 {
			c.most = l.SLO.MaxSegments
		}
	}
	c.size = min(c.size, c.above, l.Swift.MaxFileSize)
	return c, nil
}

// segmentFor returns the size of the segments of a file of so many bytes, so
// that they are not too many; size is 0 when not known.
func (c cut) segmentFor(size int64) int64 {
	least := (size + int64(c.most) - 1) / int64(c.most)
	if least <= c.size {
		return c.size
	}
	const unit = 1 << 20
	return min((least+unit-1)/unit*unit, c.above)
}
