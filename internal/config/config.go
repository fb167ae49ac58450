package config

import (
	"time"
)

// Config is the whole file. Fields are documented by their tags:
//
//	key       name in the file
//	doc       sentence for the schema and the reference
//	required  "true": must be there
//	min, max  bounds of an integer
//	enum      allowed values, separated by |
//	format    "id" (1–200 of A–Z a–z 0–9 . _ : -), "name" (1–200 characters, no control
//	          characters) or "identifier" (of SQL, without quotes)
type Config struct {
	SchemaURL string    `key:"$schema"   doc:"Where editors find the schema of this file; not read."`
	DataDir   string    `key:"data_dir"  doc:"Folder of the file backend; made when it is missing."`
	Database  Database  `key:"database"  doc:"The Postgres that pools on the postgres backend live in."`
	Defaults  Policy    `key:"defaults"  doc:"Values for every pool that does not set its own."`
	Parking   Parking   `key:"parking"   doc:"Where facilities, spots and tickets live."`
	Pools     []Pool    `key:"pools"     doc:"The pools, at least one." required:"true"`
	Limits    Limits    `key:"limits"    doc:"Sizes, intervals and concurrency of a process."`
	Retention Retention `key:"retention" doc:"How long what is over is kept."`

	origin string // the file's name for messages; empty: the built-in demo
}

// Database says where Postgres is.
type Database struct {
	URL       string `key:"url"       doc:"Postgres DSN, as a URL or key=value pairs. $VAR is taken from the environment."`
	DirectURL string `key:"direct_url" doc:"DSN past the pooler, for what needs a session: LISTEN, River's worker, migrations; url when it is left out. $VAR is taken from the environment."`
	Pooler    string `key:"pooler" doc:"What url leads to: none is Postgres itself; transaction is a pooler that gives connections away between transactions, such as PgBouncer." enum:"none|transaction"`
	Schema    string `key:"schema"    doc:"Schema of all tables, made by migrate." format:"identifier"`
	MaxConns  int64  `key:"max_conns" doc:"Connections of a process for turns and reads; 0: 10. River, heartbeats and wake-ups have a few besides." min:"0" max:"10000"`
}

// Pooled reports whether connections are given away between transactions.
func (d Database) Pooled() bool { return d.Pooler == "transaction" }

// Parking says where the parking half keeps its rows.
type Parking struct {
	Backend string `key:"backend" doc:"When it is left out: postgres where database.url is set, else file, or memory where all pools are in memory." enum:"memory|file|postgres"`
}

// Policy is what a pool does with its tasks. As "defaults" it fills in what
// pools leave out.
type Policy struct {
	MaxQueueDepth      int64  `key:"max_queue_depth"      doc:"Tasks that may wait; more are rejected with queue_full. 0: nothing waits." min:"0" max:"100000000"`
	DefaultTimeoutSecs int64  `key:"default_timeout_secs" doc:"Timeout of one attempt, for tasks that set none." min:"1" max:"604800"`
	QueueBackend       string `key:"queue_backend"        doc:"Where the pool's queue and audit trail live." enum:"memory|file|postgres"`
	MailboxBackend     string `key:"mailbox_backend"      doc:"Where outcomes are left." enum:"memory|file|postgres"`
	RuntimeAdapter     string `key:"runtime_adapter"      doc:"How a started task reaches its executor: native runs it in the serving process, worker in any work process (postgres only), web leases it to remote workers over HTTP." enum:"native|worker|web"`
	PriorityPolicy     string `key:"priority_policy"      doc:"The order of the queue." enum:"fifo|priority|fair|deadline"`
	ResourceKind       string `key:"resource_kind"        doc:"What units count, for tasks that do not say." enum:"cpu|gpuVram|io|mixed"`
	MaxOvertakes       int64  `key:"max_overtakes"        doc:"How often a waiting task that does not fit may be overtaken by smaller ones. 0: strictly in order." min:"0" max:"1000000"`
	MaxAttempts        int64  `key:"max_attempts"         doc:"Attempts of a task, for tasks that set none. Above 1, failed and lost attempts are tried again." min:"1" max:"100"`
	RetryBaseMS        int64  `key:"retry_base_ms"        doc:"Backoff before the second attempt; doubled for each one after it." min:"0" max:"86400000"`
	RetryMaxMS         int64  `key:"retry_max_ms"         doc:"Longest backoff." min:"0" max:"86400000"`
}

