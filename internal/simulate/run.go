package simulate

import (
	"container/heap"
	"context"
	"fmt"
	"net/http"
	"reflect"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/parkinglot/parkinglot/api/client"
)

// Options says what to simulate where.
type Options struct {
	API   *client.Client
	Model Model
	Spots int
	// RunID begins the ids of everything that is made, and is that of the facility.
	RunID string
	// Scale is how many times as fast as real drivers come and go; 0: virtual time.
	Scale float64
	// Progress is told how many visits have ended; may be nil. Called from one
	// goroutine at a time.
	Progress func(ended int)
}

// Report is how a simulation went.
type Report struct {
	FacilityID  string        `json:"facilityId"`
	Drivers     int           `json:"drivers"`
	Parked      int           `json:"parked"`
	TurnedAway  int           `json:"turnedAway"`
	Waited      int           `json:"waited"`    // stood in line
	GaveUp      int           `json:"gaveUp"`    // of those: their patience ended
	Repeats     int           `json:"repeats"`   // calls that gates sent twice
	Paid        int64         `json:"paid"`      // minor units
	Calls       int           `json:"calls"`     // to the server
	Took        time.Duration `json:"tookNanos"` //
	Violations  []string      `json:"violations"`
	SpotsTotal  int64         `json:"spots"`
	PeakParked  int           `json:"peakParked"`
	StillParked int           `json:"stillParked"`
}

type run struct {
	Options

	begin time.Time // of the model's time, or of the real one

	mu     sync.Mutex
	report Report
	ended  int
	parked map[string]string // plates by ticket
	seq    map[int]int64     // of gates
}

// Run makes a facility and lets the model's drivers come and go. An error is of the
// server or of ctx; what does not hold is in the report.
func Run(ctx context.Context, options Options) (Report, error) {
	r := &run{Options: options, parked: map[string]string{}, seq: map[int]int64{}}
	r.report = Report{FacilityID: r.RunID, Drivers: r.Model.Drivers, Violations: []string{}}
	if err := r.prepare(ctx); err != nil {
		return r.report, fmt.Errorf("make the facility: %w", err)
	}
	start := time.Now()
	drivers := r.Model.Draw()
	var err error
	if r.Scale > 0 {
		r.begin = start
		err = r.scaled(ctx, drivers)
	} else {
		// The last exit is in the past, too.
		last := time.Duration(0)
		for _, d := range drivers {
			last = max(last, d.Arrives+d.Stays)
		}
		r.begin = start.Add(-last - time.Minute).UTC().Truncate(time.Second)
		err = r.virtual(ctx, drivers)
	}
	if err != nil {
		return r.report, err
	}
	r.report.Took = time.Since(start)
	r.report.StillParked = len(r.parked)
	return r.report, r.check(ctx)
}

// moment is something that happens in virtual time.
type moment struct {
	at     time.Duration
	order  int // of those at the same time
	driver Driver
	ticket string // set: leaves
}

type agenda []moment //nolint:recvcheck // heap.Interface

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	return a[i].at < a[j].at || a[i].at == a[j].at && a[i].order < a[j].order
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(moment)) } //nolint:forcetypeassert // of package heap
func (a *agenda) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}

// virtual tells the server everything in the order of its time.
func (r *run) virtual(ctx context.Context, drivers []Driver) error {
	due := make(agenda, 0, len(drivers))
	for i, d := range drivers {
		due = append(due, moment{at: d.Arrives, order: i, driver: d})
	}
	heap.Init(&due)
	for order := len(drivers); len(due) > 0; order++ {
		m := heap.Pop(&due).(moment) //nolint:forcetypeassert // nothing else is in it
		at := r.begin.Add(m.at)
		if m.ticket != "" {
			if err := r.leave(ctx, m.driver, m.ticket, &at); err != nil {
				return err
			}
			continue
		}
		in, err := r.enter(ctx, m.driver, &at, nil)
		if err != nil {
			return err
		}
		if in.TicketID != "" {
			heap.Push(&due, moment{at: m.at + m.driver.Stays, order: order, driver: m.driver, ticket: in.TicketID})
		}
	}
	return nil
}

