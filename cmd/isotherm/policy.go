package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/isotherm-backup/isotherm/policy"
)

func newPolicyCommand(app *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "policy",
		Short:   "Derive other things from the policy",
		GroupID: groupMore,
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newLifecycleCommand(app))
	return cmd
}

type lifecycleFlags struct {
	freezeAfter string
	class       string
}

func newLifecycleCommand(app *app) *cobra.Command {
	var flags lifecycleFlags
	cmd := &cobra.Command{
		Use:   "lifecycle",
		Short: "Print lifecycle rules for the policy's buckets that fit it",
		Long: `Lifecycle prints a configuration for each S3 bucket of the policy, in the form that
the AWS command line takes. Its rules remove uploads that were never finished, and
versions that were replaced 30 days ago.

No rule moves a file: ` + "`isotherm retier`" + ` does that, and what both move is billed twice.
With --freeze-after the bucket moves volumes in its place, without a download; then
write no younger_than into the routes. That needs a prefix which only volumes have.

Exit codes: 0 done; 1 no rules would fit; 2 usage or policy.`,
		Example: `  isotherm policy lifecycle
  isotherm policy lifecycle --json`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error { return app.lifecycle(flags) },
	}
	cmd.Flags().StringVar(&flags.freezeAfter, "freeze-after", "", "`age` at which volumes in stores that are not cold move to --class, such as 30d")
	cmd.Flags().StringVar(&flags.class, "class", "DEEP_ARCHIVE", "storage class for --freeze-after")
	return cmd
}

func (a *app) lifecycle(flags lifecycleFlags) error {
	p, err := a.loadPolicy()
	if err != nil {
		return err
	}
	after, err := policy.ParseDuration("0s")
	if flags.freezeAfter != "" {
		after, err = policy.ParseDuration(flags.freezeAfter)
	}
	if err != nil {
		return usageError{fmt.Errorf("--freeze-after: %w", err)}
	}
	buckets, err := p.Lifecycle(after, flags.class)
	if err != nil {
		return err
	}
	if len(buckets) == 0 {
		return errors.New("the policy has no stores with lifecycle rules: only s3:// has them")
	}
	return a.answer(lifecycleAnswer{buckets}, func(w io.Writer) error { return printLifecycle(w, buckets) })
}

// lifecycleAnswer is the answer of policy lifecycle.
type lifecycleAnswer struct {
	Buckets []policy.BucketLifecycle `json:"buckets"`
}

// printLifecycle writes each configuration below the command that takes it.
func printLifecycle(w io.Writer, buckets []policy.BucketLifecycle) error {
	for i, b := range buckets {
		if i > 0 {
			fmt.Fprintln(w)
		}
		endpoint := ""
		if b.Endpoint != "" {
			endpoint = " --endpoint-url " + b.Endpoint
		}
		fmt.Fprintf(w, "# bucket of %s; save what follows as lifecycle.json, then\n"+
			"# aws%s s3api put-bucket-lifecycle-configuration --bucket %s --lifecycle-configuration file://lifecycle.json\n",
			strings.Join(b.Stores, ", "), endpoint, b.Bucket)
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		if err := enc.Encode(b.Configuration); err != nil {
			return err
		}
	}
	return nil
}
