package history

import (
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// highShare is the part of the limit from which a pool counts as well used.
const highShare = 0.9

// Usage is what a pool's units and queue did over time. Durations are between
// the times of events, so they are the database's, not the reader's.
type Usage struct {
	PeakUnits  domain.Units `json:"peakUnits"`
	PeakAt     time.Time    `json:"peakAt"`
	PeakQueued int64        `json:"peakQueued"`
	// PeakUnitsQueued is the most units in use at an instant when tasks were queued.
	PeakUnitsQueued domain.Units `json:"peakUnitsQueued"`
	// Span is from the first event to the last, QueuedFor the part of it with a
	// queue that was not empty, HighFor the part of that with at least 90 % of the
	// limit in use.
	Span      time.Duration `json:"spanNs"`
	QueuedFor time.Duration `json:"queuedForNs"`
	HighFor   time.Duration `json:"highForNs"`
	// UnitSeconds is the integral of the units in use.
	UnitSeconds float64 `json:"unitSeconds"`

	at     time.Time
	limit  domain.Units
	active domain.Units
	queued int64
}

// Resume begins at a known state instead of an empty pool.
func (u *Usage) Resume(limit, active domain.Units, queued int64) {
	u.limit, u.active, u.queued = limit, active, queued
}

// Observe records that from at on, active units of limit are in use and queued
// tasks wait. Times must not decrease; one that does counts as no time passed.
func (u *Usage) Observe(at time.Time, limit, active domain.Units, queued int64) {
	if !u.at.IsZero() && at.After(u.at) {
		passed := at.Sub(u.at)
		u.Span += passed
		u.UnitSeconds += passed.Seconds() * float64(u.active)
		if u.queued > 0 {
			u.QueuedFor += passed
			u.PeakUnitsQueued = max(u.PeakUnitsQueued, u.active)
			if float64(u.active) >= highShare*float64(u.limit) {
				u.HighFor += passed
			}
		}
	}
	if u.at.IsZero() || at.After(u.at) {
		u.at = at
	}
	u.limit, u.active, u.queued = limit, active, queued
	if active > u.PeakUnits {
		u.PeakUnits, u.PeakAt = active, at
	}
	u.PeakQueued = max(u.PeakQueued, queued)
}

// HighShare is the share of the time with a queue in which at least 90 % of the
// limit was in use; 1 when there never was a queue.
func (u *Usage) HighShare() float64 { return share(u.HighFor, u.QueuedFor, 1) }

// QueuedShare is the share of the time in which the queue was not empty.
func (u *Usage) QueuedShare() float64 { return share(u.QueuedFor, u.Span, 0) }

// MeanUnits is the average of the units in use.
func (u *Usage) MeanUnits() float64 {
	if u.Span <= 0 {
		return 0
	}
	return u.UnitSeconds / u.Span.Seconds()
}

func share(part, whole time.Duration, otherwise float64) float64 {
	if whole <= 0 {
		return otherwise
	}
	return float64(part) / float64(whole)
}
