package policy

import (
	"log/slog"
	"time"

	"github.com/isotherm-backup/isotherm/internal/dupname"
)

// Policy is one isotherm.yaml, complete: defaults are filled in, and every
// name it mentions exists.
type Policy struct {
	Version    int
	Archive    string // name of the archive; also names its local state
	Prefixes   dupname.Prefixes
	Stores     []Store // in the order of the file
	Tiers      []Tier  // in the order of the file
	Routes     []Route // first match wins; the last ones are the defaults
	Thaw       Thaw
	Prices     Prices
	Encryption Encryption
	Retention  Retention

	Path string // the file it was read from; "" for one made in memory
}

// Store is one place that holds files, as the policy describes it.
type Store struct {
	Name   string
	URL    string
	Class  string // storage class by its wire name; "" for the store's own default
	Region string
	Cloud  string // entry of clouds.yaml
	// Weight is this store's share of a stripe, relative to the others; at
	// least 1.
	Weight int
	// Prices is the price book of this store, when it is not the policy's.
	Prices Prices
	// Options are the store's remaining settings by their key in the policy
	// (endpoint, path_style, profile, retry, ...); package backends/open says
	// which keys each scheme takes.
	Options map[string]string
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
	Name      string
	Mode      Mode
	Stores    []string
	OnFailure OnFailure
}

// Route sends the files that meet all its conditions to its tiers. A zero
// condition is met by every file.
type Route struct {
	Kinds       []dupname.Kind
	Prefix      string        // what the name begins with
	Glob        string        // doublestar pattern over the whole name
	SmallerThan int64         // bytes; 0 for no condition
	LargerThan  int64         // bytes; at least this many; 0 for no condition
	YoungerThan time.Duration // age of the set named by the file; 0 for no condition
	OlderThan   time.Duration // at least this age; 0 for no condition
	Tiers       []string      // a copy goes to each

	Implied bool // added by the defaults, not written in the file
	Line    int  // in the policy's file; 0 when implied
}

// Thaw holds the defaults of thaws and the limits they never pass.
type Thaw struct {
	Speed     string        // expedited, standard, bulk, or "" for the cheapest that meets the deadline
	Keep      time.Duration // how long a thawed file is kept; 0 lets the plan choose
	MaxCost   *Money        // nil for no limit
	Deadline  time.Duration // everything thawed and fetched by then; 0 for none
	Bandwidth int64         // bytes per second of the download line; 0 for not known
}

// Money is an exact amount in one currency, as written in the policy.
type Money struct {
	Amount   string // decimal, no exponent
	Currency string // ISO 4217
}

// Prices names a price book: a built-in one, or the path of the user's own.
type Prices string

// Encryption says how the archive's files are encrypted and signed. Reading
// needs only what can decrypt.
type Encryption struct {
	Recipients       []string // key ids or fingerprints
	HiddenRecipients []string
	Sign             string
	Passphrase       Secret // symmetric encryption, and the passphrase of the secret keys
	SignPassphrase   Secret
	KeyFiles         []string // exported OpenPGP keys, armored or binary
	UseGPG           bool     // decrypt by running gpg: agent, smart card
	GPGHome          string   // gpg's --homedir; "" for its own default
}

// Encrypted reports whether files are written encrypted.
func (e Encryption) Encrypted() bool {
	return len(e.Recipients) > 0 || len(e.HiddenRecipients) > 0 || e.Passphrase != ""
}

// Retention says what prune keeps.
type Retention struct {
	KeepFull int           // chains; 0 for all
	KeepFor  time.Duration // 0 for ever
}

// Secret is a text that never shows: every way of printing it gives
// "[redacted]". Convert it to a string to use it.
type Secret string

const redacted = "[redacted]"

func (Secret) String() string               { return redacted }
func (Secret) GoString() string             { return redacted }
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
func (Secret) MarshalYAML() (any, error)    { return redacted, nil }
func (Secret) LogValue() slog.Value         { return slog.StringValue(redacted) }
