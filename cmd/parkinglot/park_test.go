package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/api/client"
)

const strategyOfTest = `{"strategyId":"day","name":"Day","timeZone":"UTC","currency":"EUR","exitWindowMinutes":15,
	"tiers":[{"fromMinute":0,"toMinute":null,"incrementMinutes":60,"value":200}]}`

func TestParkPayAndLeave(t *testing.T) {
	t.Parallel()
	c := newTerminal(t)
	res, err := http.Post(c.server+"/pricing-strategies", "application/json", strings.NewReader(strategyOfTest))
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusCreated, res.StatusCode)

	file := filepath.Join(t.TempDir(), "spots.csv")
	require.NoError(t, os.WriteFile(file, []byte("spotId,kind,level,row,position,features\nA-1,regular,1,1,1,ev;covered\n"), 0o600))
	require.Contains(t, c.must(t, "facility", "create", "central", "--pricing-strategy", "day"), "central")
	require.Contains(t, c.must(t, "facility", "spots", "import", "central", file), "1        0")
	require.Contains(t, c.must(t, "facility", "set", "central", "--allocation", "nearest"), "nearest")
	require.Contains(t, c.must(t, "facility", "spots", "list", "central"), "covered;ev")

	entry := time.Now().Add(-90 * time.Minute).UTC().Format(time.RFC3339)
	var ticket client.Ticket
	out := c.must(t, "park", "central", "--plate", "b-ab 1", "--jurisdiction", "de", "--gate", "n", "--sequence", "0", "--at", entry, "--json")
	require.NoError(t, json.Unmarshal([]byte(out), &ticket), out)
	require.Equal(t, []string{"A-1"}, ticket.SpotIds)
	full := c.run(t, "park", "central", "--plate", "x", "--jurisdiction", "de")
	require.Equal(t, exitRefused, full.status)
	require.Contains(t, full.err, "(full)")
	require.Contains(t, c.must(t, "park", "central", "--plate", "x", "--jurisdiction", "de", "--wait", "1h"), "waiting")

	require.Contains(t, c.must(t, "quote", ticket.TicketID), "400")
	require.Contains(t, c.run(t, "exit", ticket.TicketID).err, "payment_required")
	require.Equal(t, exitUsage, c.run(t, "ticket", "adjust", ticket.TicketID).status)
	c.must(t, "ticket", "adjust", ticket.TicketID, "--free-minutes", "60", "--reason", "cinema")
	c.must(t, "ticket", "pay", ticket.TicketID, "--amount", "200", "--method", "card")
	require.Contains(t, c.must(t, "exit", ticket.TicketID), "closed")
	require.Contains(t, c.must(t, "ticket", "list", "--status", "closed"), ticket.TicketID)
	require.Contains(t, c.must(t, "ticket", "show", ticket.TicketID), "200")
}
