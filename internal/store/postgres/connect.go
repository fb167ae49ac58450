package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parkinglot/parkinglot/internal/store/postgres/composite"
	"github.com/parkinglot/parkinglot/internal/store/postgres/dbsqlc"
)

// UseSchema makes connections work in a schema. Directly, their search_path is set when
// they begin. A transaction pooler takes no such setting with it from one server
// connection to the next, nor named prepared statements: search_path must come from the
// role (see CheckPooled), and statements are described once and sent whole each time.
// A DSN that says default_query_exec_mode itself is left at that.
func UseSchema(config *pgx.ConnConfig, dsn, schema string, pooled bool) {
	if !pooled {
		config.RuntimeParams["search_path"] = schema
		return
	}
	delete(config.RuntimeParams, "search_path")
	if !strings.Contains(dsn, "default_query_exec_mode") {
		config.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
}

// plannerSettings are what all statements of the store are planned under, and why is said with
// PlannerSettings, which stands for them where a pooler does not keep them.
var plannerSettings = map[string]string{
	"synchronous_commit": "on", "jit": "off", "enable_seqscan": "off", "enable_bitmapscan": "off",
	"enable_hashjoin": "off", "enable_mergejoin": "off", "enable_sort": "off",
}

// keepalives end a session whose process's machine is gone within half a minute, and with it a lock of the session's.
var keepalives = map[string]string{"tcp_keepalives_idle": "10", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3"}

// planner sends PlannerSettings, first in a transaction, if connections do not have them from their beginning.
func (s *Store) planner(ctx context.Context, q *dbsqlc.Queries) error {
	if !s.opts.Pooled {
		return nil
	}
	return q.PlannerSettings(ctx)
}

// knowRows makes a new connection know the composite types that rows are sent as. Where there are
// none, the schema is older than this program, which is said elsewhere.
func knowRows(ctx context.Context, conn *pgx.Conn) error {
	types, err := dbsqlc.New(conn).RowTypes(ctx)
	if err != nil {
		return fmt.Errorf("look up the types of rows: %w", err)
	}
	for i := range types {
		composite.Register(conn.TypeMap(), types[i].Name, uint32(types[i].Oid), uint32(types[i].ArrayOid))
	}
	return nil
}

// ErrSearchPath says that connections that come through a pooler are not in the schema.
var ErrSearchPath = errors.New("the pooler's connections are in another schema")

// CheckPooled asks a pooled connection in which schema it is. Error: ErrSearchPath, with
// what to do about it.
func CheckPooled(ctx context.Context, pool *pgxpool.Pool, schema string) error {
	var path, user, database string
	err := pool.QueryRow(ctx, "SELECT current_setting('search_path'), current_user, current_database()").Scan(&path, &user, &database)
	if err != nil {
		return classify("ask for the search_path", err)
	}
	// "$user" is looked in first and is nothing unless somebody made it.
	first := strings.TrimPrefix(strings.ReplaceAll(path, " ", ""), `"$user",`)
	if first == schema || strings.HasPrefix(first, schema+",") {
		return nil
	}
	return fmt.Errorf("%w: search_path is %s, not %s; say once, on a direct connection, ALTER ROLE %s IN DATABASE %s SET search_path = %s, and let the pooler connect anew",
		ErrSearchPath, path, schema, pgx.Identifier{user}.Sanitize(), pgx.Identifier{database}.Sanitize(), pgx.Identifier{schema}.Sanitize())
}

// IsPooler reports whether err is PgBouncer's refusal of a setting that it cannot keep.
func IsPooler(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && strings.Contains(pg.Message, "unsupported startup parameter")
}