// Pool is one resource with a limit.
type Pool struct {
	PoolID   string `key:"pool_id"   doc:"Name of the pool in URLs." required:"true" format:"id"`
	Name     string `key:"name"      doc:"Name for people; the pool_id when it is left out." format:"name"`
	MaxUnits int64  `key:"max_units" doc:"Units that may be in use at once. 0: everything is rejected." required:"true" min:"0" max:"1000000000"`
	Policy
	Tenants   map[string]Tenant   `key:"tenants"   doc:"Shares and caps of tenants, by name." format:"name"`
	Executors map[string]Executor `key:"executors" doc:"The code that tasks may choose, by name; \"default\" serves tasks that choose none." format:"id"`
}

// Tenant is what one tenant may do in a pool.
type Tenant struct {
	Weight        int64 `key:"weight"          doc:"Share in fair queueing; 1 when it is left out." min:"1" max:"1000"`
	MaxUnits      int64 `key:"max_units"       doc:"Units the tenant may use at once; 0: no cap of its own." min:"0" max:"1000000000"`
	MaxQueueDepth int64 `key:"max_queue_depth" doc:"Tasks of the tenant that may wait; 0: no cap of its own." min:"0" max:"100000000"`
}

// Executor is code by configuration. Which of the fields count depends on Type.
type Executor struct {
	Type    string            `key:"type"    doc:"http posts the payload, command pipes it to a program, sleep waits (for trials)." required:"true" enum:"http|command|sleep"`
	URL     string            `key:"url"     doc:"http: where to; http or https. $VAR is taken from the environment."`
	Method  string            `key:"method"  doc:"http: the method; POST when it is left out." enum:"POST|PUT|PATCH|GET|DELETE"`
	Headers map[string]string `key:"headers" doc:"http: header fields by name. $VAR in values is taken from the environment."`
	Argv    []string          `key:"argv"    doc:"command: the program and its arguments; never a shell."`
	Env     map[string]string `key:"env"     doc:"command: environment variables added to the process's own."`
	Workdir string            `key:"workdir" doc:"command: folder to run in; the process's own when it is left out."`
}

// Limits bounds what one process takes and how often it looks.
type Limits struct {
	MaxPayloadBytes   int64 `key:"max_payload_bytes"  doc:"Largest payload of a task." min:"1" max:"1048576"`
	MaxResultBytes    int64 `key:"max_result_bytes"   doc:"Largest result of a task; larger ones fail it." min:"1" max:"8388608"`
	MaxWaitSecs       int64 `key:"max_wait_secs"      doc:"Longest time a read waits for news (the wait parameter)." min:"1" max:"300"`
	HeartbeatMS       int64 `key:"heartbeat_ms"       doc:"How often a process says that it is alive." min:"50" max:"600000"`
	WorkerTTLMS       int64 `key:"worker_ttl_ms"      doc:"Silence after which a process counts as dead and its tasks as lost." min:"150" max:"3600000"`
	LeaseTTLMS        int64 `key:"lease_ttl_ms"       doc:"Silence after which a remote worker of a web pool loses a task, where its lease request names no ttlSecs." min:"200" max:"3600000"`
	MaxLeaseTTLMS     int64 `key:"max_lease_ttl_ms"   doc:"Longest ttlSecs that a lease request may name." min:"1000" max:"86400000"`
	SafetyPollMS      int64 `key:"safety_poll_ms"     doc:"How often a pool is looked at when no wake-up came." min:"50" max:"600000"`
	ReconcileSecs     int64 `key:"reconcile_secs"     doc:"How often counters are compared with the rows they count." min:"1" max:"86400"`
	GraceSecs         int64 `key:"grace_secs"         doc:"Time that running tasks get to end when the process is asked to stop." min:"0" max:"86400"`
	WorkerConcurrency int64 `key:"worker_concurrency" doc:"Tasks of each worker pool that one process runs at once. 0: serve runs none and leaves them to work processes." min:"0" max:"10000"`
}

