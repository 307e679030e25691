package pgp

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	_ "crypto/sha256" // the hashes that a message may name, beside SHA-1
	_ "crypto/sha512"
	"slices"
	"sync"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/ProtonMail/go-crypto/openpgp/s2k"
)

// stretching is a way to make a key of a passphrase: salt and passphrase are hashed
// over and over (RFC 9580, section 3.7.1.3).
type stretching struct {
	hash  crypto.Hash
	salt  [8]byte
	count byte // a code of how many bytes are hashed
	size  int  // of the key
}

// maxCount is the code for most bytes, 65011712, and gpg's own choice.
const maxCount = 255

func (s stretching) bytes() int { return (16 + int(s.count&15)) << (s.count>>4 + 6) }

// key makes the key, which takes a tenth of a second. The library hashes salt and
// passphrase one by one; in larger pieces that takes a third less, and so it is
// given the passphrase with repetitions of both behind it.
func (s stretching) key(passphrase []byte) []byte {
	const most = 100
	both := append(s.salt[:], passphrase...)
	repetitions := min(most, s.bytes()/len(both)) - 1
	if repetitions > 0 {
		passphrase = append(bytes.Clone(passphrase), bytes.Repeat(both, repetitions)...)
	}
	key := make([]byte, s.size)
	s2k.Iterated(key, s.hash.New(), passphrase, s.salt[:], s.bytes())
	return key
}

// stretched remembers keys that were made of one passphrase. What a Sealer makes in
// a run has one salt, so that the reader of a set need not make its key for every
// volume again.
type stretched struct {
	mu     sync.Mutex
	recent []stretchedKey // at most maxRecent
}

type stretchedKey struct {
	how stretching
	key func() []byte // makes it once
}

// maxRecent bounds what is remembered: of what gpg writes, every message has a salt
// of its own.
const maxRecent = 16

// key returns the key that is made of the passphrase, always of the same one.
func (s *stretched) key(how stretching, passphrase []byte) []byte {
	s.mu.Lock()
	i := slices.IndexFunc(s.recent, func(k stretchedKey) bool { return k.how == how })
	if i < 0 {
		if len(s.recent) == maxRecent {
			s.recent = slices.Delete(s.recent, 0, 1)
		}
		i = len(s.recent)
		s.recent = append(s.recent, stretchedKey{how, sync.OnceValue(func() []byte { return how.key(passphrase) })})
	}
	key := s.recent[i].key
	s.mu.Unlock()
	return key()
}

// passphrasePacket is what a message says of how a passphrase opens it (RFC 9580,
// section 5.3.1).
type passphrasePacket struct {
	cipher  packet.CipherFunction
	how     stretching
	wrapped []byte // the session key encrypted; none: the key itself is it
}

// parsePassphrase takes the body of a packet of version 4 whose key is made as gpg
// makes it. There are others, which are left to the library.
func parsePassphrase(body []byte) (*passphrasePacket, bool) {
	const version4, iteratedSalted, fixed = 4, 3, 13
	hashes := map[byte]crypto.Hash{2: crypto.SHA1, 8: crypto.SHA256, 9: crypto.SHA384, 10: crypto.SHA512, 11: crypto.SHA224}
	if len(body) < fixed || body[0] != version4 || body[2] != iteratedSalted {
		return nil, false
	}
	p := &passphrasePacket{cipher: packet.CipherFunction(body[1]), wrapped: body[fixed:]}
	p.how = stretching{hash: hashes[body[3]], salt: [8]byte(body[4:]), count: body[12], size: p.cipher.KeySize()}
	return p, p.how.hash != 0 && p.how.size != 0
}

// body returns what parsePassphrase takes.
func (p *passphrasePacket) body() []byte {
	const version4, iteratedSalted, sha1 = 4, 3, 2
	b := append([]byte{version4, byte(p.cipher), iteratedSalted, sha1}, p.how.salt[:]...)
	return append(append(b, p.how.count), p.wrapped...)
}

// unwrap returns the session key, which is any at all if the key is not the right
// one; false if that shows.
func (p *passphrasePacket) unwrap(key []byte) (sessionKey, bool) {
	if len(p.wrapped) == 0 {
		return sessionKey{cipher: p.cipher, key: key}, true
	}
	block, err := newBlock(p.cipher, key)
	if err != nil {
		return sessionKey{}, false
	}
	plain := make([]byte, len(p.wrapped))
	//lint:ignore SA1019 the format wants this mode
	cipher.NewCFBDecrypter(block, make([]byte, block.BlockSize())).XORKeyStream(plain, p.wrapped)
	s := sessionKey{cipher: packet.CipherFunction(plain[0]), key: plain[1:]}
	return s, s.cipher.KeySize() == len(s.key) && len(s.key) > 0
}

// wrap encrypts a session key of a cipher with a key of AES-256.
//
// A Sealer makes one such key for all its messages: making it takes as long as
// encrypting 40 MB. That is not free of charge. The format encrypts session keys in
// CFB mode without an initialisation vector, so of two messages with one salt
// everybody can tell the difference of the first 15 bytes of their session keys;
// the key stream of those behind depends on these, and is another one. Session keys
// are random and independent of each other, so a difference tells nothing of
// either, and even who knows one of them knows 15 bytes of another, and has 17, or
// 136 bits, to guess. That would not hold if the stretched key were the session key
// itself, as in what gpg writes: one salt would mean one key for all messages.
func (p *passphrasePacket) wrap(key []byte, session sessionKey) error {
	block, err := aes.NewCipher(key)
	if err != nil {
		return err
	}
	p.wrapped = append([]byte{byte(session.cipher)}, session.key...)
	//lint:ignore SA1019 the format wants this mode
	cipher.NewCFBEncrypter(block, make([]byte, aes.BlockSize)).XORKeyStream(p.wrapped, p.wrapped)
	return nil
}
