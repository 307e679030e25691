package pgp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"

	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
)

// export returns the public keys that gpg has of an id.
func (p *program) export(id string) (openpgp.EntityList, error) {
	keys, err := p.ask("--export", "0x"+id)
	if err != nil || len(keys) == 0 {
		return nil, err
	}
	return openpgp.ReadKeyRing(bytes.NewReader(keys))
}

// hasSecret reports whether gpg knows where the secret part of a key is: with its
// agent, or on a card.
func (p *program) hasSecret(id string) (bool, error) {
	list, err := p.ask("--with-colons", "--list-secret-keys", "0x"+id)
	return len(list) > 0, err
}

// ask runs gpg for an answer about its key ring. It is empty if gpg has no such
// key, in which case gpg may exit as if it had failed.
func (p *program) ask(args ...string) ([]byte, error) {
	options := []string{"--batch", "--no-tty"}
	if p.home != "" {
		options = append(options, "--homedir", p.home)
	}
	cmd := exec.Command(p.path, append(options, args...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	answer, err := cmd.Output()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		return nil, fmt.Errorf("run gpg: %w", err)
	}
	return answer, nil
}

// gpgSealer has gpg make messages.
type gpgSealer struct {
	program *program
	args    []string
}

func newGPGSealer(p *program, c Sealing, to []recipient) (*gpgSealer, error) {
	id, err := parseKeyID(c.Sign)
	if err != nil {
		return nil, err
	}
	if known, err := p.hasSecret(id); err != nil || !known {
		return nil, errors.Join(err, fmt.Errorf("sign with %s: %w: its secret part is neither in the key files nor known to gpg", c.Sign, ErrUnusableKey))
	}
	args := []string{"--trust-model", "always", "--compress-algo", "zip", "--local-user", "0x" + id, "--sign"}
	if len(to) == 0 {
		if c.SignPassphrase != "" && c.SignPassphrase != c.Passphrase {
			return nil, errors.New("gpg takes one passphrase only, and so cannot encrypt with one and sign with another: " +
				"give it the key that signs without a passphrase, or in a key file")
		}
		g := &gpgSealer{program: p, args: append(args, "--symmetric")}
		return g, g.try()
	}
	for _, r := range to {
		option := "--recipient"
		if r.hidden {
			option = "--hidden-recipient"
		}
		args = append(args, option, fmt.Sprintf("%X!", r.key.Fingerprint)) // this very subkey
	}
	g := &gpgSealer{program: p, args: append(args, "--encrypt")}
	return g, g.try()
}

// try makes an empty message. gpg signs at the end of one: without that, who has
// forgotten a passphrase or a card would learn of it after the first volume.
func (g *gpgSealer) try() error {
	w, err := g.encrypt(io.Discard)
	if err != nil {
		return err
	}
	return w.Close()
}

// encrypt runs gpg as a filter. It ends when the message is closed.
func (g *gpgSealer) encrypt(w io.Writer) (io.WriteCloser, error) {
	cmd, statusR, files, err := g.program.command(context.Background(), g.args...)
	if err != nil {
		return nil, fmt.Errorf("run gpg: %w", err)
	}
	m := &gpgMessage{cmd: cmd, sink: sink{w: w}, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &m.sink, &m.stderr
	if m.stdin, err = cmd.StdinPipe(); err == nil {
		err = cmd.Start()
	}
	if err = closeAll(err, files); err != nil {
		return nil, fmt.Errorf("run gpg: %w", errors.Join(err, statusR.Close()))
	}
	// It ends when gpg, which alone has the other end now, does.
	go func() {
		defer close(m.done)
		defer statusR.Close()
		m.status.read(statusR)
	}()
	return m, nil
}

// gpgMessage is one that a running gpg makes.
type gpgMessage struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	sink   sink
	stderr tail
	status status
	done   chan struct{} // closed when status is complete
	err    error         // once gpg has ended
}

func (m *gpgMessage) Write(b []byte) (int, error) {
	if m.err != nil {
		return 0, m.err
	}
	n, err := m.stdin.Write(b)
	if err != nil { // gpg is gone, and says why
		if end := m.end(); end != nil {
			err = end
		}
		m.err = err
	}
	return n, err
}

func (m *gpgMessage) Close() error {
	if m.err != nil {
		return m.err
	}
	if err := m.end(); err != nil {
		m.err = err
		return err
	}
	m.err = errClosed
	return nil
}

// end waits until gpg has ended.
func (m *gpgMessage) end() error {
	closed := m.stdin.Close()
	err := m.cmd.Wait()
	<-m.done
	switch {
	case m.sink.err != nil:
		return m.sink.err
	case err == nil:
		return closed
	case m.status.badPassphrase:
		return fmt.Errorf("%w: it does not open the secret key; gpg says: %s", ErrPassphrase, &m.stderr)
	}
	return fmt.Errorf("encrypt by gpg: %w; gpg says: %s", err, &m.stderr)
}

// sink remembers why what is written to failed.
type sink struct {
	w   io.Writer
	err error
}

func (s *sink) Write(b []byte) (int, error) {
	n, err := s.w.Write(b)
	if err != nil {
		s.err = err
	}
	return n, err
}