// Retention says how long what is over is kept.
type Retention struct {
	TurnRows         int64 `key:"turn_rows"          doc:"Turn rows kept for each pool." min:"100" max:"1000000000"`
	AuditDays        int64 `key:"audit_days"         doc:"Whole days (UTC) of the audit trail that are kept before today. 0: all." min:"0" max:"36500"`
	TaskSecs         int64 `key:"task_secs"          doc:"How long a task is kept after its end; its id may then be submitted again. 0: for ever." min:"0" max:"3153600000"`
	UnreadSecs       int64 `key:"unread_secs"        doc:"How long a message is kept that nobody acknowledges. 0: all messages are kept for ever." min:"0" max:"3153600000"`
	AcknowledgedSecs int64 `key:"acknowledged_secs"  doc:"How long a message is kept after it was acknowledged, where messages are not kept for ever." min:"1" max:"3153600000"`
}

// builtIn returns the values of everything a file leaves out.
func builtIn() *Config {
	return &Config{
		DataDir:  "./data",
		Database: Database{Schema: "public", Pooler: "none"},
		Defaults: Policy{
			MaxQueueDepth: 1000, DefaultTimeoutSecs: 60,
			QueueBackend: "file", MailboxBackend: "file",
			RuntimeAdapter: "native", PriorityPolicy: "fair", ResourceKind: "mixed",
			MaxOvertakes: 16, MaxAttempts: 1, RetryBaseMS: 1000, RetryMaxMS: 60_000,
		},
		Limits: Limits{
			MaxPayloadBytes: 1 << 20, MaxResultBytes: 1 << 20, MaxWaitSecs: 60,
			HeartbeatMS: 2000, WorkerTTLMS: 6000, LeaseTTLMS: 7000, MaxLeaseTTLMS: 600_000, SafetyPollMS: 1000, ReconcileSecs: 30,
			GraceSecs: 30, WorkerConcurrency: 100,
		},
		Retention: Retention{
			TurnRows: 10_000, AuditDays: 90, TaskSecs: 30 * 24 * 3600, UnreadSecs: 30 * 24 * 3600, AcknowledgedSecs: 3600,
		},
	}
}

// Origin returns the file's name, or "the built-in demo".
func (c *Config) Origin() string {
	if c.origin == "" {
		return "the built-in demo"
	}
	return c.origin
}

// Heartbeat returns how often a process says that it is alive.
func (l Limits) Heartbeat() time.Duration { return millis(l.HeartbeatMS) }

// WorkerTTL returns the silence after which a process counts as dead.
func (l Limits) WorkerTTL() time.Duration { return millis(l.WorkerTTLMS) }

// LeaseTTL returns the silence after which a remote worker loses a task.
func (l Limits) LeaseTTL() time.Duration { return millis(l.LeaseTTLMS) }

// MaxLeaseTTL returns the longest TTL that a lease request may name.
func (l Limits) MaxLeaseTTL() time.Duration { return millis(l.MaxLeaseTTLMS) }

// SafetyPoll returns how often a pool is looked at when no wake-up came.
func (l Limits) SafetyPoll() time.Duration { return millis(l.SafetyPollMS) }

// Reconcile returns how often counters are compared with rows.
func (l Limits) Reconcile() time.Duration { return seconds(l.ReconcileSecs) }

// Grace returns the time running tasks get to end at shutdown.
func (l Limits) Grace() time.Duration { return seconds(l.GraceSecs) }

// MaxWait returns the longest time a read waits for news.
func (l Limits) MaxWait() time.Duration { return seconds(l.MaxWaitSecs) }

// Audit returns how long events are kept; 0: for ever.
func (r Retention) Audit() time.Duration { return seconds(r.AuditDays * 24 * 3600) }

// Tasks returns how long tasks are kept after their end; 0: for ever.
func (r Retention) Tasks() time.Duration { return seconds(r.TaskSecs) }

// Unread returns how long messages are kept that nobody acknowledges; 0: for ever.
func (r Retention) Unread() time.Duration { return seconds(r.UnreadSecs) }

// Acknowledged returns how long messages are kept after that.
func (r Retention) Acknowledged() time.Duration { return seconds(r.AcknowledgedSecs) }

func millis(n int64) time.Duration  { return time.Duration(n) * time.Millisecond }
func seconds(n int64) time.Duration { return time.Duration(n) * time.Second }
