package parking

import "time"

// Charge is what leaving at an instant costs, given what was paid.
type Charge struct {
	Price     Price
	Until     time.Time  // what the price was computed for: the payment that opened the exit window, else the instant
	Due       Money      // still to be paid
	FreeUntil *time.Time // end of the exit window; nil: the instant is in none
}

// Charge computes what leaving at an instant costs. A payment opens an exit window
// when all payments together cover the price at its paidAt; inside it nothing more is
// charged, outside the whole stay is.
//
// It looks at what the ticket knows now, so that a ticket reported lost after it was
// paid has no window, and a discount may open one.
func (t *Ticket) Charge(s *Strategy, at time.Time) Charge {
	paid := t.Paid()
	if opened, price, ok := t.window(s, paid, at); ok {
		end := opened.Add(time.Duration(s.ExitWindowMinutes) * time.Minute)
		return Charge{Price: price, Until: opened, FreeUntil: &end}
	}
	c := Charge{Price: Compute(s, t.Stay(at)), Until: at}
	c.Due = max(0, c.Price.Total-paid)
	return c
}

// window returns the newest payment whose exit window the instant is in, and the
// price it covered.
func (t *Ticket) window(s *Strategy, paid Money, at time.Time) (opened time.Time, price Price, ok bool) {
	for i := range t.Payments {
		paidAt := t.Payments[i].PaidAt
		since := wholeSeconds(paidAt, at)
		if since < 0 || since > s.ExitWindowMinutes*60 || ok && !paidAt.After(opened) {
			continue
		}
		if p := Compute(s, t.Stay(paidAt)); paid >= p.Total {
			opened, price, ok = paidAt, p, true
		}
	}
	return opened, price, ok
}

// CoveredAt returns the newest paidAt at which the payments cover the price; nil:
// there is none.
func (t *Ticket) CoveredAt(s *Strategy) *time.Time {
	var newest *time.Time
	paid := t.Paid()
	for i := range t.Payments {
		paidAt := t.Payments[i].PaidAt
		if newest != nil && !paidAt.After(*newest) {
			continue
		}
		if Compute(s, t.Stay(paidAt)).Total <= paid {
			newest = &paidAt
		}
	}
	return newest
}
