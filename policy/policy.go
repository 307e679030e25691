// Package policy reads isotherm.yaml and decides which tier a file belongs to.
//
// The structs of this package are the reference of that file: the decoder, the
// JSON Schema, the effective policy and the documentation all follow their
// tags and comments. To add a key, add a field:
//
//   - yaml names the key;
//   - unit says how an int64 is written: size ("1MiB") or bandwidth ("8 Mbit/s");
//   - one names a second key that takes a single value for a list;
//   - jsonschema holds what the schema and the decoder both enforce: required,
//     enum, minimum.
//
// What a value means beyond its own key is checked in package policy's check
// files. Everything found wrong is reported at once, with its place and the fix.
package policy

import (
	"strings"
	"time"

	"github.com/isotherm-backup/isotherm/internal/dupname"
)

// Policy is one isotherm.yaml, complete: defaults are filled in, and every
// name it mentions exists. It is not changed after it was loaded, and may be
// used by several goroutines at once.
type Policy struct {
	// Version of this format: 1.
	Version int `yaml:"version" jsonschema:"required,enum=1"`
	// Archive is the name of the archive: one duplicity collection. It also
	// names the local state.
	Archive string `yaml:"archive" jsonschema:"required"`
	// Prefixes are those that duplicity was given by --file-prefix and its
	// like. Without them any prefix is taken.
	Prefixes dupname.Prefixes `yaml:"prefixes"`
	// Stores are the places that hold files, by name.
	Stores []Store `yaml:"stores" jsonschema:"required"`
	// Tiers join stores, by name.
	Tiers []Tier `yaml:"tiers" jsonschema:"required"`
	// Routes send files to tiers. The first whose conditions a file meets takes
	// it. What is none of duplicity's files, and met by no route, goes where
	// the manifests go.
	Routes []Route `yaml:"routes" jsonschema:"required"`
	// Thaw holds the defaults of thaws, and the limits that they never pass.
	Thaw Thaw `yaml:"thaw"`
	// Prices names the price book: a built-in one such as aws/eu-west-1, or
	// the path of a file of one's own, relative to the policy.
	Prices Prices `yaml:"prices"`
	// Encryption says how files are encrypted and signed, and what decrypts
	// them.
	Encryption Encryption `yaml:"encryption"`
	// Backup says what `isotherm backup` backs up, and how.
	Backup Backup `yaml:"backup"`
	// Retention says what is to be kept; `isotherm prune` deletes the rest.
	Retention Retention `yaml:"retention"`

	// Path is the file that the policy was read from; "" for one made in
	// memory.
	Path string `yaml:"-"`
	// Warnings are findings that do not keep the policy from being used.
	Warnings []Finding `yaml:"-"`

	// written holds secrets as the file has them, by their path: references,
	// never values.
	written map[string]string
}

// Store is one place that holds files.
type Store struct {
	// Name is the key of the store in the policy.
	Name string `yaml:"-"`
	// URL is the place: file:///dir, s3://bucket/prefix,
	// swift://container/prefix, pca://container/prefix or coldsim:///dir.
	URL string `yaml:"url" jsonschema:"required"`
	// Class is the storage class by its provider's own name, such as
	// DEEP_ARCHIVE. Default: STANDARD for s3, PCA for pca.
	Class string `yaml:"class"`
	// Region of the bucket or container.
	Region string `yaml:"region"`
	// Cloud is the entry of clouds.yaml that has the credentials (swift, pca).
	Cloud string `yaml:"cloud"`
	// Weight is the store's share of a stripe, relative to the others.
	// Default: 1.
	Weight int `yaml:"weight" jsonschema:"minimum=1"`
	// Prices names the price book of this store, when it is not the policy's.
	Prices Prices `yaml:"prices"`
	// Options are the settings of the store's scheme by their key; those of a
	// group have both names, as in "retry.max".
	Options map[string]string `yaml:",inline"`
}

// Mode says how a tier uses its stores.
type Mode string

// The modes of a tier.
const (
	Mirror Mode = "mirror" // each file in every store
	Stripe Mode = "stripe" // each file in one store
)

// OnFailure says what a mirror does when one of its stores fails a write.
type OnFailure string

// What on_failure may be.
const (
	Abort    OnFailure = "abort"    // the write fails
	Continue OnFailure = "continue" // the write succeeds, degraded, and is recorded for repair
)

// Tier is one or more stores and a mode.
type Tier struct {
	// Name is the key of the tier in the policy.
	Name string `yaml:"-"`
	// Mode is mirror (each file in every store) or stripe (each file in one,
	// by weight). Default: mirror.
	Mode Mode `yaml:"mode" jsonschema:"enum=mirror,enum=stripe"`
	// Stores are those of the tier, by name.
	Stores []string `yaml:"stores" jsonschema:"required"`
	// OnFailure says what a mirror does when one of its stores fails a write:
	// abort (the write fails) or continue (it succeeds, and repair fills the
	// gap later). Default: abort.
	OnFailure OnFailure `yaml:"on_failure" jsonschema:"enum=abort,enum=continue"`
}

