package bench

import (
	"context"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// Scenario is a question about speed: cases that are compared, and what has to
// come out.
type Scenario struct {
	Name  string // in flags, files and results
	Title string
	What  string // what is measured and how, for the page; Markdown
	// Chart names the metric that the page plots.
	Chart Metric
	Cases []Case
	Lines []Line
	// Size: needs tables with millions of rows, which take minutes to fill.
	Size bool
	// Once: one round is enough, whatever was asked for.
	Once bool
}

// Case is one contender in one setting. Fields that its way of measuring does not
// use are zero.
type Case struct {
	Name    string // within the scenario
	measure func(ctx context.Context, b *bench, c *Case) (Metrics, error)

	Tasks      int // lifecycles that are measured; rows, of a floor
	Submitters int // at once, each one task after the other; HTTP connections, of serve
	Slots      int // tasks run at once: units of all pools together, workers of River

	Backend   domain.Backend
	Runtime   domain.Runtime
	Policy    domain.PriorityPolicy // empty: fifo
	Pools     int                   // 0: one
	Tenants   int                   // 0: four
	Processes int                   // serve only
	Batch     int                   // tasks of a request, rows of a statement; 0: one

	Queued    int  // steady and memory: tasks that wait all the while
	Finished  int  // tasks that the tables hold already
	Scattered bool // task ids in no order, as random ones are
	Held      bool // a transaction is open elsewhere all the while
}

// Line is a promise: a metric of a case, by itself or beside that of another case
// of the same round.
type Line struct {
	What    string
	Metric  Metric
	Of      string  // case
	Beside  string  // case; empty: the metric itself is judged
	AtLeast float64 // 0: AtMost counts
	AtMost  float64
}

// Metric names a number that a measurement returns.
type Metric string

// The metrics. Costs are those of one lifecycle.
const (
	PerSecond    Metric = "perSecond"     // lifecycles, or rows of a floor
	RowsASecond  Metric = "rowsPerSecond" // inserted, updated and deleted
	PerTurn      Metric = "perTurn"       // lifecycles
	P50          Metric = "p50Ms"
	P95          Metric = "p95Ms"
	P99          Metric = "p99Ms"
	PostgresCPU  Metric = "postgresCpuUs"
	OwnCPU       Metric = "ownCpuUs"   // of the measuring process: clients, and a contender in it
	ServeCPU     Metric = "serveCpuUs" // of the server processes
	WAL          Metric = "walBytes"
	Statements   Metric = "statements"
	Rows         Metric = "rows"
	Resident     Metric = "residentMiB"
	PeakResident Metric = "peakResidentMiB"
	NsACandidate Metric = "nsPerCandidate"
)

// Metrics are what one measurement found.
type Metrics map[Metric]float64
