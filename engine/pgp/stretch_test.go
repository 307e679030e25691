package pgp

import (
	"crypto"
	"crypto/sha1"
	"slices"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp/s2k"
	"github.com/google/go-cmp/cmp"
)

// A key is the one that the library makes, whatever the sizes.
func TestStretching(t *testing.T) {
	t.Parallel()
	for count := range maxCount/2 + 1 { // the slow ones are in real messages
		for _, passphrase := range []string{"", "a", "isotherm", string(make([]byte, 500)), string(make([]byte, 1017)), string(make([]byte, 3000))} {
			how := stretching{hash: crypto.SHA1, salt: [8]byte{1, 2, byte(count)}, count: byte(count), size: 32}
			want := make([]byte, how.size)
			s2k.Iterated(want, sha1.New(), []byte(passphrase), how.salt[:], how.bytes())
			if got := how.key([]byte(passphrase)); !slices.Equal(got, want) {
				t.Errorf("count %d, passphrase of %d bytes: %x, want %x", count, len(passphrase), got, want)
			}
		}
	}
}

func TestStretched(t *testing.T) {
	t.Parallel()
	var s stretched
	how := func(i int) stretching { return stretching{hash: crypto.SHA1, salt: [8]byte{byte(i)}, size: 16} }
	for range 2 {
		for i := range maxRecent + 5 {
			if diff := cmp.Diff(how(i).key([]byte("secret")), s.key(how(i), []byte("secret"))); diff != "" {
				t.Errorf("key %d (-want +got):\n%s", i, diff)
			}
		}
	}
	if len(s.recent) != maxRecent {
		t.Errorf("%d keys are remembered", len(s.recent))
	}
}

// A packet is read as it was written.
func TestPassphrasePacket(t *testing.T) {
	t.Parallel()
	key := newSealingKey("secret")
	want := passphrasePacket{cipher: 9, how: key.how}
	session := sessionKey{cipher: 7, key: []byte("sixteen bytes...")}
	if err := want.wrap(key.key, session); err != nil {
		t.Fatal(err)
	}
	got, ok := parsePassphrase(want.body())
	if diff := cmp.Diff(&want, got, cmp.AllowUnexported(passphrasePacket{}, stretching{})); !ok || diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got, ok := got.unwrap(key.key); !ok || got.cipher != session.cipher || !slices.Equal(got.key, session.key) {
		t.Errorf("session key %v, %v, want %v", got, ok, session)
	}
	for n := range len(want.body()) {
		if p, ok := parsePassphrase(want.body()[:n]); ok {
			p.unwrap(key.key) // must not panic
		}
	}
}
