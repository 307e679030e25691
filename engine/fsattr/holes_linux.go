package fsattr

import (
	"cmp"
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Holes returns the holes of an open regular file, as far as its file system
// tells, in ascending order. The file's offset is as before afterwards, but is
// moved meanwhile.
func Holes(f *os.File) (holes []Hole, err error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	ctlErr := conn.Control(func(fd uintptr) { holes, err = findHoles(int(fd)) })
	return holes, wrap("find holes", f.Name(), cmp.Or(ctlErr, err))
}

func findHoles(fd int) (holes []Hole, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	if st.Blocks*512 >= st.Size { // as nearly always: one call is all it took
		return nil, nil
	}
	before, err := unix.Seek(fd, 0, unix.SEEK_CUR)
	if err != nil {
		return nil, err
	}
	defer func() {
		if _, seekErr := unix.Seek(fd, before, unix.SEEK_SET); err == nil {
			err = seekErr
		}
	}()
	for at := int64(0); at < st.Size; {
		start, err := unix.Seek(fd, at, unix.SEEK_HOLE)
		switch {
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENXIO): // it is not known here, or the file shrinks
			return holes, nil
		case err != nil:
			return nil, err
		case start >= st.Size: // every file ends in one
			return holes, nil
		}
		end, err := unix.Seek(fd, start, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) { // there is no data any more
			end, err = st.Size, nil
		}
		if err != nil {
			return nil, err
		}
		end = min(end, st.Size)
		holes = append(holes, Hole{start, end - start})
		at = end
	}
	return holes, nil
}
