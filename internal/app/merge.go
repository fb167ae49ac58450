package app

import (
	"cmp"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// stamped is what an entry of a stream is merged by.
type stamped interface {
	stamp() (at time.Time, source domain.Source, seq int64)
}

type stampedEvent struct{ *domain.Event }

func (e stampedEvent) stamp() (time.Time, domain.Source, int64) { return e.At, e.Source, e.Seq }

type stampedMessage struct{ *domain.Message }

func (m stampedMessage) stamp() (time.Time, domain.Source, int64) {
	return m.CreatedAt, m.Source, m.Seq
}

// merge returns the first limit entries of the lists in the order of time, source
// and sequence number. The order within each list stays, so what is taken of a
// source is always its beginning: a cursor made of it passes over nothing.
func merge[T any, S stamped](lists [][]T, limit int, as func(*T) S) []T {
	merged := []T{}
	for len(merged) < limit {
		best := -1
		for i := range lists {
			if len(lists[i]) > 0 && (best < 0 || before(as(&lists[i][0]), as(&lists[best][0]))) {
				best = i
			}
		}
		if best < 0 {
			break
		}
		merged = append(merged, lists[best][0])
		lists[best] = lists[best][1:]
	}
	return merged
}

func before(a, b stamped) bool {
	atA, sourceA, seqA := a.stamp()
	atB, sourceB, seqB := b.stamp()
	return cmp.Or(atA.Compare(atB), cmp.Compare(sourceA, sourceB), cmp.Compare(seqA, seqB)) < 0
}

func mergeMessages(lists [][]domain.Message, limit int) []domain.Message {
	return merge(lists, limit, func(m *domain.Message) stampedMessage { return stampedMessage{m} })
}

func mergeEvents(lists [][]domain.Event, limit int) []domain.Event {
	return merge(lists, limit, func(e *domain.Event) stampedEvent { return stampedEvent{e} })
}
