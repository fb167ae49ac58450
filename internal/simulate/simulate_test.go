package simulate_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/api/client"
	"github.com/parkinglot/parkinglot/internal/app"
	"github.com/parkinglot/parkinglot/internal/config"
	"github.com/parkinglot/parkinglot/internal/simulate"
)

// serve runs a server in memory and returns a client of it.
func serve(t *testing.T) *client.Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	require.NoError(t, os.WriteFile(path, []byte(`
defaults: {queue_backend: memory, mailbox_backend: memory}
pools: [{pool_id: p, max_units: 1, executors: {default: {type: sleep}}}]
`), 0o600))
	cfg, err := config.Load(config.Source{Path: path})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ready, ended := make(chan app.Running, 1), make(chan error, 1)
	go func() {
		ended <- app.Serve(ctx, cfg, app.Options{Listen: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler), Ready: func(r app.Running) { ready <- r }})
	}()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-ended)
	})
	select {
	case running := <-ready:
		api, err := client.NewClient("http://" + running.Addr)
		require.NoError(t, err)
		return api
	case err := <-ended:
		ended <- nil
		require.NoError(t, err)
	}
	return nil
}

func TestVirtualTime(t *testing.T) {
	t.Parallel()
	ended := 0
	report, err := simulate.Run(t.Context(), simulate.Options{
		API: serve(t), Spots: 25, RunID: "virtual", Progress: func(n int) { ended = n },
		Model: simulate.Model{Seed: 3, Drivers: 250, Gates: 4, Span: 12 * time.Hour, Stay: 2 * time.Hour},
	})
	require.NoError(t, err)
	require.Empty(t, report.Violations)
	require.Equal(t, 250, ended)
	require.Equal(t, 250, report.Parked+report.TurnedAway)
	require.Positive(t, report.TurnedAway)
	require.Positive(t, report.Repeats)
	require.Positive(t, report.Paid)
	require.Zero(t, report.StillParked)
}

// In scaled time drivers wait in line, are offered spots, and some give up.
func TestScaledTime(t *testing.T) {
	t.Parallel()
	report, err := simulate.Run(t.Context(), simulate.Options{
		API: serve(t), Spots: 25, RunID: "scaled", Scale: 10_000,
		Model: simulate.Model{Seed: 4, Drivers: 150, Gates: 4, Span: 6 * time.Hour, Stay: 2 * time.Hour},
	})
	require.NoError(t, err)
	require.Empty(t, report.Violations)
	require.Equal(t, 150, report.Parked+report.TurnedAway+report.GaveUp)
	require.Positive(t, report.Waited)
	require.Zero(t, report.StillParked)
}
