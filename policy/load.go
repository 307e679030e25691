package policy

import (
	"errors"
	"net/url"
	"time"

	"github.com/isotherm-backup/isotherm/internal/dupname"
)

// A Finding is one thing wrong in a policy.
type Finding struct {
	File    string
	Line    int // from 1; 0 when the whole file is meant
	Column  int // from 1, in characters
	Warning bool
	Text    string
	Fix     string
}

// Error holds everything that is wrong with a policy.
type Error struct{ Findings []Finding }

func (e *Error) Error() string { return "policy" }

// Load reads the policy at path. What is wrong with it is an *Error.
func Load(path string, env func(string) (string, bool)) (*Policy, error) {
	return nil, errors.New("policy: not built yet")
}

// Parse reads a policy from src; path is only named in findings and is what
// relative paths start from.
func Parse(src []byte, path string, env func(string) (string, bool)) (*Policy, error) {
	return nil, errors.New("policy: not built yet")
}

// Decision says where a file goes, and why.
type Decision struct {
	Route *Route // never nil
	Index int    // of Route in Policy.Routes
	Tiers []string
	Kind  dupname.Kind
	Why   string
}

// Route decides which tiers take the file name of size bytes at the time at.
func (p *Policy) Route(name string, size int64, at time.Time) Decision { return Decision{} }

// Tier returns the tier of that name.
func (p *Policy) Tier(name string) (*Tier, bool) { return nil, false }

// Store returns the store of that name.
func (p *Policy) Store(name string) (*Store, bool) { return nil, false }

// Cold reports whether files freeze in the store as soon as they are put.
func Cold(s Store) bool { return false }

// Effective returns the policy as YAML with all defaults written out and
// secrets redacted.
func (p *Policy) Effective() ([]byte, error) { return nil, nil }

// FromMultibackend turns duplicity's multibackend configuration into a policy
// with the same routing; query is that of the multi: URL.
func FromMultibackend(config []byte, query url.Values, archive string) ([]byte, error) {
	return nil, errors.New("policy: not built yet")
}

// TemplateOptions fills in Template.
type TemplateOptions struct {
	Archive string // "" for "my-backup"
}

// Template returns the commented policy that a new user starts from.
func Template(o TemplateOptions) []byte { return nil }

// Schema returns the JSON Schema of a policy.
func Schema() []byte { return nil }
