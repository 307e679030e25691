package policy

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/invopop/jsonschema"
	validator "github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"

	"github.com/isotherm-backup/isotherm/internal/dupname"
)

var update = flag.Bool("update", false, "write the golden and generated files anew")

func TestSchemaIsCurrent(t *testing.T) {
	t.Parallel()
	b, err := json.MarshalIndent(buildSchema(t), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	checkGenerated(t, "schema.json", append(b, '\n'))
}

// checkGenerated compares a committed file with what it is generated as.
func checkGenerated(t *testing.T, path string, want []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what the code gives: run go generate ./policy", path)
	}
}

// References may stand in any value, so a schema of values allows them.
const (
	reference     = `\$\{(env|file):[^}]+\}`
	durationForm  = `^([0-9]+ *(y|w|d|h|ms|m|s) *)+$|` + reference
	sizeForm      = `^[0-9.,]+ *([kKmMgGtTpP][iI]?)?[bB]?$|` + reference
	bandwidthForm = `^[0-9.,]+ *([kKmMgGtT][iI]?)?([bB]|bit)/s$|` + reference
	moneyForm     = `^[0-9]+(\.[0-9]+)? +[A-Z]{3}$|` + reference
)

func textSchema(pattern string) *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: pattern}
}

func sizeSchema() *jsonschema.Schema {
	return &jsonschema.Schema{OneOf: []*jsonschema.Schema{{Type: "integer", Minimum: "1"}, textSchema(sizeForm)}}
}

// mapType gives the schema of the types that are not written as Go holds them.
func mapType(t reflect.Type) *jsonschema.Schema {
	switch t {
	case reflect.TypeFor[time.Duration]():
		return textSchema(durationForm)
	case reflect.TypeFor[Money]():
		return textSchema(moneyForm)
	case reflect.TypeFor[Secret]():
		return textSchema(reference)
	case reflect.TypeFor[dupname.Kind]():
		return &jsonschema.Schema{Type: "string", Enum: []any{"manifest", "signature", "volume", "other"}}
	}
	if t.Kind() == reflect.Slice && isNamed(t.Elem()) {
		name := t.Elem().Name()
		return &jsonschema.Schema{
			Type:                 "object",
			PropertyNames:        textSchema(entryName.String()),
			AdditionalProperties: &jsonschema.Schema{Ref: "#/$defs/" + name},
		}
	}
	return nil
}

// buildSchema reflects the policy's structs, and adds what only this package's
// own tags say.
func buildSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	r := &jsonschema.Reflector{FieldNameTag: "yaml", RequiredFromJSONSchemaTags: true, Mapper: mapType, Anonymous: true}
	for _, path := range []string{"./", "../internal/dupname"} {
		if err := r.AddGoComments("github.com/isotherm-backup/isotherm/policy", path); err != nil {
			t.Fatal(err)
		}
	}
	root := r.ReflectFromType(reflect.TypeFor[Policy]())
	for _, named := range []reflect.Type{reflect.TypeFor[Store](), reflect.TypeFor[Tier]()} {
		maps.Copy(root.Definitions, r.ReflectFromType(named).Definitions)
	}
	types := make(map[string]reflect.Type)
	for _, typ := range []reflect.Type{
		reflect.TypeFor[Policy](), reflect.TypeFor[Store](), reflect.TypeFor[Tier](), reflect.TypeFor[Route](), reflect.TypeFor[Thaw](),
		reflect.TypeFor[Encryption](), reflect.TypeFor[Retention](), reflect.TypeFor[Backup](), reflect.TypeFor[Selector](), reflect.TypeFor[dupname.Prefixes](),
	} {
		types[typ.Name()] = typ
	}
	for name, def := range root.Definitions {
		typ, ok := types[name]
		if !ok {
			t.Fatalf("add the type %s to this list", name)
		}
		addTags(def, typ)
	}
	addOptions(root.Definitions["Store"])
	root.ID = "https://isotherm-backup.github.io/isotherm/policy.schema.json"
	root.Title = "Isotherm policy"
	return root
}

// addTags adds to a struct's schema what the tags unit and one say.
func addTags(def *jsonschema.Schema, typ reflect.Type) {
	for i := range typ.NumField() {
		f := fieldOf(typ.Field(i))
		if f.key == "" {
			continue
		}
		p, _ := def.Properties.Get(f.key)
		p.Description = aboutKey(p.Description, typ.Field(i).Name, f.key)
		switch f.unit {
		case "size":
			p.Type, p.OneOf = "", sizeSchema().OneOf
		case "bandwidth":
			p.Type, p.Pattern = "string", bandwidthForm
		}
		if f.one != "" {
			def.Properties.Set(f.one, &jsonschema.Schema{Type: "string", Description: "One of the " + f.key + ", when it is the only one."})
			def.OneOf = []*jsonschema.Schema{{Required: []string{f.key}}, {Required: []string{f.one}}}
		}
	}
	def.Description = strings.ReplaceAll(def.Description, "\n", " ")
}

