package selection

import (
	"fmt"
	"strings"
)

// Kind says what a rule does. Kinds are named as duplicity's options are.
type Kind uint8

// The kinds. Those from FilesFrom on are duplicity 3's, except ExcludeLargerThan,
// which is ours.
const (
	IncludePattern Kind = iota + 1
	ExcludePattern
	IncludeRegexp
	ExcludeRegexp
	IncludeFilelist
	ExcludeFilelist
	ExcludeDeviceFiles
	ExcludeIfPresent
	ExcludeOtherFilesystems
	ExcludeOlderThan
	FilesFrom
	FilterGlobbing
	FilterLiteral
	FilterRegexp
	FilterIgnoreCase
	FilterStrictCase
	ExcludeLargerThan
)

// String is the option's name, without dashes.
func (k Kind) String() string {
	for _, f := range flags {
		if f.Kind == k {
			return f.Name
		}
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// ParseKind returns the kind of an option's name, written with - or with _ between
// its words.
func ParseKind(name string) (Kind, error) {
	dashed := strings.ReplaceAll(name, "_", "-")
	for _, f := range flags {
		if f.Name == dashed {
			return f.Kind, nil
		}
	}
	return 0, fmt.Errorf("no selection rule is named %q", name)
}

// A Rule is one option of duplicity, or one line of a filelist. The order of rules
// matters: the first that includes or excludes a path decides about it.
type Rule struct {
	Kind Kind
	// Value is the pattern, expression, name of a file, time or size; "" for kinds
	// that take none.
	Value string
	// Where the rule stands, for messages: "option 3", or file and line.
	Where string
}

// String is the rule as it stands on a command line, and where it is from.
func (r Rule) String() string {
	text := "--" + r.Kind.String()
	if r.Value != "" {
		text += " " + quoted(r.Value)
	}
	if r.Where != "" {
		text += " (" + r.Where + ")"
	}
	return text
}

// quoted returns text, in quotes unless it can be read without.
func quoted(text string) string {
	quotes := fmt.Sprintf("%q", text)
	if quotes == `"`+text+`"` && text != "" && !strings.ContainsAny(text, " '") {
		return text
	}
	return quotes
}
