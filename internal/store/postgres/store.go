package postgres

import (
	"context"
	"crypto/rand"
	"fmt"
	"hash/fnv"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/migrate"
	"github.com/parkinglot/parkinglot/internal/store/postgres/dbsqlc"
)

// DefaultSchema is where our tables are when Options name no schema.
const DefaultSchema = "public"

const (
	defaultMaxConns = 10
	callTimeout     = 5 * time.Second // one plain call
	tripTimeout     = 10 * time.Second
)

// Options say where the store is and how to use it.
type Options struct {
	URL    string // a DSN
	Schema string // empty: DefaultSchema
	// Pooled: URL leads to a transaction pooler. LISTEN needs a session: it goes to
	// DirectURL, or is left out, and hints of others are seen at the safety poll.
	Pooled    bool
	DirectURL string  // empty: URL, unless that is pooled
	Carrier   Carrier // needed by turns of worker pools
	MaxConns  int32   // of turns and reads; heartbeats and Listen have one each besides. 0: 10
	// Now replaces the database's clock in tests; nil: the database's.
	Now func() time.Time
	Log *slog.Logger // nil: none
}

// Store implements store.Store and store.Waker. Safe for concurrent use.
type Store struct {
	opts   Options
	log    *slog.Logger
	schema string
	pool   *pgxpool.Pool // turns and reads
	beats  *pgxpool.Pool // one connection: heartbeats never queue behind a turn
	// listener is how Listen connects; nil: it cannot.
	listener *pgx.ConnConfig

	careful   carefulPools
	queues    facilityQueues
	peers     peers
	memory    memory
	convoys   convoys
	reckoning reckoning

	summaries summaries
	riverIDs  riverIDs
}

var (
	_ store.Store = (*Store)(nil)
	_ store.Waker = (*Store)(nil)
)

// Open connects, checks that the schema is what this program expects, and makes
// room for audit events. Errors: store.ErrUnavailable, store.ErrSchema.
func Open(ctx context.Context, opts Options) (*Store, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if opts.Schema == "" {
		opts.Schema = DefaultSchema
	}
	config, err := poolConfig(opts)
	if err != nil {
		return nil, err
	}
	s := &Store{opts: opts, log: opts.Log, schema: opts.Schema, listener: config.ConnConfig}
	s.summaries.store = s
	if opts.DirectURL != "" {
		direct := opts
		direct.URL, direct.Pooled = opts.DirectURL, false
		other, err := poolConfig(direct)
		if err != nil {
			return nil, err
		}
		s.listener = other.ConnConfig
	} else if opts.Pooled {
		s.listener = nil
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.peers = peers{token: rand.Text()[:12], own: map[string]bool{}}
	if s.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, classify("open", err)
	}
	single := config.Copy()
	single.MaxConns, single.MinConns = 1, 0
	if s.beats, err = pgxpool.NewWithConfig(ctx, single); err != nil {
		s.pool.Close()
		return nil, classify("open", err)
	}
	if err := s.prepare(ctx); err != nil {
		return nil, joinClose(s, err)
	}
	return s, nil
}

func (s *Store) prepare(ctx context.Context) error {
	if err := s.Ping(ctx); err != nil {
		return err
	}
	if s.opts.Pooled {
		if err := CheckPooled(ctx, s.pool, s.schema); err != nil {
			return err
		}
	}
	migrator, err := migrate.NewPostgres(s.pool, s.schema, s.log)
	if err != nil {
		return err
	}
	if err := migrator.Validate(ctx); err != nil {
		return classify("check the schema", err)
	}
	return s.EnsureAudit(ctx, s.clock().Time)
}

func joinClose(s *Store, err error) error {
	_ = s.Close() // never fails
	return err
}

