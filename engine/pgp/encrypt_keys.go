package pgp

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
)

// finder finds keys by their names: in files, then in gpg's key ring. It is used
// by one goroutine, and all that messages have of it are keys, not the signatures
// on them, in which the library writes.
type finder struct {
	files openpgp.EntityList
	gpg   *program // nil if it is not installed
	now   time.Time
}

func newFinder(c Sealing) (*finder, error) {
	f := &finder{now: time.Now()}
	passphrase := c.SignPassphrase
	if passphrase == "" {
		passphrase = c.Passphrase
	}
	var err error
	if f.gpg, err = findGPG(c.GPGHome, passphrase); err != nil {
		f.gpg = nil
	}
	if c.UseGPG {
		return f, err
	}
	k := &keys{files: c.Keys}
	f.files, err = k.ring()
	return f, err
}

// onlyGPG makes the finder forget the files.
func (f *finder) onlyGPG() { f.files = nil }

// named returns all that is known of the one key of a name. It may have been
// exported more than once.
func (f *finder) named(name string) (openpgp.EntityList, error) {
	id, err := parseKeyID(name)
	if err != nil {
		return nil, err
	}
	found := matching(f.files, id)
	if len(found) == 0 && f.gpg != nil {
		exported, err := f.gpg.export(id)
		if err != nil {
			return nil, err
		}
		found = matching(exported, id)
	}
	if len(found) == 0 {
		where := "the key files or gpg's key ring"
		if f.gpg == nil {
			where = "the key files, and gpg is not installed"
		}
		return nil, fmt.Errorf("%w: there is none of this name in %s", ErrUnusableKey, where)
	}
	for _, e := range found[1:] {
		if !bytes.Equal(e.PrimaryKey.Fingerprint, found[0].PrimaryKey.Fingerprint) {
			return nil, fmt.Errorf("%w: there is more than one of this name, %X and %X; give the whole fingerprint", ErrUnusableKey,
				found[0].PrimaryKey.Fingerprint, e.PrimaryKey.Fingerprint)
		}
	}
	return found, nil
}

// matching returns the keys that have a primary key or subkey of an id.
func matching(all openpgp.EntityList, id string) (found openpgp.EntityList) {
	for _, e := range all {
		if has(e, id) {
			found = append(found, e)
		}
	}
	return found
}

func has(e *openpgp.Entity, id string) bool {
	if names(e.PrimaryKey, id) {
		return true
	}
	for _, sub := range e.Subkeys {
		if names(sub.PublicKey, id) {
			return true
		}
	}
	return false
}

// names reports whether an id, in upper case, is that of a key.
func names(key *packet.PublicKey, id string) bool {
	return strings.HasSuffix(fmt.Sprintf("%X", key.Fingerprint), id)
}

// recipients returns the keys to encrypt to, and the cipher that all of them like
// to see.
func (f *finder) recipients(open, hidden []string) ([]recipient, packet.CipherFunction, error) {
	var all []recipient
	ciphers := newPreference()
	add := func(name string, hide bool) error {
		key, preferred, err := f.encryption(name)
		if err != nil {
			return fmt.Errorf("encrypt to %s: %w", name, err)
		}
		ciphers.restrict(preferred)
		for _, r := range all {
			if r.hidden == hide && bytes.Equal(r.key.Fingerprint, key.Fingerprint) {
				return nil
			}
		}
		all = append(all, recipient{key: key, hidden: hide})
		return nil
	}
	for _, name := range open {
		if err := add(name, false); err != nil {
			return nil, 0, err
		}
	}
	for _, name := range hidden {
		if err := add(name, true); err != nil {
			return nil, 0, err
		}
	}
	return all, ciphers.best(), nil
}

// encryption returns the key that one encrypts with to whom a name is of, and what
// ciphers they prefer.
func (f *finder) encryption(name string) (*packet.PublicKey, []byte, error) {
	found, err := f.named(name)
	if err != nil {
		return nil, nil, err
	}
	var problem error
	for _, e := range found {
		key, err := e.EncryptionKeyWithError(f.now, libraryConfig())
		if err == nil {
			return key.PublicKey, key.PrimarySelfSignature.PreferredSymmetric, nil
		}
		problem = f.problem(e, err)
	}
	return nil, nil, problem
}

