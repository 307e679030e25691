package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Read reads a whole manifest. In one that a resumed backup wrote, volumes come
// twice: the later entry counts, and entries whose number is greater than that
// of the last one in the file do not.
//
// A list of files that is not as long as it says is an error: the manifest is
// damaged. Scan, which does not need the list, reads such a manifest.
func Read(r io.Reader) (*Manifest, error) { return read(r, false) }

// ReadVolumes is Read without the list of files, which may be far longer than
// the rest: it is checked, but not kept.
func ReadVolumes(r io.Reader) (*Manifest, error) {
	m, err := read(r, true)
	if err == nil {
		m.Files = nil
	}
	return m, err
}

func read(r io.Reader, dropFiles bool) (*Manifest, error) {
	m := &Manifest{}
	p := parser{lines: newLines(r), file: m, dropFiles: dropFiles}
	byNumber := make(map[int]int)
	last := 0
	for v, err := range p.volumes() {
		if err != nil {
			return nil, err
		}
		last = v.Number
		if i, again := byNumber[last]; again {
			m.Volumes[i] = v
			continue
		}
		byNumber[last] = len(m.Volumes)
		m.Volumes = append(m.Volumes, v)
	}
	m.Volumes = slices.DeleteFunc(m.Volumes, func(v Volume) bool { return v.Number > last })
	slices.SortFunc(m.Volumes, func(a, b Volume) int { return a.Number - b.Number })
	return m, nil
}

// Scan yields the volumes of a manifest as they stand in the file, with memory
// for only one of them. After a resumed backup that is not the order of their
// numbers: an entry replaces an earlier one of the same number, and the number
// of the last entry is that of the last volume; see Read. The first error ends
// it.
func Scan(r io.Reader) iter.Seq2[Volume, error] {
	return (&parser{lines: newLines(r)}).volumes()
}

// parser reads a manifest. What is not about volumes it puts into file, unless
// that is nil.
type parser struct {
	*lines
	file      *Manifest
	dropFiles bool
	filesLeft int // lines of the list of files still to come
	prev      Volume
}

// volumes yields each volume when its block is over.
func (p *parser) volumes() iter.Seq2[Volume, error] {
	return func(yield func(Volume, error) bool) {
		b := block{}
		for {
			line, err := p.next()
			if err == io.EOF {
				break
			}
			if err != nil {
				yield(Volume{}, p.readError(err))
				return
			}
			value, begins := keyword(line, "volume")
			if begins && b.open {
				v, err := p.finish(&b)
				if !yield(v, err) || err != nil {
					return
				}
			}
			if begins {
				err = p.begin(&b, value)
			} else {
				err = p.line(&b, line)
			}
			if err != nil {
				yield(Volume{}, err)
				return
			}
		}
		if b.open {
			v, err := p.finish(&b)
			if !yield(v, err) || err != nil {
				return
			}
		}
		if p.filesLeft > 0 {
			yield(Volume{}, p.wrap(fmt.Errorf("list of files ends %d entries too early: %w", p.filesLeft, io.ErrUnexpectedEOF)))
		}
	}
}

// readError leaves errors alone that name their line.
func (p *parser) readError(err error) error {
	if errors.Is(err, ErrFormat) {
		return err
	}
	return p.wrap(err)
}

// block is the volume being read.
type block struct {
	open             bool
	volume           Volume
	hasStart, hasEnd bool
}

func (p *parser) begin(b *block, value []byte) error {
	if p.filesLeft > 0 {
		return p.errorf("a volume where %d files are to be listed", p.filesLeft)
	}
	digits, _, ok := bytes.Cut(value, []byte(":"))
	if !ok {
		return p.errorf("no colon after the number of a volume")
	}
	n, err := parseNumber(digits)
	if err != nil || n == 0 {
		return p.errorf("bad number of a volume: %.100q", digits)
	}
	*b = block{open: true, volume: Volume{Number: n}}
	return nil
}

func (p *parser) finish(b *block) (Volume, error) {
	if !b.hasStart || !b.hasEnd {
		return Volume{}, p.errorf("volume %d ends without StartingPath or EndingPath", b.volume.Number)
	}
	b.open = false
	p.prev = b.volume
	return b.volume, nil
}

