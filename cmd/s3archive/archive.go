package main

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/backend/posix"
	"golang.org/x/sys/unix"
)

type archive struct {
	*posix.Posix
	state string
	base  settings

	mu      sync.Mutex
	stamp   string
	current settings
}

var _ backend.Backend = (*archive)(nil)

func attr(path, name string) string {
	buf := make([]byte, 256)
	n, err := unix.Getxattr(path, name, buf)
	if err != nil {
		return ""
	}
	return string(buf[:n])
}

// object is what the attributes of an object's file say.
type object struct {
	class         string
	ready, expiry time.Time // zero without a restore
}

func (a *archive) look(bucket, key string) object {
	path := filepath.Join(bucket, key)
	o := object{class: attr(path, classAttr)}
	if o.class == "" {
		o.class = "STANDARD"
	}
	if from, until, ok := strings.Cut(attr(path, restoreAttr), " "); ok {
		f, _ := strconv.ParseInt(from, 10, 64)
		u, _ := strconv.ParseInt(until, 10, 64)
		if expiry := time.Unix(0, u); a.now().Before(expiry) {
			o.ready, o.expiry = time.Unix(0, f), expiry
		}
	}
	return o
}

func (a *archive) readable(o object) bool {
	return !archived(o.class) || !o.ready.IsZero() && !a.now().Before(o.ready)
}

// header is the value of x-amz-restore, nil without a restore.
func (a *archive) header(o object) *string {
	if !archived(o.class) || o.ready.IsZero() {
		return nil
	}
	text := `ongoing-request="true"`
	if a.readable(o) {
		text = fmt.Sprintf(`ongoing-request="false", expiry-date="%s"`,
			o.expiry.UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT"))
	}
	return &text
}