// Route sends the files that meet all its conditions to its tiers. A condition
// that is not given is met by every file.
type Route struct {
	// Kinds of file: manifest, signature, volume, other. Without them a route
	// takes volumes, and everything else unless that would freeze it.
	Kinds []dupname.Kind `yaml:"kinds"`
	// Prefix is what the file's name begins with.
	Prefix string `yaml:"prefix"`
	// Glob is a pattern for the file's whole name, with * ? [a-z] {a,b}.
	Glob string `yaml:"glob"`
	// SmallerThan is met by files of less than this size.
	SmallerThan int64 `yaml:"smaller_than" unit:"size"`
	// LargerThan is met by files of this size or more.
	LargerThan int64 `yaml:"larger_than" unit:"size"`
	// YoungerThan is met by files of sets that are younger than this.
	YoungerThan time.Duration `yaml:"younger_than"`
	// OlderThan is met by files of sets of this age or more.
	OlderThan time.Duration `yaml:"older_than"`
	// Tiers take the file: a copy goes to each.
	Tiers []string `yaml:"tiers" one:"tier"`

	// Implied marks the route that the defaults add.
	Implied bool `yaml:"-"`
	// Line of the route in the policy's file; 0 when implied.
	Line int `yaml:"-"`

	words string // the conditions in words, kept since a million files ask
}

// Thaw holds the defaults of thaws and the limits they never pass.
type Thaw struct {
	// Speed is expedited, standard or bulk. Default: the cheapest that meets
	// the deadline.
	Speed string `yaml:"speed" jsonschema:"enum=expedited,enum=standard,enum=bulk"`
	// Keep is how long a thawed file stays readable, in whole days. Default:
	// what the plan needs.
	Keep time.Duration `yaml:"keep"`
	// MaxCost is what a thaw may cost at most, as in "25 USD". Default: no
	// limit.
	MaxCost *Money `yaml:"max_cost"`
	// Deadline is the time within which everything is thawed and fetched.
	// Default: none.
	Deadline time.Duration `yaml:"deadline"`
	// Bandwidth of the line that downloads, as in "50 Mbit/s" or "6 MiB/s".
	// Default: not known; then plans take downloading to need no time.
	Bandwidth int64 `yaml:"bandwidth" unit:"bandwidth"`
}

// Prices names a price book: a built-in one, or the path of the user's own.
type Prices string

// Encryption says how the archive's files are encrypted and signed. Reading
// needs only what can decrypt.
type Encryption struct {
	// Recipients are the key ids or fingerprints that files are encrypted to.
	Recipients []string `yaml:"recipients"`
	// HiddenRecipients are recipients whose keys the files do not name.
	HiddenRecipients []string `yaml:"hidden_recipients"`
	// Sign is the key id or fingerprint of the key that signs.
	Sign string `yaml:"sign"`
	// Passphrase encrypts symmetrically when there are no recipients, and
	// opens the secret keys when there are. Only by reference:
	// ${env:PASSPHRASE} or ${file:PATH}.
	Passphrase Secret `yaml:"passphrase"`
	// SignPassphrase opens the key that signs. Only by reference. Default: the
	// passphrase.
	SignPassphrase Secret `yaml:"sign_passphrase"`
	// KeyFiles names files of exported OpenPGP keys, armored or binary, relative
	// to the policy.
	KeyFiles []string `yaml:"keys"`
	// UseGPG decrypts by running gpg: for its agent, or a smart card.
	UseGPG bool `yaml:"use_gpg"`
	// GPGHome is gpg's home directory, relative to the policy. Default: gpg's
	// own.
	GPGHome string `yaml:"gpg_home"`
}

// Encrypted reports whether files are written encrypted.
func (e Encryption) Encrypted() bool {
	return len(e.Recipients) > 0 || len(e.HiddenRecipients) > 0 || e.Passphrase != ""
}

// Retention says what is to be kept; `isotherm prune` deletes the rest.
type Retention struct {
	// KeepFull is how many full sets, with all that build on them, are kept.
	// Default: all.
	KeepFull int `yaml:"keep_full" jsonschema:"minimum=1"`
	// KeepFor is how long sets are kept. Default: for ever.
	KeepFor time.Duration `yaml:"keep_for"`
}

// Tier returns the tier of that name.
func (p *Policy) Tier(name string) (*Tier, bool) {
	for i := range p.Tiers {
		if p.Tiers[i].Name == name {
			return &p.Tiers[i], true
		}
	}
	return nil, false
}

// Unbilled reports whether nothing is paid for what the store does: it is a
// folder of this machine, and no price book of its own says otherwise.
func (s *Store) Unbilled() bool {
	return strings.HasPrefix(s.URL, "file:") && s.Prices == ""
}

// Store returns the store of that name.
func (p *Policy) Store(name string) (*Store, bool) {
	for i := range p.Stores {
		if p.Stores[i].Name == name {
			return &p.Stores[i], true
		}
	}
	return nil, false
}
