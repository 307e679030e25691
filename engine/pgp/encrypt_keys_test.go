package pgp

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/isotherm-backup/isotherm/internal/duptest"
)

// unattended are arguments of gpg that say the passphrase of keys: that of the
// sandbox, or none.
func unattended(box *duptest.Sandbox, args ...string) []string {
	return append([]string{"--pinentry-mode", "loopback", "--passphrase", box.Passphrase}, args...)
}

// generate makes a key and returns its fingerprint. Its time is that of options, if
// they say one.
func generate(t testing.TB, box *duptest.Sandbox, user, algorithm, usage, expire string, options ...string) string {
	t.Helper()
	box.GPG(nil, unattended(box, append(options, "--quick-generate-key", user, algorithm, usage, expire)...)...)
	return fingerprint(t, box, user)
}

func fingerprint(t testing.TB, box *duptest.Sandbox, user string) string {
	t.Helper()
	for line := range strings.Lines(string(box.GPG(nil, "--list-keys", "--with-colons", user))) {
		if rest, ok := strings.CutPrefix(line, "fpr:::::::::"); ok {
			id, _, _ := strings.Cut(rest, ":")
			return id
		}
	}
	t.Fatalf("gpg has no key of %s", user)
	return ""
}

func addSubkey(box *duptest.Sandbox, id, algorithm, usage, expire string, options ...string) {
	box.GPG(nil, unattended(box, append(options, "--quick-add-key", id, algorithm, usage, expire)...)...)
}

// revoke revokes a key by the certificate that gpg made with it.
func revoke(t testing.TB, box *duptest.Sandbox, id string) {
	t.Helper()
	certificate, err := os.ReadFile(filepath.Join(box.GNUPGHome(), "openpgp-revocs.d", id+".rev"))
	if err != nil {
		t.Fatal(err)
	}
	certificate = bytes.Replace(certificate, []byte("\n:-----"), []byte("\n-----"), 1)
	box.GPG(bytes.NewReader(certificate), "--import")
}

// collision returns a key file with two keys whose short ids are the same: one key
// with two times, found by trying.
func collision(t testing.TB) (file []byte, short string) {
	t.Helper()
	secret, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	write := func(at time.Time) {
		key := packet.NewRSAPrivateKey(at, secret)
		user := packet.NewUserId("same", "", "same@fixtures.invalid")
		sig := &packet.Signature{
			Version: 4, SigType: packet.SigTypePositiveCert, PubKeyAlgo: key.PubKeyAlgo, Hash: crypto.SHA256,
			CreationTime: at, IssuerKeyId: &key.KeyId, FlagsValid: true, FlagEncryptStorage: true,
		}
		err := errors.Join(sig.SignUserId(user.Id, &key.PublicKey, key, nil), key.PublicKey.Serialize(&b), user.Serialize(&b), sig.Serialize(&b))
		if err != nil {
			t.Fatal(err)
		}
	}
	seen := make(map[uint32]time.Time)
	for at := time.Unix(1e9, 0); ; at = at.Add(time.Second) {
		id := uint32(packet.NewRSAPublicKey(at, &secret.PublicKey).KeyId)
		if other, ok := seen[id]; ok {
			write(at)
			write(other)
			return b.Bytes(), fmt.Sprintf("%08x", id)
		}
		seen[id] = at
	}
}

