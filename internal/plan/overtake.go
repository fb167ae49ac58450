package plan

import "iter"

// Overtaking keeps the books of one walk down a line: who in front did not fit, and
// how often each of them was overtaken. Of those that are alike (the same key: for a
// pool the class, for a waiting line also what is asked for) only the first is a head
// and counts; who stands behind it moves up to be the head when it has gone.
//
// A head that was overtaken Max times is saturated: what it could use is kept for it.
// Since every overtaking is written to the head itself, no newcomer can reset it.
//
// It is pure and not safe for concurrent use. The zero value with Max set is a walk
// that has not begun.
type Overtaking[K comparable, T any] struct {
	// Max is how often a head may be overtaken; 0: never.
	Max int

	heads []head[K, T]
}

type head[K comparable, T any] struct {
	key       K
	who       T
	overtaken int
}

// Block notes somebody who does not fit and was overtaken so often before. It reports
// whether that one is the head of its key: the first.
func (o *Overtaking[K, T]) Block(key K, who T, overtaken int) bool {
	if o.Blocked(key) {
		return false
	}
	o.heads = append(o.heads, head[K, T]{key: key, who: who, overtaken: overtaken})
	return true
}

// Blocked reports whether the key has a head.
func (o *Overtaking[K, T]) Blocked(key K) bool {
	for i := range o.heads {
		if o.heads[i].key == key {
			return true
		}
	}
	return false
}

// Pass counts a start past the heads for which it counts (nil: all of them), and
// tells each with its new number.
func (o *Overtaking[K, T]) Pass(counts func(T) bool, counted func(who T, overtaken int)) {
	for i := range o.heads {
		h := &o.heads[i]
		if counts == nil || counts(h.who) {
			h.overtaken++
			counted(h.who, h.overtaken)
		}
	}
}

// Saturated yields the heads that must not be overtaken any more, in the order of the
// walk.
func (o *Overtaking[K, T]) Saturated() iter.Seq[T] {
	return func(yield func(T) bool) {
		for i := range o.heads {
			if o.heads[i].overtaken >= o.Max && !yield(o.heads[i].who) {
				return
			}
		}
	}
}

// FirstSaturated returns the first of them, and whether there is one.
func (o *Overtaking[K, T]) FirstSaturated() (who T, found bool) {
	for i := range o.heads {
		if o.heads[i].overtaken >= o.Max {
			return o.heads[i].who, true
		}
	}
	return who, false
}
