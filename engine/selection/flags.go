package selection

import (
	"slices"
	"strconv"
)

// A Flag is an option of a command that appends a Rule.
type Flag struct {
	Kind Kind
	Name string // without dashes
	// Arg names the value; "" for an option that takes none, whose rule has Preset.
	Arg, Preset string
	Help        string
	// Path is set where the value is a file's name. Duplicity expands ~ and $NAME in
	// it; package selection does not.
	Path bool
	// Deprecated says what to write instead; duplicity 3 no longer has such options.
	Deprecated string
}

// flags has the name of each kind first, then other names of some.
var flags = [...]Flag{
	{Kind: IncludePattern, Name: "include", Arg: "PATTERN", Help: "back up what matches, and what lies below it"},
	{Kind: ExcludePattern, Name: "exclude", Arg: "PATTERN", Help: "leave out what matches, and what lies below it"},
	{Kind: IncludeRegexp, Name: "include-regexp", Arg: "REGEXP", Help: "back up paths in which the Python regular expression is found"},
	{Kind: ExcludeRegexp, Name: "exclude-regexp", Arg: "REGEXP", Help: "leave out paths in which the Python regular expression is found"},
	{Kind: IncludeFilelist, Name: "include-filelist", Arg: "FILE", Path: true, Help: "include the patterns in the file, one a line; those after \"- \" are excluded"},
	{Kind: ExcludeFilelist, Name: "exclude-filelist", Arg: "FILE", Path: true, Help: "exclude the patterns in the file, one a line; those after \"+ \" are included"},
	{Kind: ExcludeDeviceFiles, Name: "exclude-device-files", Help: "leave out device files; comes before all other rules"},
	{Kind: ExcludeIfPresent, Name: "exclude-if-present", Arg: "NAME", Path: true, Help: "leave out directories that have an entry of that name; comes before all other rules"},
	{Kind: ExcludeOtherFilesystems, Name: "exclude-other-filesystems", Help: "leave out what is on another file system than the source, mount points too"},
	{Kind: ExcludeOlderThan, Name: "exclude-older-than", Arg: "TIME", Help: "leave out files last changed before the time"},
	{Kind: FilesFrom, Name: "files-from", Arg: "FILE", Path: true, Help: "back up only the paths in the file, relative to the source, one a line; rules may leave out some of them"},
	{Kind: FilterGlobbing, Name: "filter-globbing", Help: "patterns that follow are globs (the default)"},
	{Kind: FilterLiteral, Name: "filter-literal", Help: "patterns that follow are plain paths"},
	{Kind: FilterRegexp, Name: "filter-regexp", Help: "patterns that follow are Python regular expressions"},
	{Kind: FilterIgnoreCase, Name: "filter-ignorecase", Help: "patterns that follow match upper and lower case"},
	{Kind: FilterStrictCase, Name: "filter-strictcase", Help: "patterns that follow match the case in which they are written (the default)"},
	{Kind: ExcludeLargerThan, Name: "exclude-larger-than", Arg: "SIZE", Help: "leave out files of more bytes, such as 500MB or 2GiB (not in duplicity)"},

	{Kind: IncludeFilelist, Name: "include-globbing-filelist", Arg: "FILE", Path: true, Help: "as --include-filelist", Deprecated: "use --include-filelist"},
	{Kind: ExcludeFilelist, Name: "exclude-globbing-filelist", Arg: "FILE", Path: true, Help: "as --exclude-filelist", Deprecated: "use --exclude-filelist"},
	{Kind: IncludeFilelist, Name: "include-filelist-stdin", Preset: "/dev/stdin", Help: "as --include-filelist /dev/stdin", Deprecated: "use --include-filelist /dev/stdin"},
	{Kind: ExcludeFilelist, Name: "exclude-filelist-stdin", Preset: "/dev/stdin", Help: "as --exclude-filelist /dev/stdin", Deprecated: "use --exclude-filelist /dev/stdin"},
}

// Flags returns all options that append a rule; --null-separator, which is none, is
// in Options.
func Flags() []Flag { return slices.Clone(flags[:]) }

// Bind returns the value of the flag on a command line: setting it appends a rule,
// whose Where counts the rules. All flags are bound to the same rules, so that
// these keep the order in which the user gave them. A Value is one of the standard
// library's package flag, and of spf13/pflag.
func (f Flag) Bind(rules *[]Rule) *Value { return &Value{flag: f, rules: rules} }

// A Value is a Flag bound to a list of rules.
type Value struct {
	flag  Flag
	rules *[]Rule
}

// Set appends the rule.
func (v *Value) Set(text string) error {
	if v.flag.Arg == "" {
		text = v.flag.Preset
	}
	where := "option " + strconv.Itoa(len(*v.rules)+1)
	*v.rules = append(*v.rules, Rule{Kind: v.flag.Kind, Value: text, Where: where})
	return nil
}

// String is "", for a flag that can be given many times has no value.
func (v *Value) String() string { return "" }

// Type names what is given, for usage texts.
func (v *Value) Type() string { return v.flag.Arg }

// IsBoolFlag reports whether no value is given.
func (v *Value) IsBoolFlag() bool { return v.flag.Arg == "" }