// line takes any line but the first of a volume.
func (p *parser) line(b *block, line []byte) error {
	if p.filesLeft > 0 {
		return p.fileLine(line)
	}
	if b.open {
		name, rest := cutField(line)
		switch {
		case equalFold(name, "startingpath"):
			b.hasStart = true
			return p.bound(&b.volume.Start, rest)
		case equalFold(name, "endingpath"):
			b.hasEnd = true
			return p.bound(&b.volume.End, rest)
		case equalFold(name, "hash"):
			return p.hash(&b.volume, rest)
		}
	}
	if p.file == nil {
		return nil
	}
	return p.fileField(line)
}

func (p *parser) bound(to *Bound, rest []byte) error {
	quoted, rest := cutField(rest)
	path, err := p.path(quoted)
	if err != nil {
		return err
	}
	block := 0
	if digits, _ := cutField(rest); len(digits) > 0 {
		if block, err = parseNumber(digits); err != nil {
			return p.errorf("bad number of a part: %.100q", digits)
		}
	}
	*to = Bound{Path: path, Block: block}
	return nil
}

// path saves the string of a path that the volume before has too: most often a
// volume begins inside the file with which the last one ended.
func (p *parser) path(quoted []byte) (string, error) {
	if end := p.prev.End.Path; end != "" && string(quoted) == end && quoted[0] != '"' {
		return end, nil
	}
	return p.unquote(quoted)
}

// unquote returns a path. The root stands as ".", never as nothing.
func (p *parser) unquote(quoted []byte) (string, error) {
	path, err := Unquote(string(quoted))
	if err != nil {
		return "", p.wrap(err)
	}
	switch path {
	case "":
		return "", p.errorf("no path")
	case ".":
		return "", nil
	}
	return path, nil
}

// hash takes a line with a checksum. One of SHA1 or MD5 that is not as long as it
// has to be was cut off.
func (p *parser) hash(v *Volume, rest []byte) error {
	name, rest := cutField(rest)
	sum, _ := cutField(rest)
	h := Hash{Sum: strings.ToLower(string(sum))}
	want := 0
	switch string(name) {
	case "SHA1":
		h.Algorithm, want = "SHA1", 40
	case "MD5":
		h.Algorithm, want = "MD5", 32
	default:
		h.Algorithm, want = string(name), len(sum)
	}
	if len(sum) != want || want == 0 || strings.Trim(h.Sum, "0123456789abcdef") != "" {
		return p.errorf("%.20q is not a checksum of algorithm %.20q", sum, name)
	}
	same := func(other Hash) bool { return other.Algorithm == h.Algorithm }
	if i := slices.IndexFunc(v.Hashes, same); i >= 0 {
		v.Hashes[i] = h
	} else {
		v.Hashes = append(v.Hashes, h)
	}
	return nil
}

// fileField takes a line about the manifest as a whole. Of several the first
// counts, as for duplicity.
func (p *parser) fileField(line []byte) error {
	m := p.file
	if value, ok := keyword(line, "hostname"); ok && m.Hostname == "" {
		return p.text(&m.Hostname, value)
	}
	if value, ok := keyword(line, "localdir"); ok && m.Localdir == "" {
		return p.text(&m.Localdir, value)
	}
	if value, ok := keyword(line, "filelist"); ok && m.Files == nil {
		n, err := parseNumber(value)
		if err != nil {
			return p.errorf("bad number of files: %.100q", value)
		}
		m.Files = []File{}
		p.filesLeft = n
	}
	return nil
}

func (p *parser) text(to *string, value []byte) error {
	s, err := Unquote(string(value))
	if err != nil {
		return p.wrap(err)
	}
	*to = s
	return nil
}

func (p *parser) fileLine(line []byte) error {
	name, rest := cutField(line)
	quoted, _ := cutField(rest)
	var change Change
	switch string(name) {
	case "new":
		change = New
	case "changed":
		change = Changed
	case "deleted":
		change = Deleted
	default:
		return p.errorf("%.20q where %d files are to be listed", name, p.filesLeft)
	}
	path, err := p.unquote(quoted)
	if err != nil {
		return err
	}
	p.filesLeft--
	if p.dropFiles {
		return nil
	}
	p.file.Files = append(p.file.Files, File{Path: path, Change: change})
	return nil
}

// parseNumber reads a decimal number of at most 31 bits, which is what numbers
// of volumes and parts are bounded to everywhere.
func parseNumber(digits []byte) (int, error) {
	if len(digits) > 10 {
		return 0, ErrFormat
	}
	n, err := strconv.ParseUint(string(digits), 10, 31)
	if err != nil || n > math.MaxInt32 {
		return 0, ErrFormat
	}
	return int(n), nil
}
