package pgp

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// The types of packets that may stand in a message (RFC 9580, section 5). Others
// are refused before the library reads them: some of them it reads whole.
const (
	tagPublicKeySession = 1
	tagPassphrase       = 3
	tagCompressed       = 8
	tagMarker           = 10
	tagProtected        = 18
	tagAEAD             = 20
	tagPadding          = 21
)

// maxSessionKeys bounds how many keys and passphrases a message is encrypted to.
const maxSessionKeys = 1000

// envelope is what stands before the encrypted data of a message.
type envelope struct {
	toKeys        []*packet.EncryptedKey
	toPassphrases []passphraseOpens
}

// passphraseOpens is one way to open a message with a passphrase: in a form of ours,
// or of the library if that is nil.
type passphraseOpens struct {
	parsed  *passphrasePacket
	library *packet.SymmetricKeyEncrypted
}

// sessionKey is a key that may be that of the data.
type sessionKey struct {
	cipher packet.CipherFunction
	key    []byte
}

// tagOf returns the type of the packet that begins with b.
func tagOf(b byte) int {
	switch {
	case b&0x80 == 0:
		return -1
	case b&0x40 == 0:
		return int(b&0x3f) >> 2
	}
	return int(b & 0x3f)
}

// readEnvelope reads packets up to the one that holds the encrypted data.
func readEnvelope(br *bufio.Reader) (*envelope, packet.EncryptedDataPacket, error) {
	e := &envelope{}
	for range maxSessionKeys {
		var passphrase *passphrasePacket
		first, err := br.Peek(1)
		if err != nil {
			return nil, nil, noEOF(err)
		}
		switch tag := tagOf(first[0]); tag {
		case tagPublicKeySession, tagProtected, tagAEAD, tagMarker, tagPadding:
		case tagPassphrase:
			if passphrase, err = peekPassphrase(br); err != nil {
				return nil, nil, err
			}
		default:
			return nil, nil, fmt.Errorf("%w: it begins with a packet of type %d, not with encrypted data", ErrCorrupt, tag)
		}
		p, err := packet.Read(br)
		if err != nil {
			return nil, nil, noEOF(err)
		}
		switch p := p.(type) {
		case *packet.EncryptedKey:
			e.toKeys = append(e.toKeys, p)
		case *packet.SymmetricKeyEncrypted:
			e.toPassphrases = append(e.toPassphrases, passphraseOpens{passphrase, p})
		case packet.EncryptedDataPacket:
			return e, p, nil
		}
	}
	return nil, nil, fmt.Errorf("%w: more than %d session keys", ErrCorrupt, maxSessionKeys)
}

