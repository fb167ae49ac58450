package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

var updateDocs = flag.Bool("update", false, "write docs/cli.md anew")

// reference describes every verb and flag from the command tree itself.
func reference(root *cobra.Command) string {
	var page strings.Builder
	page.WriteString("# Command line\n\nWritten by `go test ./cmd/parkinglot -update` from the commands themselves.\n")
	page.WriteString("Every flag has an environment variable; a flag that is given goes first.\n")
	var describe func(c *cobra.Command)
	describe = func(c *cobra.Command) {
		if c.Hidden || c.Name() == "help" || c.Name() == "completion" {
			return
		}
		if c.Runnable() {
			text := c.Long
			if text == "" {
				text = c.Short + "."
			}
			fmt.Fprintf(&page, "\n## %s\n\n```text\n%s\n```\n\n```text\n%s\n", c.CommandPath(), text, c.UseLine())
			c.LocalFlags().VisitAll(func(f *pflag.Flag) {
				if f.Name == "help" {
					return
				}
				name, usage := pflag.UnquoteUsage(f)
				fmt.Fprintf(&page, "  %s\n      %s\n", strings.TrimSpace("--"+f.Name+" "+name), usage)
			})
			page.WriteString("```\n")
			if c.Example != "" {
				fmt.Fprintf(&page, "\n```sh\n%s\n```\n", strings.Trim(c.Example, "\n"))
			}
		}
		for _, child := range c.Commands() {
			describe(child)
		}
	}
	describe(root)
	return page.String()
}

func TestReferenceIsFresh(t *testing.T) {
	t.Parallel()
	const file = "../../docs/cli.md"
	want := reference(newRoot())
	if *updateDocs {
		require.NoError(t, os.WriteFile(file, []byte(want), 0o600))
		return
	}
	got, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, want, string(got), "stale: go test ./cmd/parkinglot -update")
}
