// Package manifest reads and writes duplicity's manifests.
//
// A manifest is the text that says which paths each volume of a set holds, and
// what the volume's checksum is (archive format, section 3):
//
//	Hostname fixture-host
//	Localdir /home
//	Volume 1:
//	    StartingPath   .
//	    EndingPath     big.bin 36
//	    Hash SHA1 f251a5c1d3f974c3983c4444d2316cd28483a654
//	Filelist 1
//	    new      big.bin
//
// Reading is as lenient as duplicity is: field names in any case, unknown lines
// passed over, the list of files before or after the volumes or absent.
package manifest

import "errors"

// ErrFormat is the kind of all errors about a manifest's content. Their text
// names the line.
var ErrFormat = errors.New("malformed manifest")

// Manifest describes one set.
type Manifest struct {
	Hostname string // "" if not recorded
	Localdir string // the source directory; "" if not recorded
	// Volumes in the order of their numbers.
	Volumes []Volume
	// Files are the regular files that the set stores or removes. Nil when the
	// manifest has no list at all, as those of old versions.
	Files []File
}

// Volume says what one volume holds: everything of the set from Start to End.
type Volume struct {
	Number     int // from 1
	Start, End Bound
	// Hashes of the volume as stored, in the order of the manifest. duplicity
	// writes one, SHA1.
	Hashes []Hash
}

// Bound is the first or the last entry in a volume.
type Bound struct {
	Path string // raw bytes; "" is the root
	// Block is the number of the part, from 1, of a file that is stored in
	// parts. It is 0 for anything else, and also for the last part of a file.
	Block int
}

// Hash is a checksum.
type Hash struct {
	Algorithm string // "SHA1", "MD5"
	Sum       string // lower-case hexadecimal
}

// Hash returns the checksum that duplicity would check: SHA1, else MD5, else
// whichever is there. It is false when there is none.
func (v *Volume) Hash() (Hash, bool) {
	for _, algorithm := range []string{"SHA1", "MD5"} {
		for _, h := range v.Hashes {
			if h.Algorithm == algorithm {
				return h, true
			}
		}
	}
	if len(v.Hashes) == 0 {
		return Hash{}, false
	}
	return v.Hashes[0], true
}

// Change says how a set stores a file.
type Change string

// The changes.
const (
	New     Change = "new"     // as a whole, whether or not there was a file before
	Changed Change = "changed" // as a difference to the set before
	Deleted Change = "deleted"
)

// File is one line of the list of files.
type File struct {
	Path   string // raw bytes; "" is the root, when the source is a single file
	Change Change
}