func poolConfig(opts Options) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(opts.URL)
	if err != nil {
		return nil, fmt.Errorf("parse the database URL: %w", err)
	}
	config.MaxConns = opts.MaxConns
	if config.MaxConns <= 0 {
		config.MaxConns = defaultMaxConns
	}
	config.AfterConnect = knowRows
	cc := config.ConnConfig
	UseSchema(cc, opts.URL, opts.Schema, opts.Pooled)
	if cc.RuntimeParams["application_name"] == "" {
		cc.RuntimeParams["application_name"] = "parkinglot"
	}
	if !opts.Pooled { // the implicit transactions cannot say it
		cc.RuntimeParams["default_transaction_isolation"] = "read committed"
		cc.RuntimeParams["default_transaction_read_only"] = "off"
		maps.Copy(cc.RuntimeParams, plannerSettings)
		maps.Copy(cc.RuntimeParams, keepalives)
	}
	if cc.ConnectTimeout == 0 {
		cc.ConnectTimeout = callTimeout
	}
	// A context that ends asks the server to stop as well, instead of leaving the
	// statement to run for nobody.
	cc.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: time.Second}
	}
	return config, nil
}

// Backend implements store.Store.
func (s *Store) Backend() domain.Backend { return domain.BackendPostgres }

// Ping implements store.Store.
func (s *Store) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return classify("ping", s.pool.Ping(ctx))
}

// Close implements store.Store. It waits for calls that are under way.
func (s *Store) Close() error {
	s.pool.Close()
	s.beats.Close()
	return nil
}

// Connections are those of turns and reads, search_path set. They are not for
// LISTEN (nor for River's): ending a wait for notifications takes a second on them.
func (s *Store) Connections() *pgxpool.Pool { return s.pool }

// Schema is where the tables are, River's too.
func (s *Store) Schema() string { return s.schema }

// acquire waits for a connection of turns and reads. Error: store.ErrUnavailable.
func (s *Store) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("get a connection: %w", unavailable(err))
	}
	return conn, nil
}

// clock is the injected now as a parameter; not valid: the database's clock.
func (s *Store) clock() pgtype.Timestamptz {
	if s.opts.Now == nil {
		return pgtype.Timestamptz{}
	}
	return instant(s.opts.Now())
}

// read calls f with the generated queries and a timeout, in one round trip: f is called
// twice and must ask the same both times; see pipelined. Without BEGIN the round
// trip is one transaction, which settings in front of it are local to.
func (s *Store) read(ctx context.Context, what string, f func(ctx context.Context, q *dbsqlc.Queries) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return classify(what, pipelined(ctx, s.pool, func(p pipe) error {
		if err := s.planner(ctx, p.Queries); err != nil {
			return err
		}
		return f(ctx, p.Queries)
	}))
}

// write calls f in a transaction with a timeout.
func (s *Store) write(ctx context.Context, what string, f func(ctx context.Context, q *dbsqlc.Queries) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return classify(what, pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		q := dbsqlc.New(tx)
		if err := s.planner(ctx, q); err != nil {
			return err
		}
		return f(ctx, q)
	}))
}

// lockKey is the advisory key of a name in this schema: such keys are per database,
// which several schemas may share.
func (s *Store) lockKey(kind, name string) int64 {
	h := fnv.New64a()
	for _, part := range []string{s.schema, kind, name} {
		_, _ = h.Write([]byte(part)) // a hash never fails
		_, _ = h.Write([]byte{0})
	}
	return int64(h.Sum64())
}

// carefulPools are those whose turns, for a while, read only rows that nobody else
// holds locked.
type carefulPools struct {
	mu    sync.Mutex
	until map[domain.PoolID]time.Time
}

// carefulFor is how long a pool stays careful after it met a locked row.
const carefulFor = 5 * time.Second

func (c *carefulPools) set(pool domain.PoolID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.until == nil {
		c.until = map[domain.PoolID]time.Time{}
	}
	c.until[pool] = time.Now().Add(carefulFor)
}

func (c *carefulPools) is(pool domain.PoolID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	until, ok := c.until[pool]
	if ok && time.Now().After(until) {
		delete(c.until, pool)
		ok = false
	}
	return ok
}
