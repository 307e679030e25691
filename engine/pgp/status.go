package pgp

import (
	"bufio"
	"errors"
	"io"
	"strconv"
	"strings"
)

// status is what gpg says to programs (GnuPG, doc/DETAILS, "Format of the
// --status-fd output").
type status struct {
	began      bool // a session key was found
	decrypted  bool
	failed     bool
	unmodified bool
	modified   bool

	badPassphrase bool
	missing       []string // ids of secret keys
	verdicts      []verdict
}

// gpgBadPassphrase is GPG_ERR_BAD_PASSPHRASE of libgpg-error.
const gpgBadPassphrase = 11

// maxStatusLine bounds a line, which holds at most a user id or a file name.
const maxStatusLine = 16 << 10

func (s *status) read(r io.Reader) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxStatusLine)
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), "[GNUPG:] "); ok {
			fields := strings.Fields(rest)
			if len(fields) > 0 {
				s.line(fields[0], fields[1:])
			}
		}
	}
	if lines.Err() != nil {
		s.failed = true // something was missed
		_, _ = io.Copy(io.Discard, r)
	}
}

func (s *status) line(keyword string, args []string) {
	first, last := "", ""
	if len(args) > 0 {
		first, last = args[0], args[len(args)-1]
	}
	switch keyword {
	case "DECRYPTION_INFO":
		s.began = true
	case "DECRYPTION_OKAY":
		s.decrypted = true
	case "DECRYPTION_FAILED":
		s.failed = true
	case "FAILURE":
		s.failed = true
		// "sign-encrypt 67108875": where it comes from, and in 16 bits what it is.
		if n, err := strconv.ParseUint(last, 10, 32); err == nil && n&0xffff == gpgBadPassphrase {
			s.badPassphrase = true
		}
	case "GOODMDC":
		s.unmodified = true
	case "BADMDC":
		s.modified = true
	case "BAD_PASSPHRASE", "MISSING_PASSPHRASE":
		s.badPassphrase = true
	case "ERROR":
		// "symkey_decrypt.maybe_error 11_BAD_PASSPHRASE", "pkdecrypt_failed 11"
		if len(args) > 1 && (strings.HasSuffix(args[1], "_BAD_PASSPHRASE") || args[1] == "11" || args[1] == "67108875") {
			s.badPassphrase = true
		}
	case "NO_SECKEY":
		if strings.Trim(first, "0") == "" {
			first = "a hidden key"
		}
		s.missing = append(s.missing, first)
	default:
		s.signature(keyword, first, args)
	}
}

// signature takes lines about signatures. The VALIDSIG of a good one follows its
// GOODSIG, or the EXPKEYSIG of a key that has expired since.
func (s *status) signature(keyword, id string, args []string) {
	switch keyword {
	case "GOODSIG", "EXPKEYSIG":
		s.verdicts = append(s.verdicts, verdict{Signer: Signer{KeyID: id}, err: errors.New("gpg does not call it valid")})
	case "VALIDSIG":
		if n := len(s.verdicts); n > 0 && s.verdicts[n-1].err != nil && strings.HasSuffix(id, s.verdicts[n-1].KeyID) {
			v := &s.verdicts[n-1]
			v.Fingerprint = args[len(args)-1]
			v.fingerprints = []string{v.Fingerprint, id}
			v.err = nil
		}
	case "BADSIG", "EXPSIG", "REVKEYSIG":
		s.verdicts = append(s.verdicts, verdict{Signer: Signer{KeyID: id}, err: errors.New("gpg says " + keyword)})
	case "ERRSIG":
		const noPublicKey = "9"
		v := verdict{Signer: Signer{KeyID: id}}
		if len(args) < 6 || args[5] != noPublicKey {
			v.err = errors.New("gpg cannot check it")
		}
		s.verdicts = append(s.verdicts, v)
	}
}
