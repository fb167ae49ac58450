// Package postgres is the store on Postgres 14 or later: turns in one or two round trips,
// the plain reads, and hints between processes by LISTEN and NOTIFY.
//
// A turn that can be decided on what this process's last turn of the pool left sends its
// settings, a try of the pool's advisory lock, a guard and every write as one pipelined batch, with
// the turns of other pools that are to be taken at the same time. Every other turn sends BEGIN, its settings, a try of
// the lock and every read as one batch, decides, and sends every write with the COMMIT as
// a second one. When the lock is taken it waits for it alone, gathers again and
// reads again: four round trips, or three where that was to be expected. A worker pool's River jobs go with the writes; once in
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
