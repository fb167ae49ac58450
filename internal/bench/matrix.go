package bench

import (
	"fmt"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// As many tasks may run at once as there are submitters at most, so that what is
// measured is never the wait for a free one.
const (
	slots  = 1000
	native = domain.RuntimeNative
	worker = domain.RuntimeWorker
)

// lifecycles is how many are measured with so many submitters: a few seconds, so that what a
// connection does once (its first execution of a statement plans it and reads the catalog) does not
// count, and few enough that all of a round take a few minutes.
var lifecycles = map[int]int{1: 600, 32: 8000, 64: 10_000, 256: 20_000, 1024: 20_000}

// manyProcesses is as much for several processes, each of which has connections of its own.
const manyProcesses = 40_000

// Matrix returns the scenarios in the order of the page.
func Matrix() []Scenario {
	return []Scenario{
		inProcess(), overHTTP(), onIdle(), onSaturated(), processes(), pools(), backends(), fairness(), held(), planner(),
		backlog(), finished(), memory(),
	}
}

// local is the whole program in the measuring process.
func local(name string, runtime domain.Runtime, submitters int) Case {
	return Case{
		Name: name, measure: measureLocal, Tasks: lifecycles[submitters], Submitters: submitters, Slots: slots,
		Backend: domain.BackendPostgres, Runtime: runtime,
	}
}

func riverAlone(name string, submitters int) Case {
	return Case{Name: name, measure: measureRiver, Tasks: lifecycles[submitters], Submitters: submitters, Slots: slots}
}

// over is the program as processes of its own, loaded through HTTP connections.
func over(name string, runtime domain.Runtime, connections, servers int) Case {
	c := local(name, runtime, connections)
	c.measure, c.Processes = measureServe, servers
	return c
}

func inserts(name string, connections, batch, rows int) Case {
	return Case{Name: name, measure: measureFloor, Tasks: rows, Submitters: connections, Batch: batch}
}

func inProcess() Scenario {
	s := Scenario{
		Name: "lifecycles", Title: "Lifecycles, in process", Chart: PerSecond,
		What: "Submitters submit one task after the other and wait for each answer; River's insert one job after the other. The rows are bare inserts into a table of three columns with a primary key: the floor under everything.",
		Lines: []Line{
			{What: "`native`, 32 submitters, beside River", Metric: PerSecond, Of: "native, 32", Beside: "River alone, 32", AtLeast: 3},
			{What: "`native`, 256 submitters, beside River", Metric: PerSecond, Of: "native, 256", Beside: "River alone, 256", AtLeast: 5},
			{What: "`worker`, 32 submitters, beside River", Metric: PerSecond, Of: "worker, 32", Beside: "River alone, 32", AtLeast: 1.5},
			{What: "`worker`, 256 submitters, beside River", Metric: PerSecond, Of: "worker, 256", Beside: "River alone, 256", AtLeast: 3},
		},
	}
	for _, n := range []int{1, 32, 256, 1024} {
		s.Cases = append(
			s.Cases,
			riverAlone(fmt.Sprintf("River alone, %d", n), n),
			local(fmt.Sprintf("native, %d", n), native, n),
			local(fmt.Sprintf("worker, %d", n), worker, n),
		)
	}
	for _, n := range []int{1, 32, 256} {
		s.Cases = append(s.Cases, inserts(fmt.Sprintf("single rows, %d connections", n), n, 1, 2*lifecycles[n]))
	}
	s.Cases = append(s.Cases, inserts("rows by the hundred, one connection", 1, 100, 100_000))
	return s
}

func overHTTP() Scenario {
	batch := over("tasks:batch of 100, native", native, 64, 1)
	batch.Batch, batch.Tasks = 100, 20_000
	return Scenario{
		Name: "http", Title: "Over HTTP", Chart: PerSecond,
		What: "`serve` is a process of its own; 64 keep-alive connections submit one task a request, or a hundred with `tasks:batch`. River inserts in process, without HTTP. The floor beside the batch is 100-row inserts on one connection, compared in rows: inserted, updated and deleted ones, as Postgres counts them.",
		Cases: []Case{
			riverAlone("River alone, in process, 64", 64),
			over("native, 64 connections", native, 64, 1),
			over("worker, 64 connections", worker, 64, 1),
			batch,
			inserts("rows by the hundred, one connection", 1, 100, 100_000),
		},
		Lines: []Line{
			{What: "one task a request, 64 connections, beside River in process", Metric: PerSecond, Of: "native, 64 connections", Beside: "River alone, in process, 64", AtLeast: 1.5},
			{What: "`tasks:batch` of 100: rows a second, beside 100-row inserts on one connection", Metric: RowsASecond, Of: batch.Name, Beside: "rows by the hundred, one connection", AtLeast: 0.5},
		},
	}
}

func onIdle() Scenario {
	idle := func(name string, runtime domain.Runtime) Case {
		c := local(name, runtime, 1)
		c.measure, c.Tasks = measureIdle, 200
		return c
	}
	river := riverAlone("River alone", 1)
	river.measure, river.Tasks = measureIdleRiver, 200
	return Scenario{
		Name: "idle", Title: "Latency on an idle system", Chart: P50,
		What:  "From the call of submit (of insert) until the executor (the `Work` method) is entered, one task at a time, with a pause between them.",
		Cases: []Case{river, idle("native", native), idle("worker", worker)},
		Lines: []Line{
			{What: "idle, submit → executor entered, p50: `native` beside River's insert → `Work`", Metric: P50, Of: "native", Beside: "River alone", AtMost: 0.6},
			{What: "idle, submit → executor entered, p50: `worker` beside River's insert → `Work`", Metric: P50, Of: "worker", Beside: "River alone", AtMost: 1.3},
		},
	}
}

func onSaturated() Scenario {
	saturated := func(name string, runtime domain.Runtime) Case {
		c := local(name, runtime, 256)
		c.measure, c.Tasks, c.Slots, c.Queued = measureSaturated, 2500, 40, 10_000
		return c
	}
	return Scenario{
		Name: "saturated", Title: "Latency on a saturated system", Chart: P99,
		What:  "All 40 units are in use by tasks of 40–120 ms and 10,000 tasks are queued: from the return of an executor, which frees its unit, until the next executor is entered on it.",
		Cases: []Case{saturated("native", native), saturated("worker", worker)},
		Lines: []Line{
			{What: "saturated, units released → next executor entered, p99 in ms: `native`", Metric: P99, Of: "native", AtMost: 20},
			{What: "saturated, units released → next executor entered, p99 in ms: `worker`", Metric: P99, Of: "worker", AtMost: 50},
		},
	}
}

func processes() Scenario {
	s := Scenario{
		Name: "processes", Title: "Processes on one pool", Chart: PerSecond,
		What: "One, two and four `serve` processes take turns on the same pool; 256 HTTP connections are spread over them.",
		Lines: []Line{
			{What: "4 processes on one pool, beside 1 (`native`)", Metric: PerSecond, Of: "native, 4 processes", Beside: "native, 1 process", AtLeast: 0.9},
		},
	}
	for _, runtime := range []domain.Runtime{native, worker} {
		for i, name := range []string{"1 process", "2 processes", "4 processes"} {
			c := over(string(runtime)+", "+name, runtime, 256, 1<<i)
			c.Tasks = manyProcesses
			s.Cases = append(s.Cases, c)
		}
	}
	return s
}

func pools() Scenario {
	s := Scenario{
		Name: "pools", Title: "Pools of one process", Chart: PerSecond,
		What: "1,024 submitters in process, spread over 1, 10 and 100 pools, each of which has turns of its own.",
		Lines: []Line{
			{What: "100 pools, beside 1", Metric: PerSecond, Of: "100 pools", Beside: "1 pool", AtLeast: 0.9},
		},
	}
	for _, n := range []int{1, 10, 100} {
		c := local(fmt.Sprintf("%d pools", n), native, 1024)
		if c.Pools = n; n == 1 {
			c.Name = "1 pool"
		}
		s.Cases = append(s.Cases, c)
	}
	return s
}

func backends() Scenario {
	on := func(backend domain.Backend, submitters int) Case {
		c := local(fmt.Sprintf("%s, %d", backend, submitters), native, submitters)
		c.Backend = backend
		return c
	}
	return Scenario{
		Name: "backends", Title: "Backends", Chart: PerSecond,
		What: "`native` in process with 32 and 256 submitters. `file` commits every turn with an fsync, as Postgres does; `memory` is not durable.",
		Cases: []Case{
			on(domain.BackendPostgres, 32), on(domain.BackendFile, 32), on(domain.BackendMemory, 32),
			on(domain.BackendPostgres, 256), on(domain.BackendFile, 256), on(domain.BackendMemory, 256),
		},
		Lines: []Line{
			{What: "`file`, durable lifecycles a second, 256 submitters", Metric: PerSecond, Of: "file, 256", AtLeast: 1000},
		},
	}
}

func fairness() Scenario {
	of := func(policy domain.PriorityPolicy) Case {
		c := local(string(policy)+", 1,000 tenants", native, 256)
		c.Policy, c.Tenants, c.Slots = policy, 1000, 50
		return c
	}
	return Scenario{
		Name: "fairness", Title: "Fair queueing over 1,000 tenants", Chart: PerSecond,
		What:  "256 submitters for 1,000 tenants into a pool of 50 units, so that tasks queue and their order counts.",
		Cases: []Case{of(domain.PolicyFIFO), of(domain.PolicyFair)},
		Lines: []Line{
			{What: "`fair` pool of 1,000 tenants, beside `fifo`", Metric: PerSecond, Of: "fair, 1,000 tenants", Beside: "fifo, 1,000 tenants", AtLeast: 0.9},
		},
	}
}

func held() Scenario {
	c := func(name string, held bool) Case {
		c := local(name, native, 256)
		c.Tasks, c.Held = 15_000, held
		return c
	}
	return Scenario{
		Name: "held", Title: "A transaction held open elsewhere", Chart: PerSecond,
		What:  "Vacuum can remove nothing while some other session holds a transaction open, so every version of every row stays in the way.",
		Cases: []Case{c("no transaction held", false), c("one held all the while", true)},
		Lines: []Line{
			{What: "a transaction held open for the whole run, beside none", Metric: PerSecond, Of: "one held all the while", Beside: "no transaction held", AtLeast: 0.9},
		},
	}
}

func planner() Scenario {
	return Scenario{
		Name: "planner", Title: "The planner alone", Chart: NsACandidate,
		What:  "`go test -bench Turn ./internal/plan`: deciding a turn, without any backend, a task that was submitted, looked at, settled or started; of all kinds of turns the dearest.",
		Cases: []Case{{Name: plannerCase, measure: measurePlanner}},
		Lines: []Line{
			{What: "the planner alone, ns a candidate", Metric: NsACandidate, Of: plannerCase, AtMost: 2000},
		},
	}
}

func backlog() Scenario {
	c := func(name string, queued int) Case {
		c := local(name, native, 256)
		c.measure, c.Queued, c.Slots, c.Tasks = measureSteady, queued, 100, 8000
		return c
	}
	return Scenario{
		Name: "backlog", Title: "A long queue", Chart: PerSecond, Size: true,
		What:  "As one task ends another one comes, so that the queue keeps its length: every task is queued behind all of it, and the one in front is started. 100 units.",
		Cases: []Case{c("100 queued", 100), c("1,000,000 queued", 1_000_000)},
		Lines: []Line{
			{What: "1,000,000 queued, beside 100", Metric: PerSecond, Of: "1,000,000 queued", Beside: "100 queued", AtLeast: 0.8},
		},
	}
}

func finished() Scenario {
	c := func(name string, finished int, scattered bool) Case {
		c := local(name, native, 256)
		c.Finished, c.Scattered = finished, scattered
		return c
	}
	return Scenario{
		Name: "finished", Title: "Many finished tasks", Chart: PerSecond, Size: true,
		What:  "Lifecycles beside 5,000,000 finished tasks in `pl_queue_jobs`. Task ids in the order of time (as ULIDs and UUIDv7 are) go to one end of their index; random ones (UUIDv4) touch a page each, which costs a full page of WAL after every checkpoint.",
		Cases: []Case{c("empty tables", 0, false), c("5,000,000 finished", 5_000_000, false), c("5,000,000 finished, random ids", 5_000_000, true)},
		Lines: []Line{
			{What: "5,000,000 finished tasks, beside empty tables", Metric: PerSecond, Of: "5,000,000 finished", Beside: "empty tables", AtLeast: 0.9},
		},
	}
}

func memory() Scenario {
	c := func(backend domain.Backend) Case {
		c := over(string(backend), native, 8, 1)
		c.measure, c.Backend, c.Queued, c.Batch, c.Slots = measureMemory, backend, 1_000_000, 1000, 1
		return c
	}
	return Scenario{
		Name: "memory", Title: "Memory with a long queue", Chart: Resident, Size: true, Once: true,
		What:  "`serve` takes 1,000,000 tasks through `tasks:batch`, all of which stay queued; five seconds later its resident memory is read. The peak is from while it took them, eight batches of 1,000 at a time.",
		Cases: []Case{c(domain.BackendPostgres), c(domain.BackendFile)},
		Lines: []Line{
			{What: "`serve` with 1,000,000 queued on Postgres, resident MiB", Metric: Resident, Of: "postgres", AtMost: 150},
			{What: "`serve` with 1,000,000 queued on `file`, resident MiB", Metric: Resident, Of: "file", AtMost: 150},
		},
	}
}
