package pgp

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/klauspost/compress/flate"
)

// ErrUnusableKey is the kind of errors about a key that messages cannot be
// encrypted to or signed with: there is none of that name or more than one, it is
// not made for it, has expired, or was revoked. The text says which.
var ErrUnusableKey = errors.New("unusable key")

// CompressedHeader stands before compressed packets inside the encryption: raw
// deflate up to the end follows (RFC 9580, section 5.6: a header of the old format,
// without a length, and the algorithm ZIP; gpg writes the same).
const CompressedHeader = "\xa3\x01"

// errWhole is of no use to users: Whole tells beforehand.
var errWhole = errors.New("gpg must make the whole message")

// Sealing says how messages are made.
type Sealing struct {
	// Recipients and HiddenRecipients are fingerprints or key ids of the keys that
	// messages are encrypted to; the messages do not name those that are hidden.
	Recipients, HiddenRecipients []string
	// Sign is the fingerprint or key id of the key that signs. Default: messages
	// are not signed.
	Sign string
	// Passphrase encrypts if there are no recipients.
	Passphrase string
	// SignPassphrase opens the key that signs. Default: Passphrase, which is tried
	// too if this one does not open it.
	SignPassphrase string
	// Keys are exported keys, armored or binary: public ones of recipients, and the
	// secret one that signs. What they lack is looked for in gpg's key ring, if
	// gpg is installed. They do not count with UseGPG.
	Keys [][]byte
	// UseGPG takes all keys from gpg, and has gpg sign.
	UseGPG bool
	// GPGHome is gpg's home directory; "" for gpg's own choice.
	GPGHome string
}

// A Sealer makes messages: it encrypts, compresses and signs. Its methods may be
// called by several goroutines at once.
//
// Keys are checked when it is made. It goes on making messages if one of them
// expires later: a backup that takes weeks is not cut off in the middle.
type Sealer struct {
	recipients []recipient
	cipher     packet.CipherFunction
	passphrase func() *sealingKey // counts if there are no recipients
	signer     *signer            // nil: messages are not signed
	gpg        *gpgSealer         // nil: by the library
}

// NewSealer finds keys and checks them. The errors are ErrUnusableKey, and
// ErrPassphrase if the key that signs stays locked. If gpg has to sign, it makes a
// message for a trial, for which it may ask for a card.
func NewSealer(c Sealing) (*Sealer, error) {
	if len(c.Recipients)+len(c.HiddenRecipients) == 0 && c.Passphrase == "" {
		return nil, errors.New("neither a recipient nor a passphrase to encrypt with")
	}
	s := &Sealer{
		cipher:     packet.CipherAES256,
		passphrase: sync.OnceValue(func() *sealingKey { return newSealingKey(c.Passphrase) }),
	}
	f, err := newFinder(c)
	if err != nil {
		return nil, err
	}
	if c.Sign != "" {
		if s.signer, err = f.signer(c.Sign, c.SignPassphrase, c.Passphrase); err != nil {
			return nil, fmt.Errorf("sign with %s: %w", c.Sign, err)
		}
		if s.signer == nil {
			f.onlyGPG() // which makes the whole message, and so must have all keys
		}
	}
	if s.recipients, s.cipher, err = f.recipients(c.Recipients, c.HiddenRecipients); err != nil {
		return nil, err
	}
	if c.Sign != "" && s.signer == nil {
		s.gpg, err = newGPGSealer(f.gpg, c, s.recipients)
	}
	return s, err
}

// Whole reports whether gpg has to make the messages, because only its agent or a
// card has the key that signs. Then Encrypt is the only way.
func (s *Sealer) Whole() bool { return s.gpg != nil }

// Encrypt makes a whole message of what is written to it, compressed, and writes it
// to w. It must be closed even after an error; that does not close w.
func (s *Sealer) Encrypt(w io.Writer) (io.WriteCloser, error) {
	if s.gpg != nil {
		return s.gpg.encrypt(w)
	}
	sealed, err := s.Seal(w)
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(sealed, CompressedHeader); err != nil {
		return nil, err
	}
	compressed, err := flate.NewWriter(sealed, flate.DefaultCompression)
	if err != nil {
		return nil, err
	}
	content, err := s.Literal(compressed)
	if err != nil {
		return nil, err
	}
	return &message{Writer: content, layers: []io.Closer{content, compressed, sealed}}, nil
}

// message is closed layer by layer, from the inside.
type message struct {
	io.Writer
	layers []io.Closer
	err    error
}

func (m *message) Close() error {
	if m.err != nil {
		return m.err
	}
	m.err = errClosed
	for _, l := range m.layers {
		if err := l.Close(); err != nil {
			m.err = err
			return err
		}
	}
	return nil
}
