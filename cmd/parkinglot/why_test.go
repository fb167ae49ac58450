package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/api/client"
)

func TestWhyTellsWhatIsInTheWay(t *testing.T) {
	t.Parallel()
	c := newTerminal(t)
	c.must(t, "submit", "--pool", "demo", "--task-id", "holder", "--units", "3", "--payload", `{"durationMs":60000}`)
	c.must(t, "submit", "--pool", "demo", "--task-id", "next", "--units", "4", "--payload", `{"durationMs":1}`)
	c.must(t, "submit", "--pool", "demo", "--task-id", "last", "--units", "4", "--payload", `{"durationMs":1}`)

	out := c.must(t, "why", "demo", "next")
	for _, line := range []string{"units\n", "It is next. It needs 4 units and 1 are free: 3 more have to come free.", "position", "4 needed, 1 of 4 free", "HOLDS UNITS", "holder"} {
		require.Contains(t, out, line)
	}
	out = c.must(t, "why", "demo", "last")
	require.Contains(t, out, "AHEAD")
	require.Contains(t, out, "next")

	var why client.Explanation
	require.NoError(t, json.Unmarshal([]byte(c.must(t, "why", "demo", "last", "--json")), &why))
	require.Equal(t, client.ExplanationCode("order"), why.Code)
	require.Equal(t, int64(2), why.Position)
	require.Equal(t, int64(7), why.ShortUnits)
	require.Equal(t, "holder", why.Holders[0].TaskID)

	require.Contains(t, c.must(t, "why", "demo", "holder"), "It runs: attempt 1 of 1.")
	require.Equal(t, exitNotFound, c.run(t, "why", "demo", "never").status)
	c.must(t, "cancel", "demo", "holder")
}
