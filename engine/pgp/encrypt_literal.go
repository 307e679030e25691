package pgp

import (
	"crypto"
	"hash"
	"io"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

const tagLiteral = 11

// signer is the key that signs.
type signer struct {
	key  *packet.PrivateKey // unlocked
	hash crypto.Hash
}

// hashFor returns the hash that a key signs: SHA-256, or one that is as long as
// the key's curve (RFC 9580, sections 5.2.3.4 and 5.2.3.2).
func hashFor(key *packet.PublicKey) crypto.Hash {
	curve, err := key.Curve()
	if err != nil {
		return crypto.SHA256 // it has none
	}
	switch curve {
	case packet.CurveNistP384, packet.CurveBrainpoolP384:
		return crypto.SHA384
	case packet.CurveNistP521, packet.CurveBrainpoolP512, packet.Curve448:
		return crypto.SHA512
	}
	return crypto.SHA256
}

// Literal is the innermost layer of a message: data written to it are written to w
// as a packet of binary data without a name or time. If the message is to be
// signed, the announcement of the signature stands before, and the signature
// behind. The layer must be closed, which does not close w.
func (s *Sealer) Literal(w io.Writer) (io.WriteCloser, error) {
	if s.gpg != nil {
		return nil, errWhole
	}
	l := &literal{w: w, signer: s.signer}
	if s.signer != nil {
		if err := l.announce(); err != nil {
			return nil, err
		}
	}
	l.packet = newPacket(w, tagLiteral)
	const binary, noName, noTime = "b", "\x00", "\x00\x00\x00\x00"
	_, err := io.WriteString(l.packet, binary+noName+noTime)
	return l, err
}

type literal struct {
	w      io.Writer
	packet *packetWriter
	signer *signer   // nil: not signed
	hash   hash.Hash // of what is signed
}

func (l *literal) announce() error {
	l.hash = l.signer.hash.New()
	key := l.signer.key
	p := &packet.OnePassSignature{
		Version: 3, SigType: packet.SigTypeBinary, Hash: l.signer.hash,
		PubKeyAlgo: key.PubKeyAlgo, KeyId: key.KeyId, IsLast: true,
	}
	return p.Serialize(l.w)
}

func (l *literal) Write(b []byte) (int, error) {
	n, err := l.packet.Write(b)
	if l.signer != nil {
		l.hash.Write(b[:n])
	}
	return n, err
}

func (l *literal) Close() error {
	if err := l.packet.Close(); err != nil || l.signer == nil {
		return err
	}
	key := l.signer.key
	sig := &packet.Signature{
		Version: key.Version, SigType: packet.SigTypeBinary, Hash: l.signer.hash, PubKeyAlgo: key.PubKeyAlgo,
		CreationTime: time.Now(), IssuerKeyId: &key.KeyId, IssuerFingerprint: key.Fingerprint,
	}
	if err := sig.Sign(l.hash, key, libraryConfig()); err != nil {
		return err
	}
	return sig.Serialize(l.w)
}
