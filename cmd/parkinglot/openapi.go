package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/parkinglot/parkinglot/api"
)

func newOpenAPICommand() *cobra.Command {
	var format, version string
	cmd := &cobra.Command{
		Use:   "openapi",
		Short: "Print the OpenAPI document of the HTTP API",
		Args:  args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			document, err := openAPI(format, version)
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(document)
			return err //nolint:wrapcheck // of the terminal
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&format, "format", "yaml", "yaml or json")
	flags.StringVar(&version, "version", "3.1", "3.1, or 3.0 for tools that know no better")
	describeEnvironment(flags)
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &statusError{status: exitUsage, err: err} })
	return cmd
}

func openAPI(format, version string) ([]byte, error) {
	document := api.Document()
	var raw []byte
	var err error
	switch format + " " + version {
	case "yaml 3.1":
		raw, err = document.YAML()
	case "yaml 3.0":
		raw, err = document.DowngradeYAML()
	case "json 3.1":
		raw, err = json.MarshalIndent(document, "", "  ")
	case "json 3.0":
		raw, err = document.Downgrade()
	default:
		return nil, failure(exitUsage, "there is no document of --format %s --version %s: use yaml or json, 3.1 or 3.0", format, version)
	}
	if err != nil {
		return nil, fmt.Errorf("write the document: %w", err)
	}
	return raw, nil
}
