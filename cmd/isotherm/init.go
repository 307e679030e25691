package main

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2/maybe"
	"github.com/spf13/cobra"

	"github.com/isotherm-backup/isotherm/policy"
)

type initFlags struct {
	fromMultibackend string
	archive          string
	force            bool
}

func newInitCommand(app *app) *cobra.Command {
	var flags initFlags
	cmd := &cobra.Command{
		Use:   "init [FILE]",
		Short: "Write a policy with comments, or one made of duplicity's multibackend file",
		Long: `Init writes a commented policy to FILE (default isotherm.yaml; - is standard
output). With --from-multibackend it turns duplicity's multibackend file into a
policy with the same routing; its query string may follow the file's name.
Credentials stay out of it: they become named variables.

Exit codes: 0 done; 1 failed; 2 usage, or a multibackend file that cannot be turned into a policy.`,
		Example: `  isotherm init
  isotherm init --from-multibackend 'multi.json?mode=mirror&onfail=abort' photos.yaml`,
		GroupID: groupStart,
		Args:    maxArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			file := "isotherm.yaml"
			if len(args) == 1 {
				file = args[0]
			}
			return app.initPolicy(file, flags)
		},
	}
	cmd.Flags().StringVar(&flags.fromMultibackend, "from-multibackend", "", "duplicity's configuration `file`, with ?mode=..&onfail=..&subpath=.. as in its multi: URL")
	cmd.Flags().StringVar(&flags.archive, "archive", "", "`name` of the archive (default: the name of the current folder)")
	cmd.Flags().BoolVar(&flags.force, "force", false, "replace an existing file")
	return cmd
}

func (a *app) initPolicy(file string, flags initFlags) error {
	archive := flags.archive
	if archive == "" {
		dir, err := os.Getwd()
		if err != nil {
			return err
		}
		archive = filepath.Base(dir)
	}
	src := policy.Template(policy.TemplateOptions{Archive: archive})
	if flags.fromMultibackend != "" {
		var err error
		if src, err = fromMultibackend(flags.fromMultibackend, archive); err != nil {
			return err
		}
	}
	if file == "-" {
		_, err := a.stdout.Write(src)
		return err
	}
	if _, err := os.Lstat(file); err == nil && !flags.force {
		return withHints(fmt.Errorf("%s exists already", file), exitUsage, "--force replaces it; `isotherm init -` writes to standard output")
	}
	if err := maybe.WriteFile(file, src, 0o600); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	a.say("isotherm: wrote %s; edit it, then run `isotherm check`", file)
	return nil
}

// fromMultibackend reads FILE[?query], or the multi: URL that duplicity was
// given.
func fromMultibackend(arg, archive string) ([]byte, error) {
	file, rawQuery, _ := strings.Cut(strings.TrimPrefix(arg, "multi://"), "?")
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return nil, usageError{fmt.Errorf("query of %s: %w", arg, err)}
	}
	config, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	src, err := policy.FromMultibackend(config, query, archive)
	if err != nil {
		return nil, withHints(fmt.Errorf("%s: %w", file, err), exitUsage)
	}
	return src, nil
}
