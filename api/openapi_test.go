package api_test

import (
	"flag"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/api"
)

var update = flag.Bool("update", false, "write api/openapi.yaml anew")

func TestOpenAPIIsFresh(t *testing.T) {
	t.Parallel()
	document, err := api.Document().YAML()
	require.NoError(t, err)
	if *update {
		require.NoError(t, os.WriteFile("openapi.yaml", document, 0o600))
	}
	committed, err := os.ReadFile("openapi.yaml")
	require.NoError(t, err)
	require.Equal(t, string(committed), string(document), "openapi.yaml is stale: go test ./api -run OpenAPI -update")
}