// scaled lets every driver live on their own.
func (r *run) scaled(ctx context.Context, drivers []Driver) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, d := range drivers {
		group.Go(func() error {
			if err := sleep(ctx, time.Until(r.begin.Add(r.real(d.Arrives)))); err != nil {
				return err
			}
			deadline := time.Now().Add(r.real(d.Patience)).UTC()
			in, err := r.enter(ctx, d, nil, &deadline)
			if err != nil {
				return err
			}
			if in.WaitingID != "" {
				if in.TicketID, err = r.stand(ctx, d, in.WaitingID); err != nil {
					return err
				}
			}
			if in.TicketID == "" {
				return nil
			}
			if err := sleep(ctx, r.real(d.Stays)); err != nil {
				return err
			}
			return r.leave(ctx, d, in.TicketID, nil)
		})
	}
	return group.Wait()
}

func (r *run) real(d time.Duration) time.Duration { return time.Duration(float64(d) / r.Scale) }

// note changes the report.
func (r *run) note(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
}

func (r *run) gone(change func()) {
	r.note(func() {
		change()
		r.ended++
		if r.Progress != nil {
			r.Progress(r.ended)
		}
	})
}

// atGate makes a numbered call of a gate; one that repeats itself must be answered the
// same.
func atGate[T any](ctx context.Context, r *run, d Driver, path string, body fields) (T, error) {
	r.note(func() { r.seq[d.Gate]++; body["sequence"] = r.seq[d.Gate]; r.report.Calls++ })
	body["gateId"] = fmt.Sprintf("%s-gate-%d", r.RunID, d.Gate)
	first, err := send[T](ctx, r.API, http.MethodPost, path, body)
	if !d.Repeats || err != nil && codeOf(err) == "" {
		return first, err
	}
	again, errAgain := send[T](ctx, r.API, http.MethodPost, path, body)
	r.note(func() {
		r.report.Repeats++
		r.report.Calls++
		if !reflect.DeepEqual(first, again) || codeOf(err) != codeOf(errAgain) {
			r.violationf("%s: a repeat of the call of %s was answered otherwise", path, d.Plate)
		}
	})
	return first, err
}

// violationf notes one; under the lock.
func (r *run) violationf(format string, args ...any) {
	r.report.Violations = append(r.report.Violations, fmt.Sprintf(format, args...))
}

func (r *run) enter(ctx context.Context, d Driver, at, deadline *time.Time) (entered, error) {
	body := fields{"vehicle": fields{"plate": d.Plate, "jurisdiction": "SIM", "size": d.Size, "type": d.Type}}
	if at != nil {
		body["at"] = *at
	}
	if deadline != nil {
		body["wait"] = fields{"deadline": *deadline}
	}
	in, err := atGate[entered](ctx, r, d, "/facilities/"+r.RunID+"/entries", body)
	switch {
	case codeOf(err) == "full", codeOf(err) == "no_fit_ever":
		r.gone(func() { r.report.TurnedAway++ })
		return entered{}, nil
	case err != nil:
		return in, fmt.Errorf("%s enters: %w", d.Plate, err)
	case in.WaitingID != "":
		r.note(func() { r.report.Waited++ })
		return in, nil
	}
	r.isIn(d, in.TicketID)
	return in, nil
}

func (r *run) isIn(d Driver, ticket string) {
	r.note(func() {
		r.report.Parked++
		r.parked[ticket] = d.Plate
		r.report.PeakParked = max(r.report.PeakParked, len(r.parked))
	})
}

