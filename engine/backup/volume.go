package backup

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"hash"
	"os"

	"github.com/isotherm-backup/isotherm/engine/codec"
	"github.com/isotherm-backup/isotherm/engine/manifest"
	"github.com/isotherm-backup/isotherm/engine/tarhdr"
)

// reserved is what the end of a volume may take beyond what codec.Writer.Stored
// says: the trailer, and what frames a message.
const reserved = 8 << 10

// A volumeWriter makes one volume and its segment.
type volumeWriter struct {
	Volume
	dir     string
	file    *os.File
	out     *bufio.Writer
	sum     hash.Hash
	size    int64
	w       *codec.Writer
	plain   int64
	members int
	segment *segmentWriter
}

func newVolume(ctx context.Context, o *Options, number int) (_ *volumeWriter, err error) {
	v := &volumeWriter{dir: o.Dir, sum: sha1.New()}
	v.Number = number
	if v.segment, err = newSegment(o.Dir, number); err != nil {
		return nil, err
	}
	if v.file, err = os.OpenFile(VolumePath(o.Dir, number), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600); err != nil {
		return nil, errors.Join(err, v.segment.Close())
	}
	v.out = bufio.NewWriterSize(volumeFile{v}, 256<<10)
	if v.w, err = o.Codec.NewWriter(ctx, v.out, o.VolumeSize); err != nil {
		return nil, errors.Join(err, v.file.Close(), v.segment.Close())
	}
	return v, nil
}

// volumeFile is the file of a volume, as what its stored bytes are written to.
type volumeFile struct{ v *volumeWriter }

func (s volumeFile) Write(p []byte) (int, error) {
	s.v.sum.Write(p)
	s.v.size += int64(len(p))
	return s.v.file.Write(p)
}

// takes reports whether a member of n bytes still fits.
func (v *volumeWriter) takes(n int, limit int64) bool {
	return v.members == 0 || v.w.Stored()+int64(n)+reserved <= limit
}

func (v *volumeWriter) write(p []byte) error {
	n, err := v.w.Write(p)
	v.plain += int64(n)
	return err
}

// finish ends the volume's stream, without waiting for it. What is encrypted ends
// in zeros, what is not in nothing (archive format, section 4.4).
func (v *volumeWriter) finish(encrypted bool) error {
	if encrypted {
		if err := v.write(tarhdr.Trailer(v.plain)); err != nil {
			return err
		}
	}
	return v.w.Finish()
}

// wait returns once the volume is in its file, and written down.
func (v *volumeWriter) wait() (*Volume, error) {
	defer v.segment.Close()
	err := v.w.Wait()
	if err == nil {
		err = v.out.Flush()
	}
	if err := errors.Join(err, v.file.Close()); err != nil {
		return nil, err
	}
	v.Size = v.size
	v.Hashes = []manifest.Hash{{Algorithm: "SHA1", Sum: hex.EncodeToString(v.sum.Sum(nil))}}
	if err := v.segment.commit(); err != nil {
		return nil, err
	}
	return &v.Volume, WriteVolume(v.dir, &v.Volume)
}

// abandon drops a volume that is not finished.
func (v *volumeWriter) abandon() {
	v.w.Abandon()
	_ = v.w.Wait()
	_ = errors.Join(v.file.Close(), v.segment.Close(), os.Remove(v.file.Name()))
}
