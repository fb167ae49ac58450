package plan

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// Wanted returns how many tasks the lessees would take: a store need not read much more.
func (r *Requests) Wanted() int64 {
	var n int64
	for i := range r.Lessees {
		n += int64(max(0, r.Lessees[i].Tasks))
	}
	return n
}

// LeasedJobs returns the jobs whose leases a turn of these requests has to read, sorted.
func (r *Requests) LeasedJobs() []domain.JobID {
	var jobs []domain.JobID
	for i := range r.Settles {
		if r.Settles[i].Lease != "" {
			jobs = append(jobs, r.Settles[i].Ref.JobID)
		}
	}
	for i := range r.Losts {
		if r.Losts[i].Holder.Leased() {
			jobs = append(jobs, r.Losts[i].Ref.JobID)
		}
	}
	slices.Sort(jobs)
	return slices.Compact(jobs)
}

// openLeases counts what the lessees of this turn would take. A pool whose tasks are
// not leased answers them so.
func (t *turn) openLeases() {
	if len(t.req.Lessees) == 0 {
		return
	}
	t.lent = make([]Lent, len(t.req.Lessees))
	for i := range t.req.Lessees {
		if t.pool.Runtime != domain.RuntimeWeb {
			t.lent[i].Err = domain.Errorf(domain.CodePoolNotWeb,
				"the tasks of pool %q are run by its runtime %q and cannot be leased; lease from a pool whose runtime_adapter is web",
				t.pool.PoolID, t.pool.Runtime)
			continue
		}
		t.room += max(0, t.req.Lessees[i].Tasks)
	}
}

// unwanted reports whether nothing may start because nobody asks for it.
func (t *turn) unwanted() bool { return t.pool.Runtime == domain.RuntimeWeb && t.room <= 0 }

// nextLessee is the first with room. There is one, or nothing may start.
func (t *turn) nextLessee() int {
	at := 0
	for len(t.lent[at].Leases) >= t.req.Lessees[at].Tasks {
		at++
	}
	return at
}

// lesseeName is who the trail says the next attempt starts for; empty in other pools.
func (t *turn) lesseeName() string {
	if t.pool.Runtime != domain.RuntimeWeb {
		return ""
	}
	return string(domain.LeaseHolder(t.req.Lessees[t.nextLessee()].Worker))
}

// lend gives the attempt that is about to start to the next lessee, and returns its
// holder. The lease ends with the task's timeout at the latest.
func (t *turn) lend(task *domain.Task) domain.WorkerID {
	at := t.nextLessee()
	lessee, lent := &t.req.Lessees[at], &t.lent[at]
	timeout := t.now.Add(task.Timeout)
	lease := domain.Lease{
		ID: domain.NewLeaseID(task.Ref(), leaseToken(lessee.Secret, task.Ref())), Ref: task.Ref(), Worker: lessee.Worker,
		TTL: lessee.TTL, GrantedAt: t.now, ExpiresAt: earliest(t.now.Add(lessee.TTL), timeout), TimeoutAt: timeout,
	}
	task.Holder = domain.LeaseHolder(lessee.Worker)
	lent.Leases = append(lent.Leases, lease)
	lent.Tasks = append(lent.Tasks, *task)
	t.leased = append(t.leased, lease)
	t.room--
	return task.Holder
}

// leaseToken is 128 bits that only who knows the secret can compute: each lease of a
// lessee has another one, and a turn that is decided again gives the same.
func leaseToken(secret []byte, ref domain.Ref) string {
	const tokenBytes = 16
	mac := hmac.New(sha256.New, secret)
	_ = binary.Write(mac, binary.BigEndian, [2]int64{int64(ref.JobID), int64(ref.Attempt)}) // a hash never fails
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:tokenBytes])
}

// expireLease decides what becomes of an attempt whose lease somebody saw expired.
// Not done: it is lost. A heartbeat may have come since, and an attempt that ran for as
// long as it may has not lost its holder but its time.
func (t *turn) expireLease(r *row, l *Lost) (answer Answer, done bool) {
	lease, ok := t.snap.Leases[l.Ref.JobID]
	switch {
	case !ok:
		return Answer{}, false
	case lease.ExpiresAt.After(t.now):
		return Answer{Task: r.t, Err: domain.Errorf(domain.CodeConflict,
			"the lease on attempt %d of task %q has been extended: it is not lost", l.Ref.Attempt, r.t.TaskID)}, true
	case r.t.CancelAsked == nil && !lease.TimeoutAt.After(t.now):
		t.end(r, domain.EventExpire, domain.StatusExpired, timedOut(r.t, &Settle{}))
		return Answer{Task: r.t}, true
	}
	return Answer{}, false
}

// unknownLease answers a lease that was never given out for a live attempt.
func unknownLease() Answer {
	return Answer{Err: domain.Errorf(domain.CodeUnknownLease, "there is no such lease")}
}

func earliest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