// stand waits in line until a spot is offered, and takes it.
func (r *run) stand(ctx context.Context, d Driver, id string) (string, error) {
	const look = 100 * time.Millisecond
	for {
		w, err := send[waiting](ctx, r.API, http.MethodGet, "/waiting/"+id, nil)
		if err != nil {
			return "", fmt.Errorf("%s waits: %w", d.Plate, err)
		}
		switch w.Status {
		case "offered":
			t, err := send[ticket](ctx, r.API, http.MethodPost, "/waiting/"+id+"/accept", fields{})
			if codeOf(err) == "offer_lapsed" {
				continue
			}
			if err != nil {
				return "", fmt.Errorf("%s takes an offer: %w", d.Plate, err)
			}
			r.isIn(d, t.TicketID)
			return t.TicketID, r.opened(ctx, d, t.TicketID)
		case "waiting":
		default:
			r.gone(func() { r.report.GaveUp++ })
			return "", nil
		}
		if err := sleep(ctx, look); err != nil {
			return "", err
		}
	}
}

// opened tells that a gate let somebody in who had waited.
func (r *run) opened(ctx context.Context, d Driver, id string) error {
	event := fields{
		"gateId": fmt.Sprintf("%s-gate-%d", r.RunID, d.Gate), "facilityId": r.RunID, "kind": "open", "ticketId": id,
		"observedAt": time.Now().UTC(),
	}
	r.note(func() { r.seq[d.Gate]++; event["sequence"] = r.seq[d.Gate]; r.report.Calls++ })
	if _, err := send[fields](ctx, r.API, http.MethodPost, "/gate-events", fields{"events": []fields{event}}); err != nil {
		return fmt.Errorf("the gate opens for %s: %w", d.Plate, err)
	}
	return nil
}

// leave pays what is due and drives out. In real time an increment may begin between
// the price and the payment; then the rest is paid, too.
func (r *run) leave(ctx context.Context, d Driver, id string, at *time.Time) error {
	path := "/tickets/" + id
	if d.Lost {
		body := fields{}
		if at != nil {
			body["at"] = *at
		}
		if _, err := send[ticket](ctx, r.API, http.MethodPost, path+"/lost", body); err != nil {
			return fmt.Errorf("%s has lost the ticket: %w", d.Plate, err)
		}
	}
	const tries = 5
	var paid int64
	for try := 1; ; try++ {
		due, err := r.pay(ctx, d, path, try, at)
		if err != nil {
			return err
		}
		paid += due
		body := fields{}
		if at != nil {
			body["at"] = *at
		}
		out, err := atGate[ticket](ctx, r, d, path+"/exit", body)
		if codeOf(err) == "payment_required" && at == nil && try < tries {
			continue
		}
		if err != nil {
			return fmt.Errorf("%s leaves: %w", d.Plate, err)
		}
		r.gone(func() {
			delete(r.parked, id)
			r.report.Paid += paid
			if out.Status != "closed" || out.Amount == nil || *out.Amount != paid {
				r.violationf("ticket %s is %s after the exit, and does not cost the %d that were due", id, out.Status, paid)
			}
		})
		return nil
	}
}

// pay asks for the price and pays it.
func (r *run) pay(ctx context.Context, d Driver, path string, try int, at *time.Time) (int64, error) {
	until := ""
	if at != nil {
		until = "?until=" + at.Format(time.RFC3339Nano)
	}
	r.note(func() { r.report.Calls++ })
	q, err := send[quote](ctx, r.API, http.MethodGet, path+"/quote"+until, nil)
	if err != nil {
		return 0, fmt.Errorf("%s asks for the price: %w", d.Plate, err)
	}
	if q.Due == 0 {
		return 0, nil
	}
	payment := fields{"paymentId": fmt.Sprintf("cash-%d", try), "amount": q.Due, "method": "cash"}
	if at != nil {
		payment["paidAt"] = *at
	}
	r.note(func() { r.report.Calls++ })
	if _, err := send[ticket](ctx, r.API, http.MethodPost, path+"/payments", payment); err != nil {
		return 0, fmt.Errorf("%s pays: %w", d.Plate, err)
	}
	return q.Due, nil
}
