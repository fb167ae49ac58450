package migrate_test

import (
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/dbtest"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/migrate"
)

func newMigrator(t *testing.T, db dbtest.DB) *migrate.Migrator {
	t.Helper()
	config, err := pgxpool.ParseConfig(db.URL)
	require.NoError(t, err)
	config.ConnConfig.RuntimeParams["search_path"] = db.Schema
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	m, err := migrate.NewPostgres(pool, db.Schema, nil)
	require.NoError(t, err)
	return m
}

func TestUpFromNothing(t *testing.T) {
	t.Parallel()
	db := dbtest.Empty(t)
	m := newMigrator(t, db)
	steps, err := m.Status(t.Context())
	require.NoError(t, err)
	for _, step := range steps {
		require.Nil(t, step.AppliedAt)
	}
	err = m.Validate(t.Context())
	require.ErrorIs(t, err, store.ErrSchema)
	require.ErrorContains(t, err, "parkinglot migrate up")
	var n int
	require.NoError(t, db.Pool.QueryRow(t.Context(), "SELECT count(*) FROM pg_namespace WHERE nspname = $1", db.Schema).Scan(&n))
	require.Zero(t, n, "looking writes nothing")

	applied, err := m.Up(t.Context())
	require.NoError(t, err)
	require.Len(t, applied, len(steps))
	require.NoError(t, m.Validate(t.Context()))
	require.NoError(t, db.Pool.QueryRow(t.Context(), "SELECT count(*) FROM pl_pools").Scan(&n))
	require.NoError(t, db.Pool.QueryRow(t.Context(), "SELECT count(*) FROM river_job").Scan(&n))

	applied, err = m.Up(t.Context())
	require.NoError(t, err)
	require.Empty(t, applied)
}

func TestUpBySeveralAtOnce(t *testing.T) {
	t.Parallel()
	db := dbtest.Empty(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	total := 0
	for range 4 {
		m := newMigrator(t, db)
		wg.Go(func() {
			applied, err := m.Up(t.Context())
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			total += len(applied)
		})
	}
	wg.Wait()
	steps, err := newMigrator(t, db).Status(t.Context())
	require.NoError(t, err)
	require.Len(t, steps, total, "every migration was applied by exactly one")
}

// TestRiverAheadAloneIsRefused: what River's newer migrations mean for this program only
// one of ours could say.
func TestRiverAheadAloneIsRefused(t *testing.T) {
	t.Parallel()
	db := dbtest.Postgres(t)
	m := newMigrator(t, db)
	require.NoError(t, m.Validate(t.Context()))
	_, err := db.Pool.Exec(t.Context(), "INSERT INTO river_migration (version, line) VALUES (999, 'main')")
	require.NoError(t, err)
	err = m.Validate(t.Context())
	require.ErrorIs(t, err, store.ErrSchema)
	require.ErrorContains(t, err, "use the newer program")
	_, err = m.Up(t.Context())
	require.ErrorIs(t, err, store.ErrSchema)
}
