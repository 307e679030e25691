package pgp

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"fmt"
	"io"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// recipient is a key that messages are encrypted to.
type recipient struct {
	key    *packet.PublicKey
	hidden bool
}

// Seal is the outermost layer of a message: packets written to it are encrypted,
// and written to w with what the recipients or the passphrase open them with. The
// layer must be closed, which does not close w.
func (s *Sealer) Seal(w io.Writer) (io.WriteCloser, error) {
	if s.gpg != nil {
		return nil, errWhole
	}
	key := make([]byte, s.cipher.KeySize())
	rand.Read(key) // never fails
	var envelope bytes.Buffer
	for _, r := range s.recipients {
		if err := packet.SerializeEncryptedKeyAEADwithHiddenOption(&envelope, r.key, s.cipher, false, key, r.hidden, libraryConfig()); err != nil {
			return nil, fmt.Errorf("encrypt to %s: %w", keyID(r.key.KeyId), err)
		}
	}
	if len(s.recipients) == 0 {
		if err := s.passphrase().write(&envelope, sessionKey{s.cipher, key}); err != nil {
			return nil, err
		}
	}
	if _, err := w.Write(envelope.Bytes()); err != nil {
		return nil, err
	}
	const version = "\x01"
	p := newPacket(w, tagProtected)
	if _, err := io.WriteString(p, version); err != nil {
		return nil, err
	}
	return newCFBWriter(p, key)
}

// sealingKey is a key made of the passphrase, and how.
type sealingKey struct {
	how stretching
	key []byte
}

// newSealingKey makes a key as gpg does unless told otherwise.
func newSealingKey(passphrase string) *sealingKey {
	k := &sealingKey{how: stretching{hash: crypto.SHA1, count: maxCount, size: packet.CipherAES256.KeySize()}}
	rand.Read(k.how.salt[:]) // never fails
	k.key = k.how.key([]byte(passphrase))
	return k
}

// write writes the packet from which the passphrase yields the session key.
func (k *sealingKey) write(w io.Writer, session sessionKey) error {
	p := &passphrasePacket{cipher: packet.CipherAES256, how: k.how}
	if err := p.wrap(k.key, session); err != nil {
		return err
	}
	body := p.body()
	header := appendLength([]byte{newFormat | tagPassphrase}, len(body))
	_, err := w.Write(append(header, body...))
	return err
}
