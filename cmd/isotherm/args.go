package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// noArgs refuses arguments with an exit code of 2.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("%s takes no arguments, got %q", cmd.CommandPath(), args[0])}
	}
	return nil
}

// exactArgs asks for the arguments that the usage line names.
func exactArgs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > len(names) {
			return usageError{fmt.Errorf("%s: unexpected %q; usage: %s", cmd.CommandPath(), args[len(names)], cmd.UseLine())}
		}
		return minArgs(names...)(cmd, args)
	}
}

// minArgs asks for the arguments named, and takes more.
func minArgs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return usageError{fmt.Errorf("%s: %s is missing; usage: %s", cmd.CommandPath(), names[len(args)], cmd.UseLine())}
		}
		return nil
	}
}

// maxArgs takes up to n arguments.
func maxArgs(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > n {
			return usageError{fmt.Errorf("%s: unexpected %q; usage: %s", cmd.CommandPath(), args[n], cmd.UseLine())}
		}
		return nil
	}
}

// archivePaths turns arguments into paths of the archive: relative to the
// backup's root, without slashes around them.
func archivePaths(args []string) []string {
	paths := make([]string, 0, len(args))
	for _, arg := range args {
		path := strings.Trim(strings.TrimPrefix(arg, "./"), "/")
		if path == "." {
			path = ""
		}
		paths = append(paths, path)
	}
	return paths
}
