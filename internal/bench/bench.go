package bench

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parkinglot/parkinglot/internal/store/migrate"
)

// Options says what to measure.
type Options struct {
	URL        string // of the Postgres
	Tasks      int    // of one measurement
	Submitters []int
	Rounds     int
	Slots      int    // tasks run at once: units of the pool, workers of River
	Only       string // contenders whose name contains this; empty: all
	// Progress is told what is measured next; may be nil.
	Progress func(done, of int, what string)
}

// Contenders are what is measured, River first.
func Contenders() []string { return []string{riverAlone, parkingNative, parkingWorker} }

// The contenders.
const (
	riverAlone    = "River alone"
	parkingNative = "Parking Lot, native"
	parkingWorker = "Parking Lot, worker"
)

// load is one measurement's work.
type load struct {
	url        string
	schema     string
	tasks      int
	submitters int
	slots      int
}

// warmUp is how many lifecycles go before those that are measured.
const warmUp = 200

// measured is one measurement.
type measured struct {
	took  time.Duration // from the first submission to the last settlement
	turns int64         // of Parking Lot's scheduler meanwhile
}

func measure(ctx context.Context, contender string, l load) (measured, error) {
	pool, err := prepare(ctx, l)
	if err != nil {
		return measured{}, err
	}
	defer pool.Close()
	switch contender {
	case riverAlone:
		return runRiver(ctx, l)
	case parkingNative:
		return runParking(ctx, l, "native")
	case parkingWorker:
		return runParking(ctx, l, "worker")
	}
	return measured{}, fmt.Errorf("unknown contender %q", contender)
}

// prepare makes the schema with everybody's tables, and lets the server begin
// with clean buffers.
func prepare(ctx context.Context, l load) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(l.url)
	if err != nil {
		return nil, fmt.Errorf("parse the database URL: %w", err)
	}
	config.MaxConns = 2
	config.ConnConfig.RuntimeParams["search_path"] = l.schema
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	migrator, err := migrate.NewPostgres(pool, l.schema, nil)
	if err == nil {
		_, err = migrator.Up(ctx)
	}
	if err == nil {
		_, err = pool.Exec(ctx, "CHECKPOINT")
	}
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("prepare schema %s: %w", l.schema, err)
	}
	return pool, nil
}

// drop removes what a measurement has left.
func drop(ctx context.Context, l load) error {
	pool, err := pgxpool.New(ctx, l.url)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer pool.Close()
	if _, err := pool.Exec(ctx, "DROP SCHEMA "+l.schema+" CASCADE"); err != nil {
		return fmt.Errorf("drop schema %s: %w", l.schema, err)
	}
	return nil
}

// Run measures every contender with every number of submitters in every round.
func Run(ctx context.Context, o Options) ([]Series, error) {
	var series []Series
	for _, submitters := range o.Submitters {
		for _, contender := range Contenders() {
			if strings.Contains(contender, o.Only) {
				series = append(series, Series{Contender: contender, Submitters: submitters})
			}
		}
	}
	for round := range o.Rounds {
		for i := range series {
			s := &series[i]
			if o.Progress != nil {
				o.Progress(round*len(series)+i, o.Rounds*len(series), fmt.Sprintf("%s, %d submitters", s.Contender, s.Submitters))
			}
			l := load{
				url: o.URL, schema: fmt.Sprintf("bench_%d_%d", round, i),
				tasks: o.Tasks, submitters: s.Submitters, slots: o.Slots,
			}
			m, err := measure(ctx, s.Contender, l)
			if err == nil {
				err = drop(ctx, l)
			}
			if err != nil {
				return nil, fmt.Errorf("%s with %d submitters: %w", s.Contender, s.Submitters, err)
			}
			s.PerSecond = append(s.PerSecond, float64(o.Tasks)/m.took.Seconds())
			if m.turns > 0 {
				s.PerTurn = append(s.PerTurn, float64(o.Tasks)/float64(m.turns))
			}
		}
	}
	return series, nil
}

// Series is what one contender did with one number of submitters.
type Series struct {
	Contender  string    `json:"contender"`
	Submitters int       `json:"submitters"`
	PerSecond  []float64 `json:"lifecyclesPerSecond"`         // one a round
	PerTurn    []float64 `json:"lifecyclesPerTurn,omitempty"` // of Parking Lot
}

// Median returns the median of the rounds.
func (s Series) Median() float64 { return median(s.PerSecond) }

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	if len(sorted) == 0 {
		return 0
	}
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}
