package attempts

import (
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// Bounds of what is handed over and not yet begun. What does not fit is read instead.
const (
	handoverAge   = 250 * time.Millisecond // far more than River needs to fetch a job
	handoverTasks = 4096
	handoverBytes = 16 << 20 // of payloads
)

// Handover passes tasks on from the turn of this process that starts them to who begins
// their attempts here, and saves reading them. Its methods are safe for concurrent use.
//
// What the read would tell besides the task is that somebody has asked the attempt to stop,
// or that it has ended. Neither gets lost:
//
//   - A turn of this process ends in Stop, which either comes before Begin and makes all that
//     is handed over worthless, or finds the attempt begun.
//   - A turn of another process sends a hint, which does the same (Distrust) before it looks
//     for what this process holds: an attempt begun before is in what it finds. The handover
//     was prepared before the attempt's start was committed, hence before anybody could stop
//     it: tasks that are handed over late, after the hint, count for nothing either. A hint
//     that never arrives costs what it costs of a running attempt.
//   - An attempt whose River job could be fetched was live then, because the turn that ends
//     one deletes its job. Who begins it is its holder, and so nobody else ends it but for the
//     death of this process: by a clock that goes on while the process stands still, what is
//     handed over is worthless before others can take the process for dead.
//   - From Begin on nothing differs from an attempt that was read at that moment.
type Handover struct {
	runner *Runner
	doubts uint64
	at     time.Time
}

// handed is one task that has been handed over.
type handed struct {
	task domain.Task
	at   time.Time
}

// ageLimit returns how long a task is as good as the row it was written to. A process that
// may start tasks has sent a heartbeat within TTL − margin, and others wait for TTL + margin:
// twice the margin, of a sixth of the TTL, is more than this.
func ageLimit(ttl time.Duration) time.Duration {
	const part = 4
	if ttl > 0 {
		return min(handoverAge, ttl/part)
	}
	return handoverAge // far less than a part of the scheduler's default
}

// Prepare returns a Handover for what a turn is about to start. It must be called before
// the turn commits.
func (r *Runner) Prepare() Handover {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Handover{runner: r, doubts: r.doubts, at: time.Now()}
}

// Give hands over tasks that the turn has started, once they are durable. Those without a
// payload are left out: it is not known whether they have one.
func (h Handover) Give(tasks []domain.Task) {
	r := h.runner
	r.mu.Lock()
	defer r.mu.Unlock()
	if h.doubts != r.doubts {
		return
	}
	for i := range tasks {
		if size := r.handedBytes + len(tasks[i].Payload); tasks[i].Payload != nil && size <= handoverBytes && len(r.handed) < handoverTasks {
			r.handed[tasks[i].Ref()], r.handedBytes = handed{tasks[i], h.at}, size
		}
	}
	if len(r.handed) > 0 && !r.expiring {
		r.expiring = true
		time.AfterFunc(r.ageLimit, r.expire)
	}
}

// Distrust implements scheduler.Holder: what has been handed over, or was prepared to be,
// is read.
func (r *Runner) Distrust() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.distrust()
}

// distrust is Distrust under the lock.
func (r *Runner) distrust() {
	r.doubts++
	clear(r.handed)
	r.handedBytes = 0
}

// take returns what was handed over of an attempt that begins; nil: nothing that counts.
// The caller holds the lock.
func (r *Runner) take(ref domain.Ref) *domain.Task {
	h, here := r.handed[ref]
	if !here {
		return nil
	}
	r.drop(ref, &h)
	if time.Since(h.at) >= r.ageLimit {
		return nil
	}
	return &h.task
}

func (r *Runner) drop(ref domain.Ref, h *handed) {
	delete(r.handed, ref)
	r.handedBytes -= len(h.task.Payload)
}

// expire lets go of what nobody has begun here: other processes have.
func (r *Runner) expire() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for ref, h := range r.handed {
		if time.Since(h.at) >= r.ageLimit {
			r.drop(ref, &h)
		}
	}
	if r.expiring = len(r.handed) > 0; r.expiring {
		time.AfterFunc(r.ageLimit, r.expire)
	}
}
