package dupname

// Parse reads a name as duplicity without --file-prefix options would.
func Parse(name string) (Name, bool) { return Prefixes{}.Parse(name) }

// Parse reads a name as duplicity with these prefixes would. It reports false
// for a name that is none of duplicity's.
func (p Prefixes) Parse(name string) (Name, bool) { return Name{}, false }

// Guess reads a name whose prefix is not known: any text may stand before a
// long or an old name, none before a short one.
func Guess(name string) (Name, bool) { return Name{}, false }

// String writes the name in its form.
func (n Name) String() string { return "" }

// String returns the kind's word: manifest, signature, volume or other.
func (k Kind) String() string { return [...]string{"other", "manifest", "signature", "volume"}[k] }