// aboutKey makes a key's description of its field's comment, which begins with
// the field's name.
func aboutKey(comment, name, key string) string {
	comment = strings.ReplaceAll(comment, "\n", " ")
	for _, verb := range []string{" is ", " are "} {
		if rest, ok := strings.CutPrefix(comment, name+verb); ok {
			return strings.ToUpper(rest[:1]) + rest[1:]
		}
	}
	if rest, ok := strings.CutPrefix(comment, name+" "); ok && name != strings.ToUpper(key[:1])+key[1:] {
		return key + " " + rest
	}
	return comment
}

// addOptions adds the settings of all schemes to the schema of a store.
func addOptions(store *jsonschema.Schema) {
	for _, s := range schemes() {
		for _, o := range s.options {
			props, key := store.Properties, o.key
			if group, inner, ok := strings.Cut(o.key, "."); ok {
				g, ok := props.Get(group)
				if !ok {
					g = &jsonschema.Schema{Type: "object", Description: "Settings of retries.", Properties: jsonschema.NewProperties(), AdditionalProperties: jsonschema.FalseSchema}
					props.Set(group, g)
				}
				props, key = g.Properties, inner
			}
			takers := "Only for " + oneAndAll(takersOf(o.key)) + "."
			props.Set(key, &jsonschema.Schema{Description: o.about + " " + takers})
		}
	}
}

// takersOf names the schemes that have an option.
func takersOf(key string) []string {
	var names []string
	for _, s := range schemes() {
		if slices.ContainsFunc(s.options, func(o option) bool { return o.key == key }) {
			names = append(names, s.name)
		}
	}
	return names
}

// TestSchemaTakesGoodPolicies: what loads is right by the schema as well, and
// what has a wrong key or form is not.
func TestSchemaTakesGoodPolicies(t *testing.T) {
	t.Parallel()
	compiled := compileSchema(t)
	generated, err := FromMultibackend([]byte(ovh), url.Values{"mode": {"mirror"}}, "photos")
	if err != nil {
		t.Fatal(err)
	}
	effective, err := load(t, everyKey).Effective()
	if err != nil {
		t.Fatal(err)
	}
	good := map[string][]byte{
		"design": []byte(design), "every key": []byte(everyKey), "template": Template(TemplateOptions{Archive: "photos"}),
		"multibackend": generated, "effective": effective, "docs": []byte(docsExample(t)),
	}
	for name, src := range good {
		load(t, string(src))
		if err := compiled.Validate(yamlValue(t, src)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	directories := func(name string) (string, bool) { return "/srv/" + name, true }
	examples, err := filepath.Glob(filepath.Join("..", "examples", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range examples {
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(src, path, directories); err != nil {
			t.Error(err)
		}
		if err := compiled.Validate(yamlValue(t, src)); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	for _, change := range [][2]string{
		{"archive: photos", "archive: photos\ncolour: blue"},
		{"version: 1", "version: 2"},
		{"mode: mirror", "mode: raid"},
		{"keep: 7d", "keep: 7 days"},
		{"max_cost: 25 USD", "max_cost: 25"},
		{"tier: cold", "tier: cold, tiers: [hot]"},
		{"kinds: [volume]", "kinds: [volumes]"},
		{"keep_full: 4", "keep_full: 0"},
		{"region: eu-west-1", "regoin: eu-west-1"},
	} {
		src := strings.Replace(design, change[0], change[1], 1)
		if err := compiled.Validate(yamlValue(t, []byte(src))); err == nil {
			t.Errorf("the schema takes %q", change[1])
		}
		if _, err := Parse([]byte(src), "", nil); err == nil {
			t.Errorf("Parse takes %q", change[1])
		}
	}
}

func compileSchema(t *testing.T) *validator.Schema {
	t.Helper()
	doc, err := validator.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := validator.NewCompiler()
	if err := c.AddResource("policy.json", doc); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("policy.json")
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

// yamlValue reads YAML as the values that JSON has.
func yamlValue(t *testing.T, src []byte) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal(src, &v); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	value, err := validator.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// docsExample is the first policy that docs/policy.md shows.
func docsExample(t *testing.T) string {
	t.Helper()
	src, err := os.ReadFile(filepath.Join("..", "docs", "policy.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(src), "```yaml\n")
	example, _, _ := strings.Cut(rest, "```")
	return example
}
