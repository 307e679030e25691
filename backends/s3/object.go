package s3

import (
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/isotherm-backup/isotherm/backends"
)

// What is kept of a file as metadata of its object.
const (
	metaSHA256 = "isotherm-sha256" // hex
	metaPut    = "isotherm-put"    // a random word that tells one put from another
)

// An object is what the service says of a file in the headers of HEAD or GET.
type object struct {
	size     int64 // of the body that was asked for; -1 when not told
	etag     string
	modified time.Time
	class    backends.Class
	restore  string // x-amz-restore
	sunk     string // x-amz-archive-status
	meta     map[string]string
	answer   answer
	whole    bool // its checksums are of all bytes, not of parts
}

func fromHead(out *sdk.HeadObjectOutput) object {
	o := object{
		etag: text(out.ETag), class: classOf(string(out.StorageClass)), restore: text(out.Restore), sunk: string(out.ArchiveStatus),
		meta: out.Metadata, whole: out.ChecksumType != types.ChecksumTypeComposite,
		answer: answer{etag: out.ETag, crc64: out.ChecksumCRC64NVME, sha256: out.ChecksumSHA256, sse: out.ServerSideEncryption},
	}
	o.set(out.ContentLength, out.LastModified)
	return o
}

func fromGet(out *sdk.GetObjectOutput) object {
	o := object{
		etag: text(out.ETag), meta: out.Metadata, whole: out.ChecksumType != types.ChecksumTypeComposite,
		answer: answer{etag: out.ETag, crc64: out.ChecksumCRC64NVME, sha256: out.ChecksumSHA256, sse: out.ServerSideEncryption},
	}
	o.set(out.ContentLength, out.LastModified)
	return o
}

func (o *object) set(size *int64, modified *time.Time) {
	o.size = -1
	if size != nil {
		o.size = *size
	}
	if modified != nil {
		o.modified = modified.UTC()
	}
}

// classOf returns a class; STANDARD has no header (spec section 2).
func classOf(header string) backends.Class {
	if header == "" {
		return backends.Standard
	}
	return backends.Class(header)
}

// info describes the file.
func (s *Store) info(name string, o object) backends.Info {
	i := backends.Info{Name: name, Size: max(o.size, 0), ModTime: o.modified, Class: o.class, Digest: o.digest()}
	thaw, at := parseRestore(o.restore)
	i.State, i.At = s.state(o.class, thaw, at)
	if s.meanings[o.class].sinks && thaw == noThaw {
		i.State = backends.Ready
		if o.sunk != "" {
			i.State = backends.Frozen
		}
	}
	return i
}

// digest returns the best checksum that is known: ours, else one that the
// service keeps of all bytes.
func (o object) digest() backends.Digest {
	if sum := o.meta[metaSHA256]; isHex(sum, 32) {
		return backends.Digest{Algorithm: sha256sum, Sum: sum}
	}
	if o.whole {
		for _, kept := range []struct {
			algorithm string
			sum       *string
		}{{sha256sum, o.answer.sha256}, {crc64nvme, o.answer.crc64}} {
			if raw, err := base64.StdEncoding.DecodeString(text(kept.sum)); err == nil && len(raw) > 0 {
				return backends.Digest{Algorithm: kept.algorithm, Sum: hex.EncodeToString(raw)}
			}
		}
	}
	if sum := o.answer.md5(); isHex(sum, 16) {
		return backends.Digest{Algorithm: md5sum, Sum: sum}
	}
	return backends.Digest{}
}

func isHex(s string, size int) bool {
	raw, err := hex.DecodeString(s)
	return err == nil && len(raw) == size
}

// thaw is what the service says of a thaw.
type thaw uint8

const (
	noThaw  thaw = iota
	ongoing      // under way
	done         // readable
)

// state says what a class and a thaw mean together: readability is never a
// matter of the class alone (spec section 1). A thaw that is done and has no
// end is for good (Ceph).
func (s *Store) state(class backends.Class, t thaw, until time.Time) (backends.State, time.Time) {
	m := s.meanings[class]
	switch {
	case t == ongoing:
		return backends.Thawing, time.Time{}
	case t == done && until.IsZero():
		return backends.Ready, time.Time{}
	case t == done:
		return backends.Thawed, until
	case m.archived:
		return backends.Frozen, time.Time{}
	case m.known && !m.sinks:
		return backends.Ready, time.Time{}
	}
	return backends.StateUnknown, time.Time{}
}

// parseRestore reads the header x-amz-restore (grammar: spec section 5). The
// date has a comma in it; some print single quotes.
func parseRestore(header string) (thaw, time.Time) {
	header = strings.ReplaceAll(header, "'", `"`)
	if value(header, "ongoing-request") == "true" {
		return ongoing, time.Time{}
	}
	if value(header, "ongoing-request") != "false" {
		return noThaw, time.Time{}
	}
	until, err := http.ParseTime(value(header, "expiry-date"))
	if err != nil {
		return done, time.Time{}
	}
	return done, until.UTC()
}

// value returns what follows key=" up to the next quote.
func value(header, key string) string {
	_, rest, _ := strings.Cut(header, key+`="`)
	v, _, _ := strings.Cut(rest, `"`)
	return v
}
