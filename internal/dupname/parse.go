package dupname

import "strings"

// Parse reads a name as duplicity without --file-prefix options would. It
// reports false for a name that is none of duplicity's, nor an index.
func Parse(name string) (Name, bool) {
	if n, ok := parseCore(name); ok {
		return n, ok
	}
	return parseIndex(name)
}

// Parse reads a name as duplicity with these prefixes would. It reports false
// for a name that is none of duplicity's, nor an index.
//
// A prefix is literal text. duplicity itself puts it unescaped into a regular
// expression, which makes a difference for names that it did not write only.
func (p Prefixes) Parse(name string) (Name, bool) {
	rest, ok := strings.CutPrefix(name, p.All)
	if !ok {
		return Name{}, false
	}
	for _, c := range [...]struct {
		prefix string
		kind   Kind
	}{
		{p.Volume, Volume},
		{p.Manifest, Manifest},
		{p.Signature, Signature},
		{p.Stats, Other},
	} {
		core, ok := strings.CutPrefix(rest, c.prefix)
		if !ok {
			continue
		}
		if n, ok := parseCore(core); ok && n.Kind == c.kind {
			n.Prefix = name[:len(name)-len(core)]
			return n, true
		}
	}
	n, ok := parseIndex(rest)
	if ok {
		n.Prefix = p.All
	}
	return n, ok
}

// Guess reads a name whose prefix is not known. Any text may stand before a
// long or an old name, and before an index; before a short one nothing may, since a few letters
// found anywhere say too little.
func Guess(name string) (Name, bool) {
	// No name holds the word twice, so only the last one can begin it.
	i := max(0, strings.LastIndex(name, longHead))
	n, ok := parseCore(name[i:])
	if !ok {
		if i = strings.LastIndex(name, IndexHead); i < 0 {
			return Name{}, false
		}
		n, ok = parseIndex(name[i:])
	}
	if ok {
		n.Prefix = name[:i]
	}
	return n, ok
}

// longHead begins the long and the old names.
const longHead = "duplicity-"

// parseCore reads a name without prefix.
func parseCore(s string) (Name, bool) {
	if long, ok := strings.CutPrefix(s, longHead); ok {
		return parseLong(long)
	}
	if strings.HasPrefix(s, "d") {
		return parseShort(s)
	}
	return Name{}, false
}

// parseLong reads what follows longHead in a long or an old name.
func parseLong(s string) (Name, bool) {
	n := Name{Form: Long}
	signature := false
	switch {
	case cut(&s, "full."):
		n.Type = Full
	case cut(&s, "inc."):
		n.Type = Incremental
	case cut(&s, "full-signatures."):
		n.Type, signature = Full, true
	case cut(&s, "new-signatures."):
		n.Type, signature = Incremental, true
	default:
		return Name{}, false
	}

	ok := true
	if n.Type == Incremental {
		if n.Start, ok = cutTime(&s, &n.Form); !ok || !cut(&s, ".to.") {
			return Name{}, false
		}
	}
	if n.End, ok = cutTime(&s, &n.Form); !ok {
		return Name{}, false
	}

	switch {
	case signature:
		n.Kind, ok = Signature, cut(&s, ".sigtar")
	case cut(&s, ".vol"):
		n.Kind = Volume
		n.Volume, ok = cutNumber(&s, 10)
		ok = ok && cut(&s, ".difftar")
	case cut(&s, ".manifest"):
		n.Kind = Manifest
	default:
		n.Stats, ok = true, cut(&s, ".jsonstat")
	}
	if !ok {
		return Name{}, false
	}
	return parseTail(n, s, ".part", ".gz", ".gpg")
}

// parseShort reads a short name. Its times and numbers are in base 36.
func parseShort(s string) (Name, bool) {
	n := Name{Form: Short}
	signature := false
	between := "." // what stands between the times of an increment
	switch {
	case cut(&s, "df."):
		n.Type = Full
	case cut(&s, "di."):
		n.Type = Incremental
	case cut(&s, "dfs."):
		n.Type, signature = Full, true
	case cut(&s, "dns."):
		n.Type, signature = Incremental, true
	case cut(&s, "dfst."):
		n.Type, n.Stats = Full, true
	case cut(&s, "dist."):
		// No version writes these; 3.0.1 reads them, with this word.
		n.Type, n.Stats, between = Incremental, true, ".to."
	default:
		return Name{}, false
	}

	ok := true
	if n.Type == Incremental {
		if n.Start, ok = cutTime36(&s); !ok || !cut(&s, between) {
			return Name{}, false
		}
	}
	if n.End, ok = cutTime36(&s); !ok || !cut(&s, ".") {
		return Name{}, false
	}

	switch {
	case signature:
		n.Kind, ok = Signature, cut(&s, "st")
	case n.Stats:
		ok = cut(&s, "jst")
	case cutVolume36(&s, &n.Volume): // before the manifest: "m" is a number too
		n.Kind = Volume
	default:
		n.Kind, ok = Manifest, cut(&s, "m")
	}
	if !ok {
		return Name{}, false
	}
	return parseTail(n, s, ".p", ".z", ".g")
}