// problem says what is wrong with a key that the library does not take.
func (f *finder) problem(e *openpgp.Entity, err error) error {
	what := "the key"
	selection, ok := errors.AsType[*pgperrors.ErrEncryptionKeySelection](err)
	if !ok {
		if value, ok := errors.AsType[pgperrors.ErrEncryptionKeySelection](err); ok {
			selection = &value
		}
	}
	switch {
	case selection == nil:
	case selection.PrimaryKeyErr != nil:
		err = selection.PrimaryKeyErr
	case selection.EncSelectionKeyId == nil:
		return fmt.Errorf("%w: it is not made for encryption", ErrUnusableKey)
	default:
		err, what = selection.EncSelectionErr, "its subkey "+*selection.EncSelectionKeyId
	}
	switch {
	case e.PrimaryKey.CreationTime.After(f.now):
		return fmt.Errorf("%w: the key was made on %s, which is still to come", ErrUnusableKey, day(e.PrimaryKey.CreationTime))
	case errors.Is(err, pgperrors.ErrKeyExpired), errors.Is(err, pgperrors.ErrSignatureExpired):
		return fmt.Errorf("%w: %s has expired", ErrUnusableKey, what)
	case errors.Is(err, pgperrors.ErrKeyRevoked):
		return fmt.Errorf("%w: %s was revoked", ErrUnusableKey, what)
	}
	return fmt.Errorf("%w: %s: %w", ErrUnusableKey, what, err)
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// signer returns the key that signs, unlocked; nil if gpg has to sign.
func (f *finder) signer(name string, passphrases ...string) (*signer, error) {
	found, err := f.named(name)
	if err != nil {
		return nil, err
	}
	id, err := parseKeyID(name)
	if err != nil {
		return nil, err
	}
	var problem error
	for _, e := range found {
		key, ok := e.SigningKeyById(f.now, wanted(e, id), libraryConfig())
		if !ok {
			problem = f.signingProblem(e)
			continue
		}
		problem = nil
		if key.PrivateKey == nil || key.PrivateKey.Dummy() {
			continue // perhaps gpg has the secret
		}
		if key.PrivateKey.Version != 4 {
			return nil, fmt.Errorf("%w: gpg cannot read signatures by a key of version %d", ErrUnusableKey, key.PrivateKey.Version)
		}
		if err := unlock(key.PrivateKey, passphrases); err != nil {
			return nil, err
		}
		return &signer{key: key.PrivateKey, hash: hashFor(key.PublicKey)}, nil
	}
	if problem == nil && f.gpg == nil {
		problem = fmt.Errorf("%w: its secret part is not in the key files, and gpg, which might have it, is not installed", ErrUnusableKey)
	}
	return nil, problem
}

// wanted returns the id of the subkey that has been named, so that this one signs;
// 0 if the primary key has been, which means the newest that can.
func wanted(e *openpgp.Entity, id string) uint64 {
	for _, sub := range e.Subkeys {
		if names(sub.PublicKey, id) && !names(e.PrimaryKey, id) {
			return sub.PublicKey.KeyId
		}
	}
	return 0
}

func (f *finder) signingProblem(e *openpgp.Entity) error {
	if _, err := e.VerifyPrimaryKey(f.now, libraryConfig()); err != nil {
		return f.problem(e, err)
	}
	return fmt.Errorf("%w: it is not made for signing, or what is has expired or was revoked", ErrUnusableKey)
}

// unlock opens a secret key with the first passphrase that does.
func unlock(key *packet.PrivateKey, passphrases []string) error {
	if !key.Encrypted {
		return nil
	}
	given := false
	for _, p := range passphrases {
		if p == "" {
			continue
		}
		given = true
		if err := key.Decrypt([]byte(p)); err == nil {
			return nil
		}
	}
	if !given {
		return fmt.Errorf("%w: the secret key needs one, and none was given", ErrPassphrase)
	}
	return fmt.Errorf("%w: it does not open the secret key", ErrPassphrase)
}

// preference is which ciphers everybody takes.
type preference struct{ ciphers []packet.CipherFunction }

func newPreference() *preference {
	return &preference{[]packet.CipherFunction{packet.CipherAES256, packet.CipherAES192, packet.CipherAES128}}
}

// restrict leaves those that are in a key's list. A key without a list forbids
// nothing.
func (p *preference) restrict(list []byte) {
	if len(list) == 0 {
		return
	}
	var left []packet.CipherFunction
	for _, c := range p.ciphers {
		if bytes.IndexByte(list, byte(c)) >= 0 {
			left = append(left, c)
		}
	}
	p.ciphers = left
}

// best returns the strongest cipher; if there is none, AES-128, which everybody has
// to understand (RFC 9580, section 9.3).
func (p *preference) best() packet.CipherFunction {
	if len(p.ciphers) == 0 {
		return packet.CipherAES128
	}
	return p.ciphers[0]
}
