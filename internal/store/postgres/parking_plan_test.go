package postgres_test

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/dbtest"
	"github.com/parkinglot/parkinglot/internal/store/postgres/dbsqlc"
)

// explainer has queries explained while they run.
type explainer struct {
	t    *testing.T
	tx   pgx.Tx
	plan string // of the last query
}

func (e *explainer) explain(ctx context.Context, sql string, args []any) {
	values := make([]string, len(args))
	for i, arg := range args {
		switch v := arg.(type) {
		case string:
			values[i] = "'" + v + "'"
		case []string:
			values[i] = "'{" + strings.Join(v, ",") + "}'"
		default:
			values[i] = fmt.Sprint(v)
		}
	}
	// As the program runs it: prepared, and planned without knowing the values.
	_, err := e.tx.Exec(ctx, "PREPARE explained AS "+sql)
	require.NoError(e.t, err)
	rows, err := e.tx.Query(ctx, "EXPLAIN (ANALYZE, BUFFERS) EXECUTE explained ("+strings.Join(values, ", ")+")", pgx.QueryExecModeSimpleProtocol)
	require.NoError(e.t, err)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(e.t, err)
	e.plan = strings.Join(lines, "\n")
	_, err = e.tx.Exec(ctx, "DEALLOCATE explained")
	require.NoError(e.t, err)
}

func (e *explainer) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	return e.tx.Exec(ctx, sql, args...)
}

func (e *explainer) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	e.explain(ctx, sql, args)
	return e.tx.Query(ctx, sql, args...)
}

func (e *explainer) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	e.explain(ctx, sql, args)
	return e.tx.QueryRow(ctx, sql, args...)
}

var (
	indexOf   = regexp.MustCompile(`Index (?:Only )?Scan using (\w+)`)
	buffersOf = regexp.MustCompile(`Buffers: shared hit=(\d+)(?: read=(\d+))?`)
)

// walks requires that the last plan reads the spots through these indexes only, and
// returns how many pages it touched.
func (e *explainer) walks(name string, indexes ...string) int {
	require.NotContains(e.t, e.plan, "Seq Scan", name)
	require.NotContains(e.t, e.plan, "Bitmap", name)
	for _, used := range indexOf.FindAllStringSubmatch(e.plan, -1) {
		require.Contains(e.t, indexes, used[1], "%s: %s", name, e.plan)
	}
	found := buffersOf.FindStringSubmatch(e.plan)
	require.NotNil(e.t, found, e.plan)
	hit, _ := strconv.Atoi(found[1])
	read, _ := strconv.Atoi(found[2]) // empty: 0
	return hit + read
}

// TestParkingPlans looks how allocation reads facilities of 10,000 spots, mostly full
// and mostly empty, by statistics of now and of when it was the other way round.
func TestParkingPlans(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ analyzed, full int }{{0, 97}, {3, 97}, {97, 97}, {3, 3}, {97, 3}} {
		t.Run(fmt.Sprintf("%d%% full, statistics of %d%%", c.full, c.analyzed), func(t *testing.T) {
			t.Parallel()
			db := dbtest.Postgres(t)
			fill(t, db, c.analyzed)
			if c.analyzed > 0 {
				execute(t, db, "ANALYZE")
			}
			if c.full != c.analyzed {
				execute(t, db, "TRUNCATE pl_facilities, pl_spots CASCADE")
				fill(t, db, c.full)
			}
			allocationPlans(t, db)
		})
	}
}

func execute(t *testing.T, db dbtest.DB, sql string) {
	t.Helper()
	_, err := db.Pool.Exec(t.Context(), sql)
	require.NoError(t, err)
}

// fill makes three facilities of 10,000 spots, so many percent of them taken.
func fill(t *testing.T, db dbtest.DB, percent int) {
	t.Helper()
	execute(t, db, fmt.Sprintf(`
		INSERT INTO pl_facilities (facility_id, body_hash, name, time_zone, currency, allocation_strategy, pricing_strategy_id,
			window_regular, window_compact, window_rule, max_overtakes, offer_hold_secs, last_at, created_at)
		SELECT f, '', '', 'UTC', 'EUR', 'nearest', '', 2, 3, 'none_free', 1, 1, now(), now() FROM unnest(ARRAY['a', 'b', 'c']) AS f;
		INSERT INTO pl_spots (facility_id, spot_id, kind, level, row_no, position, features, distance_rank, state, ticket_id, vehicle_id)
		SELECT f, 's' || i, CASE i / 50 %% 10 WHEN 3 THEN 'oversized' WHEN 1 THEN 'compact' WHEN 5 THEN 'compact' ELSE 'regular' END,
			i / 1000, i / 50 %% 20, i %% 50, CASE WHEN i %% 9 = 0 THEN '{ev}'::text[] ELSE '{}' END, i * 7919 %% 10000,
			CASE WHEN taken THEN 'occupied' ELSE 'free' END, CASE WHEN taken THEN 'k' ELSE '' END, CASE WHEN taken THEN 'v' ELSE '' END
		FROM generate_series(0, 9999) AS i, unnest(ARRAY['a', 'b', 'c']) AS f, LATERAL (SELECT i * 7919 %% 100 < %d AS taken) AS s`, percent))
}

func allocationPlans(t *testing.T, db dbtest.DB) {
	t.Helper()
	ctx := t.Context()
	tx, err := db.Pool.Begin(ctx)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // it has written nothing
	e := &explainer{t: t, tx: tx}
	q := dbsqlc.New(e)
	require.NoError(t, q.PlannerSettings(ctx))
	require.NoError(t, q.FacilitySettings(ctx, dbsqlc.FacilitySettingsParams{Idle: "0", Statement: "0", LockWait: "0"}))
	const byPlace, nearest, taken, place = "pl_spots_free_place", "pl_spots_free_near", "pl_spots_taken", "pl_spots_place"
	for _, features := range [][]string{{}, {"ev"}} {
		arg := dbsqlc.FirstFreeByPlaceParams{FacilityID: "b", Kind: "regular", Features: features}
		_, err = q.FirstFreeByPlace(ctx, arg)
		require.NoError(t, err)
		require.Less(t, e.walks("by place", byPlace), 100)
		_, err = q.FirstFreeNearest(ctx, dbsqlc.FirstFreeNearestParams(arg))
		require.NoError(t, err)
		require.Less(t, e.walks("nearest", nearest), 100)
		_, err = q.FirstFreeOnOpenLevel(ctx, dbsqlc.FirstFreeOnOpenLevelParams(arg))
		require.NoError(t, err)
		require.Less(t, e.walks("on open levels", byPlace, taken), 600)
		for _, fillIn := range []bool{true, false} {
			_, err = q.SmallestWindow(ctx, dbsqlc.SmallestWindowParams{FacilityID: "b", Kind: "regular", Features: features, Size: 2, FillIn: fillIn, Nearest: !fillIn})
			require.NoError(t, err)
			e.walks("window", byPlace, nearest, taken, place)
		}
	}
	_, err = q.KindInService(ctx, dbsqlc.KindInServiceParams{FacilityID: "b", Kind: "oversized"})
	require.NoError(t, err)
	require.Less(t, e.walks("kind in service", byPlace, nearest, taken), 20)
}
