package policy

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/invopop/jsonschema"
)

// The keys' reference stands between these lines of docs/policy.md.
const (
	docsBegin = "<!-- keys: written by go generate ./policy -->\n"
	docsEnd   = "<!-- end of keys -->\n"
)

func TestDocsAreCurrent(t *testing.T) {
	t.Parallel()
	path := filepath.Join("..", "docs", "policy.md")
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := bytes.Cut(src, []byte(docsBegin))
	_, after, ok2 := bytes.Cut(rest, []byte(docsEnd))
	if !ok1 || !ok2 {
		t.Fatalf("%s has no place for the keys", path)
	}
	want := slices.Concat(before, []byte(docsBegin), []byte(keysReference(buildSchema(t))), []byte(docsEnd), after)
	checkGenerated(t, path, want)
}

// keysReference writes a table of keys for each group of the policy, in the
// order of the file.
func keysReference(root *jsonschema.Schema) string {
	var b strings.Builder
	groups := []struct{ title, def, intro string }{
		{"The policy", "Policy", ""},
		{"`prefixes`", "Prefixes", "Literal text that begins the names of duplicity's files."},
		{"`stores`: each store", "Store", "A store of one scheme takes the settings of that scheme only."},
		{"`tiers`: each tier", "Tier", ""},
		{"`routes`: each route", "Route", "A file must meet all conditions of a route."},
		{"`thaw`", "Thaw", ""},
		{"`encryption`", "Encryption", ""},
		{"`backup`", "Backup", ""},
		{"`backup.select`: each rule", "Selector", "The first rule that fits a path decides about it and what lies below."},
		{"`retention`", "Retention", ""},
	}
	if len(groups) != len(root.Definitions) {
		panic(fmt.Sprintf("docs: groups of keys are %v", slices.Sorted(maps.Keys(root.Definitions))))
	}
	for _, g := range groups {
		def := root.Definitions[g.def]
		fmt.Fprintf(&b, "### %s\n\n", g.title)
		if g.intro != "" {
			fmt.Fprintf(&b, "%s\n\n", g.intro)
		}
		b.WriteString("| key | what it is |\n| --- | --- |\n")
		writeRows(&b, "", def)
		b.WriteString("\n")
	}
	return b.String()
}

func writeRows(b *strings.Builder, group string, def *jsonschema.Schema) {
	for pair := def.Properties.Oldest(); pair != nil; pair = pair.Next() {
		if inner := pair.Value.Properties; inner != nil && inner.Len() > 0 {
			writeRows(b, pair.Key+".", pair.Value)
			continue
		}
		text := pair.Value.Description
		if slices.Contains(def.Required, pair.Key) {
			text += " Required."
		}
		fmt.Fprintf(b, "| `%s%s` | %s |\n", group, pair.Key, strings.ReplaceAll(text, "|", "\\|"))
	}
}
