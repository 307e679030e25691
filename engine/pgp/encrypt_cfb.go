package pgp

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha1"
	"crypto/subtle"
	"hash"
)

// cfbWriter encrypts data in OpenPGP's CFB mode, and adds their modification
// detection code when it is closed: the other side of cfbReader.
//
// A block of key stream is the encrypted block of ciphertext before, which is the
// block of data before, combined with its own block of key stream. So the key
// stream is the data encrypted in CBC mode, which the standard library does in
// one go for a whole chunk. With the hash that is 460 MB/s on a core where the
// library makes 190 to 280, and about as much as gpg.
type cfbWriter struct {
	packet *packetWriter
	chain  cipher.BlockMode // CBC of the data
	hash   hash.Hash

	plain  []byte // a chunk
	used   int    // of it
	stream []byte // key stream of a chunk, and the block that follows
	out    []byte // a chunk's ciphertext
	err    error
}

// newCFBWriter begins the data with a random block, the last two bytes of which
// are repeated.
func newCFBWriter(packet *packetWriter, key []byte) (*cfbWriter, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	c := &cfbWriter{
		packet: packet, hash: sha1.New(), used: prefixSize,
		plain: make([]byte, cfbChunk), stream: make([]byte, aes.BlockSize+cfbChunk), out: make([]byte, cfbChunk),
	}
	first := c.stream[:aes.BlockSize]
	block.Encrypt(first, first)
	c.chain = cipher.NewCBCEncrypter(block, first)
	random := c.plain[:aes.BlockSize]
	rand.Read(random) // never fails
	copy(c.plain[aes.BlockSize:prefixSize], random[aes.BlockSize-2:])
	return c, nil
}

// Write encrypts data.
func (c *cfbWriter) Write(b []byte) (n int, err error) {
	for n < len(b) {
		if c.err != nil {
			return n, c.err
		}
		k := copy(c.plain[c.used:], b[n:])
		c.used += k
		n += k
		if c.used == cfbChunk {
			c.hash.Write(c.plain)
			c.flush()
		}
	}
	return n, c.err
}

// Close ends the packet. It does not close what is below.
func (c *cfbWriter) Close() error {
	if c.err != nil {
		return c.err
	}
	const header = "\xd3\x14"
	c.hash.Write(c.plain[:c.used])
	c.hash.Write([]byte(header))
	for _, b := range c.hash.Sum([]byte(header)) {
		if c.used == cfbChunk {
			c.flush()
		}
		c.plain[c.used] = b
		c.used++
	}
	c.flush()
	if c.err == nil {
		c.err = c.packet.Close()
	}
	if c.err != nil {
		return c.err
	}
	c.err = errClosed
	return nil
}

// flush encrypts what is in plain. Only the last time it is no whole chunk.
func (c *cfbWriter) flush() {
	whole := (c.used + aes.BlockSize - 1) &^ (aes.BlockSize - 1)
	c.chain.CryptBlocks(c.stream[aes.BlockSize:], c.plain[:whole])
	subtle.XORBytes(c.out, c.plain[:c.used], c.stream)
	copy(c.stream, c.stream[whole:][:aes.BlockSize])
	if c.err == nil {
		_, c.err = c.packet.Write(c.out[:c.used])
	}
	c.used = 0
}
