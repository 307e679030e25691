package pgp

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha1"
	"fmt"
	"io"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/ProtonMail/go-crypto/openpgp/s2k"
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
		if err := s.passphrase().wrap(&envelope, s.cipher, key); err != nil {
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

// stretched is a key made of the passphrase.
type stretched struct {
	salt [8]byte
	key  [32]byte // of AES-256
}

// stretchCount is how much is hashed to make a key of a passphrase, in bytes, and
// its code (RFC 9580, section 3.7.1.3): gpg's own choice, and the most there is.
const (
	stretchCount     = 65011712
	stretchCountCode = 255
)

// stretch makes a key as gpg does unless told otherwise: it hashes salt and
// passphrase over and over. The library hashes them one by one, which takes three
// times as long as in pieces of some size, and so is given the passphrase with many
// repetitions behind it.
func stretch(passphrase string) *stretched {
	const repetitions = 100
	k := &stretched{}
	rand.Read(k.salt[:]) // never fails
	more := strings.Repeat(string(k.salt[:])+passphrase, repetitions)
	s2k.Iterated(k.key[:], sha1.New(), []byte(passphrase+more), k.salt[:], stretchCount)
	return k
}

// wrap writes the packet from which the passphrase yields the session key (RFC
// 9580, section 5.3.1).
//
// A Sealer makes one such key for all its messages, for making it takes a tenth of
// a second: much, next to a small volume. That is not free of charge. The format
// encrypts session keys in CFB mode without an initialisation vector, so of two
// messages with one salt everybody sees whether, and where, the first 15 bytes of
// their session keys differ; those behind are encrypted with key stream that depends
// on these. Session keys are random and independent of each other, so that tells
// nothing of either, and even who knows one of them knows 15 bytes of another, and
// has 17, or 136 bits, to guess. That would not hold if the stretched key were the
// session key itself, as in what gpg writes: then one salt would mean one key for
// all messages.
func (k *stretched) wrap(w io.Writer, c packet.CipherFunction, session []byte) error {
	const version, iteratedSalted, sha1ID = 4, 3, 2
	body := []byte{version, byte(packet.CipherAES256), iteratedSalted, sha1ID}
	body = append(body, k.salt[:]...)
	body = append(body, stretchCountCode)
	block, err := aes.NewCipher(k.key[:])
	if err != nil {
		return err
	}
	wrapped := append([]byte{byte(c)}, session...)
	//lint:ignore SA1019 the format wants this mode
	cipher.NewCFBEncrypter(block, make([]byte, aes.BlockSize)).XORKeyStream(wrapped, wrapped)
	body = append(body, wrapped...)
	header := appendLength([]byte{0xc0 | tagPassphrase}, len(body))
	_, err = w.Write(append(header, body...))
	return err
}
