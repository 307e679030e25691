//go:build unix

package s3_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"go.uber.org/goleak"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/backendtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A pool hands out servers. A part of the suite sets the clock of its server, so
// none is shared at a time; but each has many in turn.
type pool struct {
	tb      testing.TB // whose end is that of the servers
	mu      sync.Mutex
	idle    []*archive
	buckets atomic.Int64
	used    sync.Map // backends.Store -> *place
}

// place is where a store of the suite is.
type place struct {
	*archive
	bucketName string
}

func (p *pool) take() *archive {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.idle); n > 0 {
		a := p.idle[n-1]
		p.idle = p.idle[:n-1]
		return a
	}
	return startArchive(p.tb, "us-east-1", nil)
}

func (p *pool) giveBack(a *archive) {
	a.reset()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = append(p.idle, a)
}

// open opens a store of a class in a bucket of its own.
func (p *pool) open(t *testing.T, class backends.Class) backends.Store {
	pl := &place{archive: p.take(), bucketName: fmt.Sprintf("bucket-%d", p.buckets.Add(1))}
	t.Cleanup(func() { p.giveBack(pl.archive) })
	pl.bucket(t, pl.bucketName)
	return p.openAt(t, pl, class)
}

func (p *pool) openAt(t *testing.T, pl *place, class backends.Class) backends.Store {
	c := pl.config(pl.bucketName)
	// The suite's large file is sent in parts.
	c.Prefix, c.Class, c.MultipartAbove, c.PartSize = "some/folder", class, 7<<20, 5<<20
	s := open(t, c)
	p.used.Store(s, pl)
	return s
}

func (p *pool) placeOf(s backends.Store) *place {
	pl, _ := p.used.Load(s)
	return pl.(*place)
}

// remove deletes the bucket, with the one file that the suite has in it.
func (pl *place) remove(t *testing.T) {
	key := "some/folder/file"
	_, err := pl.sdk.DeleteObject(t.Context(), &sdk.DeleteObjectInput{Bucket: &pl.bucketName, Key: &key})
	if err == nil {
		_, err = pl.sdk.DeleteBucket(t.Context(), &sdk.DeleteBucketInput{Bucket: &pl.bucketName})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestConformance(t *testing.T) {
	p := &pool{tb: t}
	for _, class := range []backends.Class{backends.Standard, backends.Glacier, backends.DeepArchive} {
		t.Run(string(class), func(t *testing.T) {
			t.Parallel()
			backendtest.Run(t, backendtest.Harness{
				Many: 1100, Large: 8 << 20,
				Open:   func(t *testing.T) backends.Store { return p.open(t, class) },
				Reopen: func(t *testing.T, s backends.Store) backends.Store { return p.openAt(t, p.placeOf(s), class) },
				Remove: func(t *testing.T, s backends.Store) { p.placeOf(s).remove(t) },
				Clock:  func(s backends.Store) backends.Clock { return p.placeOf(s).archive },
			})
		})
	}
}
