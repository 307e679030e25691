package selection

import (
	"fmt"

	"github.com/isotherm-backup/isotherm/engine/index"
)

// A Decision is a verdict and its reason.
type Decision struct {
	Verdict Verdict
	// Path is what was decided about: the path itself, or the highest directory above
	// it that is left out.
	Path string
	// Rule included or excluded Path; nil if none did.
	Rule *Rule
	// Scan is the first rule that may include something below Path; it keeps a
	// directory that Rule would leave out.
	Scan *Rule
	// asked is the path that was asked about.
	asked string
}

// Explain decides about a path as a walk from the root would, and says why. Of the
// directories above it only names are known unless they are given too: then rules
// that look at more (file systems, entries) are asked about them as well. It calls
// f.Has only if a rule asks for it.
func (s *Selection) Explain(f *File, above ...*File) Decision {
	if s == nil || f.Path == "" {
		return Decision{Verdict: Include, Path: f.Path, asked: f.Path}
	}
	for i, c := range f.Path {
		if c != '/' {
			continue
		}
		if d := s.explain(s.directory(f.Path[:i], above)); d.Verdict == Exclude {
			d.asked = f.Path
			return d
		}
	}
	return s.explain(f)
}

// directory returns the file of that path, or an ordinary directory.
func (s *Selection) directory(path string, known []*File) *File {
	for _, f := range known {
		if f.Path == path {
			return f
		}
	}
	return &File{Path: path, Type: index.Directory, Device: s.device}
}

func (s *Selection) explain(f *File) Decision {
	v, decider, scanner := s.decide(f)
	return Decision{Verdict: v, Path: f.Path, Rule: s.ruleAt(decider), Scan: s.ruleAt(scanner), asked: f.Path}
}

func (s *Selection) ruleAt(i int) *Rule {
	switch i {
	case none:
		return nil
	case fromList:
		rule := s.list
		return &rule
	}
	rule := s.rules[i]
	return &rule
}

// String is a sentence for the user.
func (d Decision) String() string {
	path := quoted(d.asked)
	switch {
	case d.asked == "":
		return "the source itself is always backed up"
	case d.Path != d.asked && d.Rule == nil:
		return fmt.Sprintf("%s is left out: %s above it is no directory, but only paths below it could match %s", path, quoted(d.Path), d.Scan)
	case d.Path != d.asked:
		return fmt.Sprintf("%s is left out with its directory %s by %s", path, quoted(d.Path), d.Rule)
	case d.Verdict == Scan:
		return fmt.Sprintf("%s is backed up only if something below it is, by %s", path, d.Scan)
	case d.Rule == nil && d.Verdict == Exclude:
		return fmt.Sprintf("%s is left out: it is no directory, and only paths below it could match %s", path, d.Scan)
	case d.Rule == nil:
		return path + " is backed up: no rule matches it"
	case d.Verdict == Include:
		return fmt.Sprintf("%s is backed up by %s", path, d.Rule)
	}
	return fmt.Sprintf("%s is left out by %s", path, d.Rule)
}
