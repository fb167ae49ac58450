// Package runtime holds nothing: it is the folder of the runtimes, and the home of
// the tests that all of them pass.
//
//   - attempts: what they share, from a started task to its settlement
//   - native: goroutines in the process whose turn started the task
//   - riverrt: any worker process of the fleet, through River, on Postgres
package runtime
