package policy

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/isotherm-backup/isotherm/policy/price"
)

// checkPrices checks that a price book exists.
func (c *checker) checkPrices(path string, ref Prices) {
	if ref == "" {
		if n := c.nodes[path]; n != nil && n.Value == "" {
			c.wrong(path, "write a book such as aws/eu-west-1, or remove the key", "%s is empty", path)
		}
		return
	}
	if _, err := price.Open(string(ref), c.refs.dir); err != nil {
		c.wrong(path, "name a built-in book such as aws/eu-west-1, or the path of a .yaml file", "%s: %v", path, err)
	}
}

func (c *checker) checkThaw() {
	t := &c.policy.Thaw
	if t.Keep%day != 0 {
		c.wrong("thaw.keep", "write whole days, as in 7d", "thaw.keep is %s: services keep thawed files for whole days", FormatDuration(t.Keep))
	}
	if t.Speed == "expedited" && !slices.ContainsFunc(c.policy.Stores, expedites) {
		c.warnKey("thaw.speed", "write standard or bulk, or remove the key", "no store of this policy thaws at expedited speed")
	}
}

// expedites reports whether a store takes expedited thaws (cold-storage spec
// section 3).
func expedites(s Store) bool { return Cold(s) && s.Class == "GLACIER" }

var keyID = regexp.MustCompile(`^[0-9A-F]{8,64}$`)

func (c *checker) checkEncryption() {
	e := &c.policy.Encryption
	for i := range e.Recipients {
		c.checkKeyID(fmt.Sprintf("encryption.recipients[%d]", i), &e.Recipients[i])
	}
	for i := range e.HiddenRecipients {
		c.checkKeyID(fmt.Sprintf("encryption.hidden_recipients[%d]", i), &e.HiddenRecipients[i])
	}
	if c.given("encryption.sign") {
		c.checkKeyID("encryption.sign", &e.Sign)
	}
	c.checkSecret("encryption.passphrase", e.Passphrase)
	c.checkSecret("encryption.sign_passphrase", e.SignPassphrase)
	if c.hasKey("encryption.sign_passphrase") && !c.hasKey("encryption.sign") {
		c.wrongKey("encryption.sign_passphrase", "add sign, or remove it", "encryption has a sign_passphrase and no key that signs")
	}
	if c.hasKey("encryption.gpg_home") && !e.UseGPG {
		c.wrongKey("encryption.gpg_home", "add use_gpg: true, or remove it", "encryption.gpg_home has no effect without use_gpg")
	}
	if c.given("encryption.sign") && !e.Encrypted() {
		c.wrongKey("encryption.sign", "add recipients or a passphrase, or remove it", "encryption.sign has no effect: files are signed only when they are encrypted")
	}
	c.checkKeyFiles(e)
}

// checkKeyID checks a key id or fingerprint, and writes it plainly.
func (c *checker) checkKeyID(path string, id *string) {
	plain := strings.ToUpper(strings.ReplaceAll(*id, " ", ""))
	plain = strings.TrimPrefix(plain, "0X")
	if !keyID.MatchString(plain) {
		c.wrong(path, "write the fingerprint that `gpg --list-keys` shows", "%s: %q is no key id", path, *id)
		return
	}
	*id = plain
	if len(plain) == 8 {
		c.warnKey(path, "write the fingerprint that `gpg --list-keys` shows", "%s: keys with the short id %s can be forged", path, plain)
	}
}

// onlyReferences is met by a value of which nothing stands in the policy itself.
var onlyReferences = regexp.MustCompile(`^(\$\{[^}]*\})+$`)

// checkSecret checks that a secret stands elsewhere. It never repeats it.
func (c *checker) checkSecret(path string, s Secret) {
	text, given := c.written[path]
	switch {
	case !given:
	case !onlyReferences.MatchString(text):
		name := strings.ToUpper(path[strings.LastIndex(path, ".")+1:])
		c.wrong(path, "write ${env:"+name+"} or ${file:PATH}, and change the secret that stood here", "%s stands in plain text", path)
	case s == "":
		c.wrong(path, "give the variable or file a value", "%s: %s is empty", path, text)
	}
}

func (c *checker) checkKeyFiles(e *Encryption) {
	for i, name := range e.KeyFiles {
		path := c.refs.path(name)
		at := fmt.Sprintf("encryption.keys[%d]", i)
		info, err := os.Stat(path)
		switch {
		case strings.HasPrefix(name, "~"):
			c.wrong(at, "write ${env:HOME}"+strings.TrimPrefix(name, "~"), "%s: ~ is not replaced here", at)
		case err != nil: // what needs no key can still be done here
			c.warn(at, "export it there: gpg --export-secret-keys --armor KEY", "%s: %s cannot be read: %v", at, path, rootCause(err))
		case info.IsDir():
			c.wrong(at, "name a file", "%s: %s is a directory", at, path)
		}
		e.KeyFiles[i] = path
	}
	if e.GPGHome != "" {
		e.GPGHome = filepath.Clean(c.refs.path(e.GPGHome))
	}
}
