package riverrt

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// narrowPlans is not sent with the connection's start, which a pooler might refuse. JIT
// would be tempted by the prices that this puts on plans: it doubled the server's CPU time
// of a lifecycle (measured).
const narrowPlans = `SELECT set_config(name, 'off', false)
	FROM unnest('{enable_seqscan,enable_bitmapscan,enable_hashjoin,enable_mergejoin,enable_sort,jit}'::text[]) AS name`

// NarrowPlans lets the sessions of a pool that River works through plan with walks along
// indexes only. River prepares its statements once a session, and its table is empty
// whenever nothing runs: a plan that was made just after a vacuum reads the whole table
// twice for each fetch, and pairs all with all, until the next vacuum, however long the
// table becomes meanwhile.
func NarrowPlans(conf *pgxpool.Config) {
	conf.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, narrowPlans); err != nil {
			return fmt.Errorf("set how River's statements are planned: %w", err)
		}
		return nil
	}
}
