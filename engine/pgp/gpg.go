package pgp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// program runs gpg.
type program struct {
	path, home string
	passphrase string
}

func findGPG(home, passphrase string) (*program, error) {
	path, err := exec.LookPath("gpg")
	if err != nil {
		return nil, fmt.Errorf("gpg is to be used, but is not installed: %w", err)
	}
	return &program{path: path, home: home, passphrase: passphrase}, nil
}

// Descriptors of the process beside the standard ones, as exec.Cmd numbers its
// ExtraFiles.
const (
	statusFD     = "3"
	passphraseFD = "4"
)

// killDelay is how long a killed gpg may keep the streams open.
const killDelay = 5 * time.Second

// decrypt runs gpg as a filter.
func (p *program) decrypt(ctx context.Context, src *source, policy policy) (*Message, error) {
	ctx, cancel := context.WithCancel(ctx)
	run := &gpgRun{ctx: ctx, src: src, done: make(chan struct{})}
	if err := run.start(p); err != nil {
		cancel()
		return nil, fmt.Errorf("run gpg: %w", err)
	}
	finish := func() ([]Signer, error) {
		defer cancel()
		all, err := run.verdicts()
		if err != nil {
			return nil, err
		}
		return policy.judge(all)
	}
	return &Message{
		src: src, content: run.stdout, finish: finish,
		close: func() error {
			cancel()
			run.wait()
			return nil
		},
	}, nil
}

// gpgRun is one running gpg.
type gpgRun struct {
	ctx    context.Context
	src    *source
	cmd    *exec.Cmd
	stdout io.ReadCloser
	stderr tail
	status status
	done   chan struct{} // closed when status is complete
	waited bool
	err    error // of the process
}

func (g *gpgRun) start(p *program) error {
	cmd, statusR, files, err := p.command(g.ctx, "--decrypt")
	if err != nil {
		return err
	}
	g.cmd = cmd
	g.cmd.Stdin, g.cmd.Stderr = g.src, &g.stderr
	g.cmd.WaitDelay = killDelay
	if g.stdout, err = g.cmd.StdoutPipe(); err == nil {
		err = g.cmd.Start()
	}
	if err = closeAll(err, files); err != nil {
		return errors.Join(err, statusR.Close())
	}
	// It ends when gpg, which alone has the other end now, does.
	go func() {
		defer close(g.done)
		defer statusR.Close()
		g.status.read(statusR)
	}()
	return nil
}

// command prepares gpg to be started with arguments. It will write what it has to
// say to programs into status; files are those that it inherits, to be closed once
// it has started.
func (p *program) command(ctx context.Context, args ...string) (cmd *exec.Cmd, status *os.File, files []*os.File, err error) {
	options := []string{"--batch", "--no-tty", "--status-fd", statusFD}
	if p.home != "" {
		options = append(options, "--homedir", p.home)
	}
	status, statusW, err := os.Pipe()
	if err != nil {
		return nil, nil, nil, err
	}
	files = []*os.File{statusW}
	if p.passphrase != "" {
		options = append(options, "--pinentry-mode", "loopback", "--passphrase-fd", passphraseFD)
		f, err := passphrasePipe(p.passphrase)
		if err != nil {
			return nil, nil, nil, errors.Join(err, status.Close(), statusW.Close())
		}
		files = append(files, f)
	}
	cmd = exec.CommandContext(ctx, p.path, append(options, args...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.ExtraFiles = files
	return cmd, status, files, nil
}

// closeAll closes files, and adds what goes wrong with that to an error.
func closeAll(err error, files []*os.File) error {
	for _, f := range files {
		err = errors.Join(err, f.Close())
	}
	return err
}

// passphrasePipe returns a pipe that holds a line with the passphrase, which is
// far shorter than what a pipe takes without a reader.
func passphrasePipe(passphrase string) (*os.File, error) {
	const pipeBuffer = 4096
	if len(passphrase) >= pipeBuffer {
		return nil, fmt.Errorf("passphrase of more than %d bytes", pipeBuffer)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(w, passphrase+"\n"); err != nil {
		return nil, errors.Join(err, r.Close(), w.Close())
	}
	return r, w.Close()
}

// wait waits until the process and its streams have ended.
func (g *gpgRun) wait() {
	if g.waited {
		return
	}
	g.waited = true
	g.err = g.cmd.Wait()
	<-g.done
}

// verdicts returns what gpg says of signatures, or why it did not decrypt.
func (g *gpgRun) verdicts() ([]verdict, error) {
	g.wait()
	if g.src.err != nil {
		return nil, g.src.err
	}
	if err := g.ctx.Err(); err != nil {
		return nil, err
	}
	s := &g.status
	if s.decrypted && s.unmodified && !s.failed {
		if _, exited := errors.AsType[*exec.ExitError](g.err); g.err == nil || exited && len(s.verdicts) > 0 {
			return s.verdicts, nil // with unknown signers it exits with 2
		}
	}
	return nil, fmt.Errorf("%w; gpg says: %s", g.kind(), g.stderr.String())
}

// kind says why gpg did not decrypt.
func (g *gpgRun) kind() error {
	s := &g.status
	switch {
	case s.modified:
		return fmt.Errorf("%w: its content was changed", ErrCorrupt)
	case s.badPassphrase:
		return ErrPassphrase
	case len(s.missing) > 0 && !s.began:
		return noKeyError(s.missing)
	}
	return ErrCorrupt
}

// tail keeps the end of what gpg says to people.
type tail struct{ b []byte }

const maxTail = 2000

func (t *tail) Write(b []byte) (int, error) {
	t.b = append(t.b, b...)
	t.b = t.b[max(0, len(t.b)-maxTail):]
	return len(b), nil
}

// String is one line.
func (t *tail) String() string {
	return strings.Join(strings.FieldsFunc(string(bytes.ToValidUTF8(t.b, []byte("?"))), func(r rune) bool { return r == '\n' }), "; ")
}
