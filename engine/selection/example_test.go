package selection_test

import (
	"fmt"

	"github.com/isotherm-backup/isotherm/engine/index"
	"github.com/isotherm-backup/isotherm/engine/selection"
)

// The first rule that includes or excludes a path decides about it, so exceptions
// stand before what they are exceptions from.
func ExampleSelection_Select() {
	s, err := selection.New("/home/anna", 0, []selection.Rule{
		{Kind: selection.IncludePattern, Value: "/home/anna/docs/*/*.tex"},
		{Kind: selection.ExcludePattern, Value: "/home/anna/docs"},
	}, selection.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range []selection.File{
		{Path: "docs", Type: index.Directory},
		{Path: "docs/thesis", Type: index.Directory},
		{Path: "docs/thesis/main.tex", Type: index.Regular},
		{Path: "docs/thesis/main.aux", Type: index.Regular},
		{Path: "music", Type: index.Directory},
	} {
		fmt.Println(f.Path, []string{"excluded", "included", "scanned"}[s.Select(&f)])
	}
	// Output:
	// docs scanned
	// docs/thesis scanned
	// docs/thesis/main.tex included
	// docs/thesis/main.aux excluded
	// music included
}

// What isotherm backup --explain prints.
func ExampleSelection_Explain() {
	s, err := selection.New("/home/anna", 1, []selection.Rule{
		{Kind: selection.ExcludeIfPresent, Value: ".nobackup", Where: "isotherm.yaml:31"},
		{Kind: selection.ExcludeOtherFilesystems, Where: "isotherm.yaml:32"},
		{Kind: selection.IncludePattern, Value: "/home/anna/src/site/node_modules/own", Where: "option 1"},
		{Kind: selection.ExcludePattern, Value: "**/node_modules", Where: "option 2"},
		{Kind: selection.IncludePattern, Value: "/home/anna/src", Where: "option 3"},
		{Kind: selection.ExcludePattern, Value: "/home/anna/s*", Where: "option 4"},
	}, selection.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	explain := func(path string, t index.Type, above ...*selection.File) {
		fmt.Println(s.Explain(&selection.File{Path: path, Type: t, Device: 1}, above...))
	}
	explain("", index.Directory)
	explain("notes.txt", index.Regular)
	explain("src/main.go", index.Regular)
	explain("src/app/node_modules/left-pad/index.js", index.Regular)
	explain("src/site/node_modules", index.Directory)
	explain("src/site/node_modules/own", index.Regular)
	explain("src/site/node_modules/left-pad", index.Directory)
	explain("secret", index.Regular)
	marked := &selection.File{Path: "photos/raw", Type: index.Directory, Device: 1, Has: func(name string) bool { return name == ".nobackup" }}
	explain("photos/raw/2024/1.raw", index.Regular, marked)
	mounted := &selection.File{Path: "mnt", Type: index.Directory, Device: 2}
	explain("mnt/x y", index.Regular, mounted)
	// Output:
	// the source itself is always backed up
	// notes.txt is backed up: no rule matches it
	// src/main.go is backed up by --include /home/anna/src (option 3)
	// src/app/node_modules/left-pad/index.js is left out with its directory src/app/node_modules by --exclude **/node_modules (option 2)
	// src/site/node_modules is backed up only if something below it is, by --include /home/anna/src/site/node_modules/own (option 1)
	// src/site/node_modules/own is backed up by --include /home/anna/src/site/node_modules/own (option 1)
	// src/site/node_modules/left-pad is left out by --exclude **/node_modules (option 2)
	// secret is left out by --exclude /home/anna/s* (option 4)
	// photos/raw/2024/1.raw is left out with its directory photos/raw by --exclude-if-present .nobackup (isotherm.yaml:31)
	// "mnt/x y" is left out with its directory mnt by --exclude-other-filesystems (isotherm.yaml:32)
}

// A file that is only on the way to what a rule includes is left out.
func ExampleDecision() {
	s, err := selection.New("/src", 0, []selection.Rule{
		{Kind: selection.IncludePattern, Value: "/src/a/b"},
		{Kind: selection.ExcludePattern, Value: "/src/c"},
	}, selection.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	d := s.Explain(&selection.File{Path: "a", Type: index.Symlink})
	fmt.Println(d.Verdict == selection.Exclude, d.Rule, d.Scan.Value)
	fmt.Println(d)
	// Output:
	// true <nil> /src/a/b
	// a is left out: it is no directory, and only paths below it could match --include /src/a/b
}
