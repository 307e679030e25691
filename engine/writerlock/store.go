package writerlock

import (
	"context"
	"io"
	"iter"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
)

// Prefix begins the names of all files of this package.
const Prefix = "isotherm-lock."

// probePrefix begins the names of files that are put to learn the store's time.
const probePrefix = Prefix + "now-"

// A Store is what is used of a backends.Store. It is safe for concurrent use.
type Store interface {
	Put(ctx context.Context, name string, body io.Reader, opts backends.PutOptions) (backends.Info, error)
	Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error)
	List(ctx context.Context, prefix string) iter.Seq2[backends.Info, error]
	Stat(ctx context.Context, name string) (backends.Info, error)
	Delete(ctx context.Context, name string) error
}

// Named is one of the stores that hold the lock.
type Named struct {
	Name  string // as in the policy
	Store Store
	// Optional: a writer may do without it, since the policy says that backups
	// go on when it fails.
	Optional bool
}

// speed is how many times as fast as real time the store's clock runs: 1 but for
// simulations.
func (n Named) speed() float64 {
	if clocked, ok := n.Store.(backends.Clocked); ok {
		if fast, ok := clocked.Clock().(interface{ Speed() float64 }); ok {
			return fast.Speed()
		}
	}
	return 1
}

// scaled turns a real duration into one of the store's clock.
func (n Named) scaled(d time.Duration) time.Duration {
	return time.Duration(min(float64(d)*n.speed(), math.MaxInt64/2))
}

// lockName is the name of the lock file of number n.
func lockName(n uint64) string { return Prefix + strconv.FormatUint(n, 10) }

// lockNumber is the reverse of lockName; false for any other name.
func lockNumber(name string) (uint64, bool) {
	digits, ok := strings.CutPrefix(name, Prefix)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, err == nil && n > 0 && n < math.MaxUint64 && lockName(n) == name
}
