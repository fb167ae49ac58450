package simulate

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// prepare makes tariff, facility and spots.
func (r *run) prepare(ctx context.Context) error {
	const zone, currency = "Europe/Berlin", "EUR"
	strategy := fields{
		"strategyId": r.RunID, "name": "Simulated", "timeZone": zone, "currency": currency, "graceMinutes": 5, "exitWindowMinutes": 15,
		"tiers": []fields{
			{"fromMinute": 0, "toMinute": 120, "incrementMinutes": 30, "value": 150}, {"fromMinute": 120, "toMinute": nil, "incrementMinutes": 60, "value": 200},
		},
		"period": "rolling24h", "periodCap": 2400, "stayCap": nil, "lostFee": 3000, "surge": []fields{{"aboveBp": 8000, "bp": 12500}}, "multipliers": []fields{},
	}
	if _, err := send[fields](ctx, r.API, http.MethodPost, "/pricing-strategies", strategy); err != nil {
		return err
	}
	if _, err := send[fields](ctx, r.API, http.MethodPost, "/facilities", fields{
		"facilityId": r.RunID, "name": "Simulated", "timeZone": zone, "currency": currency, "allocationStrategy": "fill_in", "pricingStrategyId": r.RunID,
	}); err != nil {
		return err
	}
	const perRow, perLevel, most = 25, 100, 10_000
	var spots []fields
	for i := range r.Spots {
		kind := "regular"
		switch place := i % perRow; {
		case place < 8:
			kind = "compact"
		case place >= 22:
			kind = "oversized"
		}
		spots = append(spots, fields{
			"spotId": fmt.Sprintf("%d-%03d", i/perLevel+1, i%perLevel+1), "kind": kind,
			"level": i/perLevel + 1, "row": i%perLevel/perRow + 1, "position": i%perRow + 1, "distanceRank": i % perLevel,
		})
	}
	for part := range slices.Chunk(spots, most) {
		if _, err := send[fields](ctx, r.API, http.MethodPost, "/facilities/"+r.RunID+"/spots/import", fields{"spots": part}); err != nil {
			return err
		}
	}
	return nil
}

// check compares what the server shows with what was seen, and with itself.
func (r *run) check(ctx context.Context) error {
	path := "/facilities/" + r.RunID
	spots, err := all[spot](ctx, r.API, path+"/spots", url.Values{})
	if err != nil {
		return fmt.Errorf("read the spots: %w", err)
	}
	open, err := all[ticket](ctx, r.API, "/tickets", url.Values{"facilityId": {r.RunID}, "status": {"open"}})
	if err != nil {
		return fmt.Errorf("read the open tickets: %w", err)
	}
	f, err := send[facility](ctx, r.API, http.MethodGet, path, nil)
	if err != nil {
		return fmt.Errorf("read the facility: %w", err)
	}
	sums, err := send[reconciliation](ctx, r.API, http.MethodGet, path+"/reports/reconciliation?"+url.Values{
		"from": {r.begin.Add(-time.Minute).UTC().Format(time.RFC3339)}, "to": {time.Now().Add(time.Minute).UTC().Format(time.RFC3339)},
	}.Encode(), nil)
	if err != nil {
		return fmt.Errorf("read the reconciliation: %w", err)
	}
	r.note(func() {
		r.report.SpotsTotal = f.Counts.Total
		r.checkSpots(spots, open, &f)
		if len(sums.Faults) > 0 {
			r.violationf("the reconciliation has %d faults, the first: %s", len(sums.Faults), sums.Faults[0])
		}
		if sums.Paid != r.report.Paid || sums.Charged != r.report.Paid {
			r.violationf("drivers paid %d; the server has taken %d and charged %d", r.report.Paid, sums.Paid, sums.Charged)
		}
	})
	return nil
}

func (r *run) checkSpots(spots []spot, open []ticket, f *facility) {
	byID := make(map[string]*spot, len(spots))
	var occupied, reserved int64
	for i := range spots {
		byID[spots[i].SpotID] = &spots[i]
		switch spots[i].State {
		case "occupied":
			occupied++
		case "reserved":
			reserved++
		}
	}
	if f.Counts.Occupied != occupied || f.Counts.Reserved != reserved {
		r.violationf("the facility counts %d occupied and %d reserved spots; there are %d and %d", f.Counts.Occupied, f.Counts.Reserved, occupied, reserved)
	}
	if len(open) != len(r.parked) {
		r.violationf("%d tickets are open; %d drivers are parked", len(open), len(r.parked))
	}
	carried := int64(0)
	vehicles := map[string]bool{}
	for _, t := range open {
		if vehicles[t.VehicleID] {
			r.violationf("vehicle %s has two open tickets", t.VehicleID)
		}
		vehicles[t.VehicleID] = true
		for i, id := range t.SpotIDs {
			carried++
			s := byID[id]
			if s == nil || s.TicketID != t.TicketID || s.State != "occupied" {
				r.violationf("spot %s does not carry ticket %s", id, t.TicketID)
				continue
			}
			if first := byID[t.SpotIDs[0]]; first != nil && (s.Kind != first.Kind || s.Level != first.Level || s.Row != first.Row || s.Position != first.Position+int64(i)) {
				r.violationf("the spots %v of ticket %s are no window", t.SpotIDs, t.TicketID)
			}
		}
	}
	if carried != occupied {
		r.violationf("%d spots are occupied; open tickets have %d", occupied, carried)
	}
}