// TestUnusableKeys names keys that cannot be used, in key files and in gpg's key
// ring: each error says why.
func TestUnusableKeys(t *testing.T) {
	t.Parallel()
	box := duptest.New(t)
	const past, future = "20200101T000000", "20900101T000000"
	expired := generate(t, box, "expired@fixtures.invalid", "ed25519", "sign", "1d", "--faked-system-time", past)
	subkey := generate(t, box, "subkey@fixtures.invalid", "ed25519", "sign", "never", "--faked-system-time", past)
	addSubkey(box, subkey, "cv25519", "encr", "1d", "--faked-system-time", past)
	unborn := generate(t, box, "unborn@fixtures.invalid", "ed25519", "sign", "never", "--faked-system-time", future)
	signs := generate(t, box, "signs@fixtures.invalid", "ed25519", "sign", "never")
	certifies := generate(t, box, "certifies@fixtures.invalid", "ed25519", "cert", "never")
	addSubkey(box, certifies, "cv25519", "encr", "never")
	revoked := generate(t, box, "revoked@fixtures.invalid", "ed25519", "sign", "never")
	addSubkey(box, revoked, "cv25519", "encr", "never")
	revoke(t, box, revoked)
	foreign := fixtureKey(t, "public.asc")
	box.GPG(bytes.NewReader(foreign), "--import")
	double, short := collision(t)
	box.GPG(bytes.NewReader(double), "--import")
	tests := []struct {
		name string
		c    Sealing
		want string
	}{
		{"unknown", Sealing{Recipients: []string{"0123456789ABCDEF"}}, "encrypt to 0123456789ABCDEF: unusable key: there is none of this name in the key files or gpg's key ring"},
		{"unknown signer", Sealing{Recipients: []string{keyA}, Sign: "0123456789ABCDEF"}, "sign with 0123456789ABCDEF: unusable key: there is none"},
		{"expired", Sealing{Recipients: []string{expired}}, "encrypt to " + expired + ": unusable key: the key has expired"},
		{"expired subkey", Sealing{HiddenRecipients: []string{subkey}}, "has expired"},
		{"unborn", Sealing{Recipients: []string{unborn}}, "2090-01-01"},
		{"revoked", Sealing{Recipients: []string{revoked}}, "the key was revoked"},
		{"for signing", Sealing{Recipients: []string{signs}}, "it is not made for encryption"},
		{"for certifying", Sealing{Recipients: []string{keyA}, Sign: certifies}, "it is not made for signing"},
		{"signs and expired", Sealing{Recipients: []string{keyA}, Sign: expired}, "the key has expired"},
		{"no secret", Sealing{Recipients: []string{keyA}, Sign: keyB}, "its secret part is neither in the key files nor known to gpg"},
		{"ambiguous", Sealing{Recipients: []string{short}}, "there is more than one of this name"},
	}
	exported := box.GPG(nil, "--export")
	for _, tt := range tests {
		for where, files := range map[string][][]byte{"key ring": nil, "files": {exported}} {
			t.Run(tt.name+", "+where, func(t *testing.T) {
				t.Parallel()
				c := tt.c
				c.Keys, c.GPGHome = files, box.GNUPGHome()
				_, err := NewSealer(c)
				if !errors.Is(err, ErrUnusableKey) || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %v, want %v with %q", err, ErrUnusableKey, tt.want)
				}
			})
		}
	}
}

func TestSealerErrors(t *testing.T) {
	t.Parallel()
	box := duptest.New(t)
	box.Passphrase = "lock"
	id := generate(t, box, "locked@fixtures.invalid", "ed25519", "sign", "never")
	addSubkey(box, id, "cv25519", "encr", "never")
	locked := box.GPG(nil, unattended(box, "--export-secret-keys")...)
	const secret = "the secret of the test"
	tests := []struct {
		name string
		c    Sealing
		kind error
		want string
	}{
		{"nothing", Sealing{}, nil, "neither a recipient nor a passphrase"},
		{"no name", Sealing{Recipients: []string{"somebody"}}, nil, `"somebody" is neither a fingerprint nor a key id`},
		{"no key file", Sealing{Recipients: []string{keyA}, Keys: [][]byte{[]byte("no key")}}, nil, "key file 1"},
		{"wrong passphrase", Sealing{Recipients: []string{id}, Sign: id, Keys: [][]byte{locked}, Passphrase: secret, SignPassphrase: secret + "2"}, ErrPassphrase, "does not open the secret key"},
		{"no passphrase", Sealing{Recipients: []string{id}, Sign: id, Keys: [][]byte{locked}}, ErrPassphrase, "none was given"},
	}
	for _, tt := range tests {
		tt.c.GPGHome = box.GNUPGHome()
		_, err := NewSealer(tt.c)
		if err == nil || tt.kind != nil && !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: error %v, want %q", tt.name, err, tt.want)
		}
	}
	for _, c := range []Sealing{{Passphrase: "lock"}, {Passphrase: "other", SignPassphrase: "lock"}} {
		c.Sign, c.Recipients, c.Keys, c.GPGHome = id, []string{id}, [][]byte{locked}, box.GNUPGHome()
		if s := newSealer(t, c); s.Whole() {
			t.Error("what the key file has is left to gpg")
		}
	}
}

