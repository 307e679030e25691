package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/term"
)

// app is what every command shares: the streams, the environment and the
// global flags.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	environ        map[string]string
	flags          struct {
		policy   string
		state    string
		json     bool
		logLevel string
	}
	log      *slog.Logger
	progress *progress
}

func newApp(stdin io.Reader, stdout, stderr io.Writer, environ []string) *app {
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr, environ: make(map[string]string, len(environ))}
	for _, kv := range environ {
		if name, value, ok := strings.Cut(kv, "="); ok {
			a.environ[name] = value
		}
	}
	a.log = logger(stderr, slog.LevelWarn)
	a.progress = newProgress(stderr)
	return a
}

// setup reads the global flags once they are parsed.
func (a *app) setup() error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(a.flags.logLevel)); err != nil {
		return usageError{fmt.Errorf("--log-level %q: want debug, info, warn or error", a.flags.logLevel)}
	}
	a.log = logger(a.progress.above(), level)
	return nil
}

func (a *app) env(name string) (string, bool) {
	v, ok := a.environ[name]
	return v, ok
}

// errNoPolicy says that no policy was found, and where it was looked for.
var errNoPolicy = errors.New("no policy found")

// policyPath finds the policy: the flag, $ISOTHERM_POLICY, ./isotherm.yaml, the
// user's config folder.
func (a *app) policyPath() (string, error) {
	if a.flags.policy != "" {
		return a.flags.policy, nil
	}
	if p := a.environ["ISOTHERM_POLICY"]; p != "" {
		return p, nil
	}
	candidates := []string{"isotherm.yaml"}
	if dir := a.userDir("XDG_CONFIG_HOME", ".config"); dir != "" {
		candidates = append(candidates, filepath.Join(dir, "isotherm", "isotherm.yaml"))
	}
	for _, p := range candidates {
		if _, err := os.Stat(p); err == nil {
			return p, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return "", withHints(
		fmt.Errorf("%w: looked at %s", errNoPolicy, strings.Join(candidates, ", ")), exitUsage,
		"`isotherm init` writes one with comments; --policy FILE or $ISOTHERM_POLICY names another place")
}

// stateDir is the folder of all local state.
func (a *app) stateDir() (string, error) {
	if a.flags.state != "" {
		return filepath.Abs(a.flags.state)
	}
	if dir := a.environ["ISOTHERM_STATE"]; dir != "" {
		return filepath.Abs(dir)
	}
	dir := a.userDir("XDG_STATE_HOME", filepath.Join(".local", "state"))
	if dir == "" {
		return "", usageError{errors.New("neither $XDG_STATE_HOME nor $HOME is set: name a folder for local state with --state")}
	}
	return filepath.Join(dir, "isotherm"), nil
}

// userDir is the folder of a variable of the XDG base directory specification,
// or its default below the home folder; "" when neither is known.
func (a *app) userDir(variable, fallback string) string {
	if dir := a.environ[variable]; filepath.IsAbs(dir) {
		return dir
	}
	if home := a.environ["HOME"]; home != "" {
		return filepath.Join(home, fallback)
	}
	return ""
}

// terminal returns the stream's descriptor when it is a terminal.
func terminal(stream any) (fd int, ok bool) {
	f, isFile := stream.(*os.File)
	if !isFile {
		return 0, false
	}
	return int(f.Fd()), term.IsTerminal(int(f.Fd()))
}
