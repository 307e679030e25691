package main

import (
	"bufio"
	"errors"
	"fmt"
	"strings"
)

// errDeclined is the answer no.
var errDeclined = errors.New("nothing was done")

// confirm asks a question on the terminal. Without one it refuses, naming the
// flag that answers yes beforehand.
func (a *app) confirm(question string, yes bool) error {
	if yes {
		return nil
	}
	if _, ok := terminal(a.stdin); !ok {
		return withHints(fmt.Errorf("%s\nnobody can be asked: standard input is not a terminal", question),
			exitUsage, "add --yes to go ahead without being asked")
	}
	a.progress.wait()
	fmt.Fprintf(a.stderr, "%s [y/N] ", question)
	line, err := bufio.NewReader(a.stdin).ReadString('\n')
	if err != nil && line == "" {
		return fmt.Errorf("read the answer: %w", err)
	}
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return nil
	}
	return errDeclined
}
