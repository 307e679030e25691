// Package dupname parses and writes duplicity's file names, and that of the index
// which Isotherm puts beside them.
//
// It is the only parser of that grammar: package policy asks it for a file's
// kind, package engine for its set and volume. The grammar is section 1 of the
// archive format's specification, read off duplicity 0.8.22 and 3.0.1
// (duplicity/file_naming.py).
package dupname

import "time"

// Kind is what a file is, judged by its name alone.
type Kind uint8

// The kinds. The zero value is Other: a name that no rule understands.
const (
	Other Kind = iota
	Manifest
	Signature
	Volume
)

// SetType says whether a set is full or incremental.
type SetType uint8

// The types of set.
const (
	Full SetType = iota + 1
	Incremental
)

// Form is one of the three ways in which duplicity has written names.
type Form uint8

// The forms of a name; see fixtures short-names and old-names.
const (
	Long  Form = iota + 1 // duplicity-full.20240101T000000Z.vol1.difftar.gz
	Short                 // df.s6k2o0.1.dt.z
	Old                   // duplicity-full.2024-01-01T00:00:00Z.vol1.difftar.gz
)

// Name is one parsed file name.
type Name struct {
	Prefix     string // what stood before duplicity's own part
	Kind       Kind
	Type       SetType
	Start      time.Time // Incremental: the end of the set it builds on; Full: zero
	End        time.Time // when the set's run began, its time; UTC, whole seconds
	Volume     int       // number from 1; 0 unless Kind is Volume
	Form       Form
	Partial    bool // .part: only ever in a local cache
	Compressed bool // .gz, .z
	Encrypted  bool // .gpg, .g
	// Companion is what follows the name of the file that this one belongs to,
	// such as ".par2" or ".vol000+200.par2"; "" for the file itself. The kind
	// is that of the file it belongs to, but a companion is never part of a
	// set.
	Companion string
	// Stats marks a .jsonstat file: Kind is Other, the set is known.
	Stats bool
	// Index marks Isotherm's own index of a set, isotherm-index.*, which duplicity
	// passes over: Kind is Other, the set is known, and the form is long.
	Index bool
}

// IndexHead begins the names of indexes, after Prefixes.All.
const IndexHead = "isotherm-index."

// Prefixes are duplicity's --file-prefix options. They are literal text.
type Prefixes struct {
	// All stands before each of the others (--file-prefix).
	All string `yaml:"all"`
	// Volume stands before volumes (--file-prefix-archive).
	Volume string `yaml:"volume"`
	// Manifest stands before manifests (--file-prefix-manifest).
	Manifest string `yaml:"manifest"`
	// Signature stands before signatures (--file-prefix-signature).
	Signature string `yaml:"signature"`
	// Stats stands before statistics (--file-prefix-jsonstat).
	Stats string `yaml:"stats"`
}
