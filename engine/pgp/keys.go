package pgp

import (
	"bufio"
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// weakHashes of message signatures: what gpg 2.2 rejects. SHA-1 is what gpg 1.4
// signed with.
func weakHashes() map[crypto.Hash]bool {
	return map[crypto.Hash]bool{crypto.MD5: true, crypto.RIPEMD160: true}
}

// keys are public keys, to check signatures, and secret keys.
type keys struct {
	files   [][]byte
	rings   sync.Pool // of *openpgp.EntityList: what files hold
	secrets []*secret
}

// ring returns all keys for the checking of one message, after which putRing
// takes them back. The library writes into a key what it found out about the
// key's own signatures, without a lock: two messages must not share one.
func (k *keys) ring() (openpgp.EntityList, error) {
	if r, ok := k.rings.Get().(*openpgp.EntityList); ok {
		return *r, nil
	}
	var all openpgp.EntityList
	for i, file := range k.files {
		entities, err := readKeyFile(file)
		if err != nil {
			return nil, fmt.Errorf("read key file %d: %w", i+1, err)
		}
		all = append(all, entities...)
	}
	return all, nil
}

// putRing gives keys back that no message uses any more.
func (k *keys) putRing(r openpgp.EntityList) { k.rings.Put(&r) }

// secret is a secret key, locked until it is needed.
type secret struct {
	mu     sync.Mutex // held while unlocking
	failed bool       // no passphrase fits
	key    *packet.PrivateKey
}

// unlock returns the key ready for use; false if no passphrase opens it.
func (s *secret) unlock(passphrases [][]byte) (*packet.PrivateKey, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range passphrases {
		if !s.key.Encrypted || s.failed {
			break
		}
		// An error means that the key stays locked.
		_ = s.key.Decrypt(p)
	}
	s.failed = s.key.Encrypted
	return s.key, !s.failed
}

func readKeys(files [][]byte) (*keys, error) {
	k := &keys{files: files}
	// The secret keys are those of a ring of their own: unlocking writes into them.
	all, err := k.ring()
	if err != nil {
		return nil, err
	}
	for _, e := range all {
		k.addSecret(e.PrivateKey)
		for _, sub := range e.Subkeys {
			k.addSecret(sub.PrivateKey)
		}
	}
	return k, nil
}

// addSecret takes a secret key, unless the file has only a stub of it: then it is
// on a card, or was left out on purpose.
func (k *keys) addSecret(key *packet.PrivateKey) {
	if key != nil && !key.Dummy() {
		k.secrets = append(k.secrets, &secret{key: key})
	}
}

var armorStart = []byte("-----BEGIN PGP ")

// readKeyFile reads all keys of a file, which may hold several armored blocks.
func readKeyFile(file []byte) (openpgp.EntityList, error) {
	if !bytes.Contains(file, armorStart) {
		return openpgp.ReadKeyRing(bytes.NewReader(file))
	}
	var all openpgp.EntityList
	for r := bufio.NewReader(bytes.NewReader(file)); ; {
		block, err := armor.Decode(r)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if block.Type != openpgp.PublicKeyType && block.Type != openpgp.PrivateKeyType {
			return nil, fmt.Errorf("it holds a %s, not a key", block.Type)
		}
		entities, err := openpgp.ReadKeyRing(block.Body)
		if err != nil {
			return nil, err
		}
		all = append(all, entities...)
	}
	if len(all) == 0 {
		return nil, errors.New("it holds no key")
	}
	return all, nil
}
