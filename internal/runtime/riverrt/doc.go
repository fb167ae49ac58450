// Package riverrt is the runtime that carries started tasks to worker processes
// through River, on Postgres only: Carrier says what River job the turn that starts a
// task inserts, Worker fetches jobs in any process of the fleet, looks whether the
// attempt is still live, and hands it to the process's attempts.Runner. Where the turn and
// the worker share a process, the Carrier wakes the Worker and hands it the task.
//
// River carries here and decides nothing. Its retries, timeouts and rescues
// are off (one attempt a job, timeout -1, which its rescuer leaves alone): timeouts
// count in workers.Run, retries and losses are turns. The turn that ends an attempt
// deletes its River job. Config.ID is the worker's id, so that River's
// attempted_by says who holds a task without a write of ours.
//
// Limits: River fetches one queue with one query at a time in each process, at
// most every fetchCooldown while the queue is busy.
package riverrt
