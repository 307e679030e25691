// Package pgp reads and makes the OpenPGP messages that duplicity keeps on a store.
//
// A message is encrypted with a passphrase or to keys, may be signed, and is
// nearly always compressed inside (archive format, section 8). It is decrypted by
// ProtonMail's library with keys and passphrases given to Open, or by running gpg,
// for keys that only its agent or a smart card has.
//
// What a Message yields is not to be trusted before its end: the modification
// check and the signatures come last, and take the place of io.EOF if they fail.
// Messages without a modification check are refused; duplicity tells gpg to
// ignore it, this package never does.
//
// Messages are made by a Sealer, in the forms that gpg 2.2 reads: whole ones, or
// layer by layer for who compresses them in a way of their own. What is written is
// binary, protected by a modification check, and names no file and no time but
// that of its signature.
package pgp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// The kinds of errors. Errors of the stream that is read stay what they are.
var (
	// ErrPassphrase: the passphrase is wrong or missing, or it does not open the
	// secret key that is needed.
	ErrPassphrase = errors.New("wrong passphrase")
	// ErrNoKey: the message is encrypted to keys none of which is here. The text
	// names their ids.
	ErrNoKey = errors.New("no secret key")
	// ErrCorrupt: the message was cut off or changed, or is none at all.
	ErrCorrupt = errors.New("damaged OpenPGP message")
	// ErrUnsupported: the message is of a form that the library cannot read, but
	// gpg might.
	ErrUnsupported = errors.New("unsupported OpenPGP message")
	// ErrSignature: a signature is wrong, or there is none by the signer that
	// was demanded.
	ErrSignature = errors.New("bad signature")
	// ErrUnknownSigner: there are signatures, but only by keys that are not here.
	// The text names their ids.
	ErrUnknownSigner = errors.New("signed by an unknown key")
)

// Config says what messages are opened with.
type Config struct {
	// Passphrase of symmetrically encrypted messages and of secret keys.
	Passphrase string
	// SignPassphrase is tried for secret keys that Passphrase does not open.
	SignPassphrase string
	// Keys are exported keys, secret and public, armored or binary. Not for
	// UseGPG.
	Keys [][]byte
	// SignedBy are fingerprints or key ids of signers; a message must have a good
	// signature of one of them. Default: a message need not be signed.
	SignedBy []string
	// AcceptUnknownSigners makes it no error that a message has signatures only
	// by keys that are not here; Message.SignedBy tells.
	AcceptUnknownSigners bool
	// UseGPG decrypts by running gpg, with its own keys and agent.
	UseGPG bool
	// GPGHome is gpg's home directory; "" for gpg's own choice.
	GPGHome string
}

// A Keyring opens messages. Its methods may be called by several goroutines at
// once.
type Keyring struct {
	passphrases [][]byte // first that of messages
	stretched   stretched
	keys        *keys
	gpg         *program // nil: by the library
	policy      policy
}

// Open reads keys. Whether passphrases fit turns out when they are needed.
func Open(c Config) (*Keyring, error) {
	k := &Keyring{policy: policy{acceptUnknown: c.AcceptUnknownSigners}}
	for _, s := range c.SignedBy {
		id, err := parseKeyID(s)
		if err != nil {
			return nil, err
		}
		k.policy.signedBy = append(k.policy.signedBy, id)
	}
	for _, p := range []string{c.Passphrase, c.SignPassphrase} {
		if p != "" {
			k.passphrases = append(k.passphrases, []byte(p))
		}
	}
	if c.UseGPG {
		if len(c.Keys) > 0 {
			return nil, errors.New("gpg uses its own keys: import the key files into its key ring")
		}
		var err error
		k.gpg, err = findGPG(c.GPGHome, c.Passphrase)
		return k, err
	}
	var err error
	k.keys, err = readKeys(c.Keys)
	return k, err
}

// parseKeyID takes a fingerprint or a key id of 8 or 16 digits, as duplicity
// does, and returns it in upper case.
func parseKeyID(s string) (string, error) {
	id := strings.ToUpper(strings.TrimPrefix(strings.ReplaceAll(s, " ", ""), "0x"))
	if len(id) < 8 || strings.Trim(id, "0123456789ABCDEF") != "" {
		return "", fmt.Errorf("%q is neither a fingerprint nor a key id", s)
	}
	return id, nil
}

// Decrypt opens a message, binary as duplicity stores it. It returns the kinds of
// errors that are known at once; Message.Read returns the others. With gpg, all
// of them come from Read, and ctx must last until the message is closed; when it
// ends, r must not block.
func (k *Keyring) Decrypt(ctx context.Context, r io.Reader) (*Message, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	src := &source{r: r}
	if k.gpg != nil {
		return k.gpg.decrypt(ctx, src, k.policy)
	}
	return k.decrypt(src)
}

// A Signer is one who signed a message.
type Signer struct {
	KeyID string // 16 hexadecimal digits of the key that signed
	// Fingerprint of the primary key; "" if the key is not here, and so nothing is
	// known of the signature.
	Fingerprint string
}

// A Message is the content of an OpenPGP message.
type Message struct {
	src     *source
	content io.Reader
	finish  func() ([]Signer, error) // called once, at the end of content
	close   func() error
	signers []Signer
	err     error
}

// Read reads the content. The error is io.EOF only if the message was whole,
// nothing was changed, and its signatures are what Config demands. Any other is
// final, and makes what was read before worthless.
func (m *Message) Read(b []byte) (int, error) {
	if m.err != nil {
		return 0, m.err
	}
	n, err := m.content.Read(b)
	if err == io.EOF {
		if m.signers, err = m.finish(); err == nil {
			err = io.EOF
		}
	}
	if err != nil {
		m.err = m.src.blame(err)
	}
	return n, m.err
}

// SignedBy returns who signed the message. It is empty before the end.
func (m *Message) SignedBy() []Signer { return m.signers }

// Close stops decrypting. A message that was read to its end needs no Close.
func (m *Message) Close() error {
	if m.err == nil {
		m.err = errors.New("message is closed")
	}
	return m.close()
}

// source remembers why the encrypted stream failed.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// blame says what is at the root of an error: the stream, one of our own kinds,
// or else damage.
func (s *source) blame(err error) error {
	if s.err != nil {
		return s.err
	}
	for _, kind := range []error{
		io.EOF, ErrPassphrase, ErrNoKey, ErrCorrupt, ErrUnsupported, ErrSignature, ErrUnknownSigner,
		context.Canceled, context.DeadlineExceeded,
	} {
		if errors.Is(err, kind) {
			return err
		}
	}
	if isUnsupported(err) {
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	return fmt.Errorf("%w: %w", ErrCorrupt, err)
}

func isUnsupported(err error) bool {
	_, ok := errors.AsType[pgperrors.UnsupportedError](err)
	return ok
}

// keyID formats the id of a key as gpg shows it.
func keyID(id uint64) string { return fmt.Sprintf("%016X", id) }

// libraryConfig accepts what gpg accepts. Old archives stay readable: these
// limits are for keys and signatures to be made.
func libraryConfig() *packet.Config {
	no := false
	return &packet.Config{
		MinRSABits:                          1024,
		RejectPublicKeyAlgorithms:           map[packet.PublicKeyAlgorithm]bool{},
		RejectMessageHashAlgorithms:         weakHashes(),
		CheckIntendedRecipients:             &no,
		InsecureAllowAllKeyFlagsWhenMissing: true,
	}
}