// parseIndex reads the name of an index without prefix.
func parseIndex(s string) (Name, bool) {
	n := Name{Form: Long, Index: true, Type: Full}
	if !cut(&s, IndexHead) {
		return Name{}, false
	}
	first, ok := cutTime(&s, &n.Form)
	if !ok {
		return Name{}, false
	}
	n.End = first
	if cut(&s, ".to.") {
		n.Type, n.Start = Incremental, first
		if n.End, ok = cutTime(&s, &n.Form); !ok {
			return Name{}, false
		}
	}
	if n.Form != Long { // nobody ever wrote one
		return Name{}, false
	}
	return parseTail(n, s, ".part", ".gz", ".gpg")
}

// parseTail reads the end of a name: partial, suffix, companion. duplicity
// itself accepts anything after a dot here, and so takes "….difftar.gpg.par2"
// for a second file of the same volume (spec section 1).
func parseTail(n Name, s, part, compressed, encrypted string) (Name, bool) {
	n.Partial = cutWord(&s, part)
	n.Encrypted = cutWord(&s, encrypted)
	if !n.Encrypted && n.Kind != Manifest { // a manifest is never compressed
		n.Compressed = cutWord(&s, compressed)
	}
	if s != "" && !isPar2(s) {
		return Name{}, false
	}
	n.Companion = s
	return n, true
}

// isPar2 reports whether s is what par2 appends to a file's name: ".par2", or
// ".vol000+200.par2" for a recovery file.
func isPar2(s string) bool {
	if cut(&s, ".vol") {
		if !cutDigits(&s) || !cut(&s, "+") || !cutDigits(&s) {
			return false
		}
	}
	return s == ".par2"
}

// cut removes prefix from the beginning of *s, and reports whether it was there.
func cut(s *string, prefix string) bool {
	if !strings.HasPrefix(*s, prefix) {
		return false
	}
	*s = (*s)[len(prefix):]
	return true
}

// cutWord is cut for a prefix that ends at a dot or at the end: ".p" does not
// begin ".par2".
func cutWord(s *string, prefix string) bool {
	rest := *s
	if !cut(&rest, prefix) || rest != "" && rest[0] != '.' {
		return false
	}
	*s = rest
	return true
}

// cutDigits removes one or more decimal digits.
func cutDigits(s *string) bool {
	i := 0
	for i < len(*s) && isDigit((*s)[i]) {
		i++
	}
	*s = (*s)[i:]
	return i > 0
}

// maxVolume bounds volume numbers, so that they fit an int everywhere.
const maxVolume = 1<<31 - 1

// cutNumber removes a volume number, which is at least 1. Leading zeros are
// accepted, as duplicity does.
func cutNumber(s *string, base int64) (int, bool) {
	v, ok := cutInt(s, base, maxVolume)
	return int(v), ok && v > 0
}

// cutVolume36 removes "N.dt" and stores N.
func cutVolume36(s *string, volume *int) bool {
	rest := *s
	v, ok := cutNumber(&rest, 36)
	if !ok || !cut(&rest, ".dt") {
		return false
	}
	*s, *volume = rest, v
	return true
}

// cutInt removes a number of at most limit in base 10 or 36 (digits 0-9a-z).
func cutInt(s *string, base, limit int64) (int64, bool) {
	var v int64
	i := 0
	for ; i < len(*s); i++ {
		d := digit((*s)[i])
		if d >= base {
			break
		}
		if v = v*base + d; v > limit {
			return 0, false
		}
	}
	*s = (*s)[i:]
	return v, i > 0
}

// digit returns the value of a digit in base 36, or 36 for any other byte.
func digit(b byte) int64 {
	switch {
	case isDigit(b):
		return int64(b - '0')
	case 'a' <= b && b <= 'z':
		return int64(b-'a') + 10
	}
	return 36
}

func isDigit(b byte) bool { return '0' <= b && b <= '9' }
