// Package postgres is the store on Postgres 14 or later: turns in two round trips,
// the plain reads, and hints between processes by LISTEN and NOTIFY.
//
// A turn sends BEGIN, its settings, a try of the pool's advisory lock and every
// read as one pipelined batch, decides, and sends every write with the COMMIT as
// a second one. What this process's last turn of the pool left is not read again, as long as
// the newest turn, which is, is that one. When the lock is taken it waits for it alone, gathers again and
// reads again: four round trips. A worker pool's River jobs go with the writes; once in
// some thousand of them their ids are reserved before.
//
// Locks are transaction-level and settings local, so that PgBouncer's transaction
// mode works (Options.Pooled), given a role whose search_path is the schema. Listen
// needs a real session: point it past PgBouncer (Options.DirectURL) or rely on the
// safety poll.
//
// Limits: rank and units are bigint; a turn's id, the counters and every write are
// refused together by the database when a row is not as it was read, when the
// turn's number exists, or when active_units would exceed ceiling.
package postgres
