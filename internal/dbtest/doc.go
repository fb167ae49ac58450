// Package dbtest gives tests a real Postgres, and programs that measure a
// throwaway one.
//
// A server is found in this order: the DSN in TEST_DATABASE_URL; a container,
// when a Docker engine answers and has an image for it; the server binaries of
// this machine, run by an unprivileged user when this process is root.
// PARKINGLOT_TEST_POSTGRES=dsn|container|binaries forces one of them. Without
// any of them a test fails with a line that says what to install; it never skips.
//
// A test binary starts one server when its first test asks, and every test gets a
// database of its own, cloned from a migrated template, so that advisory locks
// and notifications of tests do not meet either. A server started here goes away
// with the process that started it, however that process ends. Postgres 14 and
// later.
package dbtest
