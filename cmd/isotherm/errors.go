package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/isotherm-backup/isotherm/engine/writerlock"
)

// The exit codes, as every help page names them.
const (
	exitDone     = 0
	exitFailed   = 1
	exitUsage    = 2
	exitWaiting  = 3
	exitDegraded = 4
)

// A usageError is a mistake on the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// A hintedError is an error and what to do next.
type hintedError struct {
	error
	code  int
	hints []string
}

func (e hintedError) Unwrap() error { return e.error }

// withHints adds what to do next to an error; code is the exit code.
func withHints(err error, code int, hints ...string) error {
	return hintedError{err, code, hints}
}

// An exitError ends the command with a code after it has said everything
// itself.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// report tells the error on standard error and returns the exit code. It is the
// one place where errors become words: every line begins with the program's
// name, so that it can be told from what a calling script prints.
func (a *app) report(err error) int {
	if err == nil {
		return exitDone
	}
	var exit exitError
	if errors.As(err, &exit) {
		return int(exit)
	}
	// A lost lock ends everything else, which then was cancelled.
	var lost *writerlock.LostError
	if errors.Is(err, context.Canceled) && !errors.As(err, &lost) {
		a.say("isotherm: interrupted")
		return exitFailed
	}
	code, hints := a.explain(err)
	for line := range strings.Lines(strings.TrimSuffix(err.Error(), "\n")) {
		a.say("isotherm: %s", strings.TrimSuffix(line, "\n"))
	}
	for _, h := range hints {
		a.say("isotherm: hint: %s", h)
	}
	return code
}
