package policy

import (
	_ "embed"
	"slices"
)

// The schema is made of the structs of this package; a test fails when it is
// not the one that they give.
//
//go:generate go test -run "^(TestSchemaIsCurrent|TestDocsAreCurrent|TestMistakes)$" . -update
//go:embed schema.json
var schema []byte

// Schema returns the JSON Schema (2020-12) of a policy, for editors. It knows
// the keys and the form of values; what they mean together only Load tells.
func Schema() []byte { return slices.Clone(schema) }
