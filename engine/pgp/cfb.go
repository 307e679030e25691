package pgp

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/sha1"
	"crypto/subtle"
	"fmt"
	"hash"
	"io"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	//lint:ignore SA1019 gpg 1.4 encrypted with CAST5 when not told otherwise
	"golang.org/x/crypto/cast5"
)

const (
	// prefixSize covers the random prefix of the data for the longest blocks,
	// and two more bytes that repeat its end.
	prefixSize = aes.BlockSize + 2
	// mdcSize is that of the modification detection code at the end: a header of
	// two bytes and a SHA-1 (RFC 9580, section 5.13.1).
	mdcSize = 2 + sha1.Size
	// cfbChunk is decrypted at once; a multiple of every block size.
	cfbChunk = 64 << 10
)

// cfbReader decrypts data in OpenPGP's CFB mode and checks their modification
// detection code (RFC 9580, sections 5.13.1 and 12.9).
//
// It is the library's own work done in large pieces. CFB decryption, other than
// encryption, can: each block of key stream depends on the block of ciphertext
// before. That is 890 MB/s on a core where the library makes 230.
type cfbReader struct {
	src   io.Reader // ciphertext from its beginning
	block cipher.Block
	hash  hash.Hash

	raw    []byte // the block of ciphertext before, and a chunk
	stream []byte // key stream of a chunk
	held   []byte // the end of the chunk before, which may have been the code
	plain  []byte // held, and a chunk
	out    []byte // of plain, still to be read
	skip   int    // bytes of prefix before the data
	err    error
}

func newBlock(c packet.CipherFunction, key []byte) (cipher.Block, error) {
	switch c {
	case packet.CipherAES128, packet.CipherAES192, packet.CipherAES256:
		return aes.NewCipher(key)
	case packet.Cipher3DES:
		return des.NewTripleDESCipher(key)
	case packet.CipherCAST5:
		return cast5.NewCipher(key)
	}
	return nil, fmt.Errorf("%w: unknown cipher %d", ErrCorrupt, c)
}

// newCFB returns the reader for a session key, or errOtherKey if the prefix,
// prefixSize bytes of ciphertext, says that the key is another one. A wrong key
// passes this test once in 65536 times.
func newCFB(s sessionKey, prefix []byte, rest io.Reader) (io.Reader, error) {
	block, err := newBlock(s.cipher, s.key)
	if err != nil {
		return nil, errOtherKey
	}
	size := block.BlockSize()
	c := &cfbReader{
		src:   io.MultiReader(bytes.NewReader(prefix), rest),
		block: block, hash: sha1.New(), skip: size + 2,
		raw: make([]byte, size+cfbChunk), stream: make([]byte, cfbChunk), plain: make([]byte, mdcSize+cfbChunk),
		held: make([]byte, 0, mdcSize),
	}
	test := make([]byte, size+2)
	copy(c.raw[size:], prefix[:size+2])
	c.decrypt(test)
	if test[size-2] != test[size] || test[size-1] != test[size+1] {
		return nil, errOtherKey
	}
	return c, nil
}

// decrypt decrypts the beginning of the chunk in raw, which follows the block
// before it.
func (c *cfbReader) decrypt(dst []byte) {
	size := c.block.BlockSize()
	for i := 0; i < len(dst); i += size {
		c.block.Encrypt(c.stream[i:], c.raw[i:])
	}
	subtle.XORBytes(dst, c.raw[size:], c.stream[:len(dst)])
}

// Read reads the data. It gives away nothing of the last chunk if the code is
// wrong.
func (c *cfbReader) Read(b []byte) (int, error) {
	for len(c.out) == 0 {
		if c.err != nil {
			return 0, c.err
		}
		c.err = c.fill()
	}
	n := copy(b, c.out)
	c.out = c.out[n:]
	return n, nil
}

// fill decrypts a chunk. The error is io.EOF when it was the last one.
func (c *cfbReader) fill() error {
	size := c.block.BlockSize()
	n, err := readFull(c.src, c.raw[size:])
	if err != nil && err != io.EOF {
		return err
	}
	have := c.plain[:len(c.held)+n]
	c.decrypt(have[copy(have, c.held):])
	copy(c.raw, c.raw[n:n+size])
	if len(have) < mdcSize {
		return fmt.Errorf("%w: cut off", ErrCorrupt)
	}
	body, code := have[:len(have)-mdcSize], have[len(have)-mdcSize:]
	c.hash.Write(body)
	if err == io.EOF {
		if err := c.check(code); err != nil {
			return err
		}
	}
	skipped := min(c.skip, len(body))
	c.skip -= skipped
	c.out = body[skipped:]
	c.held = append(c.held[:0], code...)
	return err
}

func (c *cfbReader) check(code []byte) error {
	const header = "\xd3\x14"
	c.hash.Write(code[:len(header)])
	if string(code[:len(header)]) != header || subtle.ConstantTimeCompare(c.hash.Sum(nil), code[len(header):]) != 1 {
		return fmt.Errorf("%w: its content was changed", ErrCorrupt)
	}
	return nil
}

// readFull is io.ReadFull, but says io.EOF wherever r ends.
func readFull(r io.Reader, b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var k int
		k, err = r.Read(b[n:])
		n += k
	}
	return n, err
}