// TestPreferences uses another cipher if a recipient wants another.
func TestPreferences(t *testing.T) {
	t.Parallel()
	box := duptest.New(t)
	list := func(user, preferences string) string {
		id := generate(t, box, user, "ed25519", "sign", "never", "--default-preference-list", preferences)
		addSubkey(box, id, "cv25519", "encr", "never")
		return id
	}
	weak := list("weak@fixtures.invalid", "AES CAST5 SHA256 ZIP")
	strong := list("strong@fixtures.invalid", "AES256 AES192 AES SHA256 ZIP")
	old := list("old@fixtures.invalid", "CAST5 3DES SHA256 ZIP")
	tests := []struct {
		to   []string
		want packet.CipherFunction
	}{
		{[]string{strong}, packet.CipherAES256},
		{[]string{strong, weak}, packet.CipherAES128},
		{[]string{old}, packet.CipherAES128},
	}
	for _, tt := range tests {
		s := newSealer(t, Sealing{Recipients: tt.to, GPGHome: box.GNUPGHome()})
		file := filepath.Join(t.TempDir(), "status")
		content := box.GPG(bytes.NewReader(encryptAll(t, s, []byte("content"))), unattended(box, "--status-file", file, "--decrypt")...)
		status, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("DECRYPTION_INFO 2 %d 0\n", tt.want); string(content) != "content" || !strings.Contains(string(status), want) {
			t.Errorf("content %q; gpg does not say %q:\n%s", content, want, status)
		}
	}
}

// TestSigners signs with all kinds of keys that gpg makes, and with the subkey that
// is named.
func TestSigners(t *testing.T) {
	t.Parallel()
	box := duptest.New(t)
	for _, algorithm := range []string{"dsa1024", "nistp256", "nistp384", "nistp521", "brainpoolP512r1"} {
		t.Run(algorithm, func(t *testing.T) {
			id := generate(t, box, algorithm+"@fixtures.invalid", algorithm, "sign", "never")
			secret := box.GPG(nil, unattended(box, "--export-secret-keys", id)...)
			s := newSealer(t, Sealing{Passphrase: "isotherm", Sign: id, Keys: [][]byte{secret}, GPGHome: box.GNUPGHome()})
			content := sample(100_000)
			checkGPG(t, box, encryptAll(t, s, content), content, id, 0)
		})
	}
	primary := generate(t, box, "primary@fixtures.invalid", "ed25519", "sign", "never")
	addSubkey(box, primary, "ed25519", "sign", "never")
	list := strings.Split(string(box.GPG(nil, "--list-keys", "--with-colons", primary)), "fpr:::::::::")
	subkey, _, _ := strings.Cut(list[len(list)-1], ":")
	secret := box.GPG(nil, unattended(box, "--export-secret-keys", primary)...)
	for _, name := range []string{primary, subkey, "0x" + subkey[24:]} {
		s := newSealer(t, Sealing{Passphrase: "isotherm", Sign: name, Keys: [][]byte{secret}, GPGHome: box.GNUPGHome()})
		checkGPG(t, box, encryptAll(t, s, []byte("content")), []byte("content"), subkey, 0)
	}
}
