package domain

import (
	"strconv"
	"strings"
	"time"
)

// LeaseID names one lease: the pool, the job and the attempt it is for, and a token
// that cannot be guessed. Who knows it may extend the lease and settle the attempt,
// so it is shown to nobody but the worker that got it.
type LeaseID string

// NewLeaseID makes the id of the lease of ref. The token must not contain a dot.
func NewLeaseID(ref Ref, token string) LeaseID {
	return LeaseID(string(ref.PoolID) + "." + strconv.FormatInt(int64(ref.JobID), 10) + "." +
		strconv.Itoa(ref.Attempt) + "." + token)
}

// Ref returns the attempt that the lease is for; false when id is none of ours. That a
// lease of this id was ever given out is not said.
func (id LeaseID) Ref() (Ref, bool) {
	rest, token, ok := cutLast(string(id))
	if !ok || token == "" {
		return Ref{}, false
	}
	rest, attempt, ok := cutLast(rest)
	if !ok {
		return Ref{}, false
	}
	pool, job, ok := cutLast(rest)
	if !ok || pool == "" {
		return Ref{}, false
	}
	n, err := strconv.ParseInt(job, 10, 64)
	if err != nil || n < 1 {
		return Ref{}, false
	}
	a, err := strconv.ParseInt(attempt, 10, 32)
	if err != nil || a < 1 {
		return Ref{}, false
	}
	return Ref{PoolID: PoolID(pool), JobID: JobID(n), Attempt: int(a)}, true
}

func cutLast(s string) (before, after string, found bool) {
	i := strings.LastIndexByte(s, '.')
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// Lease is a remote worker's hold on one running attempt of a web pool: a row of
// pl_leases. It begins with the attempt and goes with whatever ends that.
type Lease struct {
	ID     LeaseID
	Ref    Ref
	Worker string // what the remote worker calls itself
	// TTL is how long the lease lasts without a heartbeat.
	TTL       time.Duration
	GrantedAt time.Time
	// ExpiresAt is when the lease is lost if no heartbeat comes: never after TimeoutAt.
	ExpiresAt time.Time
	// TimeoutAt is when the attempt has run for as long as its task may.
	TimeoutAt time.Time
	// CancelAsked is when the task was asked to stop; the lease ends at most TTL after it.
	CancelAsked *time.Time
}

// leaseHolder begins the name of every holder that is a lease. Processes are named by
// UUIDs.
const leaseHolder = "lease:"

// LeaseHolder is how a task names a remote worker that holds a lease on it.
func LeaseHolder(worker string) WorkerID { return WorkerID(leaseHolder + worker) }

// Leased reports whether the holder is a lease rather than a process.
func (id WorkerID) Leased() bool { return strings.HasPrefix(string(id), leaseHolder) }