// peekPassphrase looks at a packet of type tagPassphrase; nil is one that it does not
// know. It refuses Argon2, which lets a message demand any amount of memory, and
// which gpg does not write (RFC 9580, sections 3.7.1.4 and 5.3.1: version, cipher,
// method).
func peekPassphrase(br *bufio.Reader) (*passphrasePacket, error) {
	const version4, argon2, header = 4, 4, 2
	head, err := br.Peek(header + 3)
	if err != nil {
		return nil, noEOF(err)
	}
	if oneByteLength := head[0]&0x40 == 0 && head[0]&3 == 0 || head[0]&0x40 != 0 && head[1] < 192; !oneByteLength ||
		head[2] != version4 || head[4] == argon2 {
		return nil, fmt.Errorf("%w: unknown way of making a key from the passphrase", ErrCorrupt)
	}
	all, err := br.Peek(header + int(head[1]))
	if err != nil {
		return nil, noEOF(err)
	}
	p, _ := parsePassphrase(bytes.Clone(all[header:]))
	return p, nil
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// byKeys returns the session keys that our secret keys find.
func (k *Keyring) byKeys(e *envelope) (found []sessionKey, locked []string, err error) {
	for _, to := range e.toKeys {
		for _, s := range k.keys.secrets {
			if to.KeyId != 0 && to.KeyId != s.key.KeyId || to.Algo != s.key.PubKeyAlgo {
				continue
			}
			key, ok := s.unlock(k.passphrases)
			if !ok {
				locked = append(locked, keyID(key.KeyId))
				continue
			}
			// The library leaves the result in the packet. Most errors mean that
			// the key is another one; ids can be hidden.
			if err := to.Decrypt(key, nil); err == nil {
				found = append(found, sessionKey{cipher: to.CipherFunc, key: to.Key})
			} else if isUnsupported(err) {
				return nil, nil, err
			}
		}
	}
	return found, locked, nil
}

// byPassphrase returns the session keys that the passphrase yields, whether or
// not it is the right one.
func (k *Keyring) byPassphrase(e *envelope) (found []sessionKey) {
	if len(k.passphrases) == 0 {
		return nil
	}
	for _, to := range e.toPassphrases {
		if to.parsed == nil {
			if key, cipher, err := to.library.Decrypt(k.passphrases[0]); err == nil {
				found = append(found, sessionKey{cipher: cipher, key: key})
			}
			continue
		}
		key := k.stretched.key(to.parsed.how, k.passphrases[0])
		if s, ok := to.parsed.unwrap(key); ok {
			found = append(found, s)
		}
	}
	return found
}

// explain returns the error of a message that nothing here opens.
func (k *Keyring) explain(e *envelope, locked []string) error {
	switch {
	case len(locked) > 0:
		return fmt.Errorf("%w: it does not open the secret key %s", ErrPassphrase, strings.Join(locked, ", "))
	case len(e.toPassphrases) > 0 && len(k.passphrases) == 0:
		return fmt.Errorf("%w: the message needs one, and none was given", ErrPassphrase)
	case len(e.toPassphrases) > 0:
		return fmt.Errorf("%w, or damage at the beginning of the message", ErrPassphrase)
	case len(e.toKeys) == 0:
		return fmt.Errorf("%w: it has no session key", ErrCorrupt)
	}
	ids := make([]string, 0, len(e.toKeys))
	for _, to := range e.toKeys {
		if to.KeyId == 0 {
			ids = append(ids, "a hidden key")
		} else {
			ids = append(ids, keyID(to.KeyId))
		}
	}
	return noKeyError(ids)
}

func noKeyError(ids []string) error {
	return fmt.Errorf("%w: encrypted to %s", ErrNoKey, strings.Join(ids, ", "))
}

// openData decrypts the data with the first session key that fits.
func (k *Keyring) openData(e *envelope, data packet.EncryptedDataPacket) (io.Reader, error) {
	fits, err := opener(data)
	if err != nil {
		return nil, err
	}
	found, locked, err := k.byKeys(e)
	if err != nil {
		return nil, err
	}
	for _, s := range found {
		if r, err := fits(s); !errors.Is(err, errOtherKey) {
			return r, err
		}
	}
	for _, s := range k.byPassphrase(e) {
		if r, err := fits(s); !errors.Is(err, errOtherKey) {
			return r, err
		}
	}
	if len(found) > 0 && len(e.toPassphrases) == 0 {
		return nil, fmt.Errorf("%w: its beginning was changed", ErrCorrupt)
	}
	return nil, k.explain(e, locked)
}

// errOtherKey is the error of a session key that is not that of the data.
var errOtherKey = errors.New("another session key")

// opener returns how to decrypt the data with a session key.
func opener(data packet.EncryptedDataPacket) (func(sessionKey) (io.Reader, error), error) {
	se, ok := data.(*packet.SymmetricallyEncrypted)
	if ok && se.Version == 1 && se.IntegrityProtected {
		prefix := make([]byte, prefixSize)
		if _, err := io.ReadFull(se.Contents, prefix); err != nil {
			return nil, noEOF(err)
		}
		return func(s sessionKey) (io.Reader, error) { return newCFB(s, prefix, se.Contents) }, nil
	}
	// The other forms are encrypted in chunks, each with a tag that the library
	// checks. It knows a wrong key by the first of them.
	return func(s sessionKey) (io.Reader, error) {
		r, err := data.Decrypt(s.cipher, s.key)
		if err != nil {
			return nil, errOtherKey
		}
		return &closeAtEnd{r}, nil
	}, nil
}

// closeAtEnd calls Close, which is where the library makes its last check.
type closeAtEnd struct{ r io.ReadCloser }

func (c *closeAtEnd) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	if err == io.EOF {
		if bad := c.r.Close(); bad != nil {
			err = bad
		}
	}
	return n, err
}
