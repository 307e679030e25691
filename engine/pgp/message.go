package pgp

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"
	"strings"

	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zlib"
)

const bufferSize = 64 << 10

// decrypt opens a message by the library.
func (k *Keyring) decrypt(src *source) (*Message, error) {
	outer := bufio.NewReaderSize(src, bufferSize)
	e, data, err := readEnvelope(outer)
	if err != nil {
		return nil, src.blame(err)
	}
	plain, err := k.openData(e, data)
	if err != nil {
		return nil, src.blame(err)
	}
	return k.message(src, plain, func() error {
		if _, err := outer.Peek(1); err != io.EOF {
			return errors.Join(fmt.Errorf("%w: something follows it", ErrCorrupt), err)
		}
		return nil
	})
}

// message reads the packets that were encrypted. Behind them, atEnd says whether
// the rest is in order.
func (k *Keyring) message(src *source, plain io.Reader, atEnd func() error) (*Message, error) {
	inner, err := decompress(bufio.NewReaderSize(plain, bufferSize))
	if err != nil {
		return nil, src.blame(err)
	}
	ring, err := k.keys.ring()
	if err != nil {
		return nil, err
	}
	details, err := openpgp.ReadMessage(inner, ring, nil, libraryConfig())
	if err != nil {
		return nil, src.blame(noEOF(err))
	}
	return &Message{
		src: src, content: details.UnverifiedBody, close: func() error { return nil },
		finish: func() ([]Signer, error) {
			if err := atEnd(); err != nil {
				return nil, err
			}
			all := verdicts(details)
			k.keys.putRing(ring)
			return k.policy.judge(all)
		},
	}, nil
}

// decompress returns the packets inside a compressed packet, or br if there is
// none. The library would do that itself, but with the standard inflate, which
// takes more than twice as long.
func decompress(br *bufio.Reader) (*bufio.Reader, error) {
	first, err := br.Peek(1)
	if err != nil {
		return nil, noEOF(err)
	}
	if tagOf(first[0]) != tagCompressed {
		return br, nil
	}
	body, err := compressedBody(br)
	if err != nil {
		return nil, err
	}
	algorithm, err := body.ReadByte()
	if err != nil {
		return nil, noEOF(err)
	}
	var r io.Reader
	switch packet.CompressionAlgo(algorithm) {
	case packet.CompressionNone:
		r = body
	case packet.CompressionZIP:
		r = flate.NewReader(body)
	case packet.CompressionZLIB:
		r, err = zlib.NewReader(body)
	case compressionBZip2:
		r = bzip2.NewReader(body)
	default:
		err = fmt.Errorf("%w: unknown compression %d", ErrCorrupt, algorithm)
	}
	if err != nil {
		return nil, err
	}
	return bufio.NewReaderSize(&layer{inner: r, outer: br}, bufferSize), nil
}

// compressionBZip2 is RFC 9580, section 9.4; the library reads it but has no name
// for it.
const compressionBZip2 = 3

// compressedBody returns the body of the compressed packet that br begins with.
func compressedBody(br *bufio.Reader) (*bufio.Reader, error) {
	first, err := br.ReadByte()
	if err != nil {
		return nil, noEOF(err)
	}
	// gpg writes an old header of indeterminate length: the rest is the body.
	const oldIndeterminate = 0xa3
	if first == oldIndeterminate {
		return br, nil
	}
	// Any other length the library is to take off. Of a packet of type 9, other
	// than of a compressed one, it leaves the body alone.
	const newMark, tagEncrypted = 0x40, 9
	if first&newMark != 0 {
		first = first&^0x3f | tagEncrypted
	} else {
		first = first&^0x3c | tagEncrypted<<2
	}
	p, err := packet.Read(io.MultiReader(bytes.NewReader([]byte{first}), br))
	if err != nil {
		return nil, noEOF(err)
	}
	return bufio.NewReaderSize(p.(*packet.SymmetricallyEncrypted).Contents, bufferSize), nil
}

// layer is decompressed data. At their end it reads what is below to its end, so
// that this is checked too.
type layer struct {
	inner io.Reader
	outer *bufio.Reader
}

func (l *layer) Read(b []byte) (int, error) {
	n, err := l.inner.Read(b)
	if err == io.EOF {
		if _, bad := io.Copy(io.Discard, l.outer); bad != nil {
			err = bad
		}
	}
	return n, err
}

// policy is what Config demands of signatures.
type policy struct {
	signedBy      []string // upper case
	acceptUnknown bool
}

// verdict is what is known of one signature.
type verdict struct {
	Signer
	fingerprints []string // by which the signer may be demanded
	err          error    // what is wrong with it
}

// verdicts returns those on the signatures of a message that was read to its end.
func verdicts(details *openpgp.MessageDetails) []verdict {
	var all []verdict
	for _, c := range details.SignatureCandidates {
		v := verdict{Signer: Signer{KeyID: keyID(c.IssuerKeyId)}}
		switch {
		case c.SignatureError == nil && c.SignedBy != nil:
			primary := c.SignedBy.Entity.PrimaryKey
			v.Fingerprint = fmt.Sprintf("%X", primary.Fingerprint)
			v.fingerprints = []string{v.Fingerprint, fmt.Sprintf("%X", c.SignedBy.PublicKey.Fingerprint)}
		case c.SignedByEntity == nil && (c.SignatureError == nil || errors.Is(c.SignatureError, pgperrors.ErrUnknownIssuer)):
		default:
			v.err = c.SignatureError
		}
		all = append(all, v)
	}
	return all
}

// judge returns the signers, or an error if the policy does not accept them.
func (p policy) judge(all []verdict) ([]Signer, error) {
	var signers []Signer
	var unknown []string
	good, demanded := false, false
	for _, v := range all {
		if v.err != nil {
			return nil, fmt.Errorf("%w by key %s: %w", ErrSignature, v.KeyID, v.err)
		}
		signers = append(signers, v.Signer)
		if v.Fingerprint == "" {
			unknown = append(unknown, v.KeyID)
			continue
		}
		good = true
		demanded = demanded || p.demands(v.fingerprints)
	}
	switch {
	case demanded || len(p.signedBy) == 0 && (good || len(unknown) == 0 || p.acceptUnknown):
		return signers, nil
	case len(all) == 0:
		return nil, fmt.Errorf("%w: the message is not signed", ErrSignature)
	case len(unknown) > 0:
		return nil, fmt.Errorf("%w, %s", ErrUnknownSigner, strings.Join(unknown, ", "))
	}
	return nil, fmt.Errorf("%w: signed by %s, not by %s", ErrSignature, signers[0].Fingerprint, strings.Join(p.signedBy, " or "))
}

func (p policy) demands(fingerprints []string) bool {
	for _, f := range fingerprints {
		for _, id := range p.signedBy {
			if strings.HasSuffix(f, id) {
				return true
			}
		}
	}
	return false
}
