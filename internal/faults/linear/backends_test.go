package linear_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/api/client"
	"github.com/parkinglot/parkinglot/internal/dbtest"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/faults/linear"
	"github.com/parkinglot/parkinglot/internal/fleet"
	"github.com/parkinglot/parkinglot/internal/history"
	"github.com/parkinglot/parkinglot/internal/runtime/attempts"
)

// TestBackends: clients of the real program, on each backend, see a pool that does one
// thing after the other; on Postgres through two servers.
func TestBackends(t *testing.T) {
	t.Parallel()
	binary, err := fleet.Build(t.Context(), t.TempDir())
	require.NoError(t, err)
	for backend, servers := range map[domain.Backend]int{domain.BackendMemory: 1, domain.BackendFile: 1, domain.BackendPostgres: 2} {
		t.Run(string(backend), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			database := "{}"
			if backend == domain.BackendPostgres {
				db := dbtest.Postgres(t)
				database = fmt.Sprintf(`{"url": %q, "schema": %q}`, db.URL, db.Schema)
			}
			shape := linear.Pool{Units: 3, Depth: 5}
			config := filepath.Join(dir, "config.json")
			require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `{"database": %s, "pools": [{
				"pool_id": "line", "max_units": %d, "max_queue_depth": %d, "queue_backend": %q, "mailbox_backend": %q,
				"executors": {"default": {"type": "sleep"}}}]}`, database, shape.Units, shape.Depth, backend, backend), 0o600))
			record := filepath.Join(dir, "executions.jsonl")
			apis := make([]*client.Client, servers)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			t.Cleanup(cancel)
			for i := range apis {
				p, err := fleet.Start(fleet.Command{
					Binary: binary, Args: []string{"serve", "--config", config, "--listen", "127.0.0.1:0"}, Dir: dir,
					Log: filepath.Join(dir, "log"), Env: []string{attempts.RecordVariable + "=" + record},
				})
				require.NoError(t, err)
				t.Cleanup(p.Kill)
				require.NoError(t, p.Ready(ctx))
				apis[i], err = client.NewClient(p.URL())
				require.NoError(t, err)
			}
			var rounds []*linear.Round
			const enough = 12
			for n := range enough {
				round, err := linear.Observe(ctx, linear.Burst{
					Pool: "line", Name: fmt.Sprintf("r%d", n), Clients: 4, Each: 3, Units: 3, APIs: apis, Seed: uint64(n),
				})
				require.NoError(t, err)
				rounds = append(rounds, round)
			}
			records, err := history.ReadRecordFiles([]string{record})
			require.NoError(t, err)
			for _, round := range rounds {
				verdict, text := round.Check(shape, records, time.Minute)
				require.Equal(t, linear.Right, verdict, text)
			}
		})
	}
}
