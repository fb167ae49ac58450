package main

import (
	"context"
	"fmt"
	"io"

	"github.com/parkinglot/parkinglot/internal/garage/check"
	"github.com/parkinglot/parkinglot/internal/history"
	"github.com/parkinglot/parkinglot/internal/store"
)

// verified is what was found of pools and, where stores were read, of facilities.
type verified struct {
	history.Report
	Parking []check.Report `json:"parking,omitempty"` // a store that has facilities each
}

// checkParking checks the stores that have facilities.
func checkParking(ctx context.Context, stores []store.Store, keep int) ([]check.Report, error) {
	var reports []check.Report
	for _, s := range stores {
		source, ok := s.(check.Source)
		if !ok {
			continue
		}
		report, err := check.Run(ctx, source, check.Options{Keep: keep})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.Backend(), err)
		}
		if len(report.Facilities) > 0 {
			reports = append(reports, report)
		}
	}
	return reports, nil
}

// broken counts the violations of both halves.
func (v *verified) broken() int {
	sum := v.Violations
	for i := range v.Parking {
		sum += v.Parking[i].Violations
	}
	return sum
}

func (v *verified) showParking(table io.Writer) {
	if len(v.Parking) == 0 {
		return
	}
	row(table, "")
	row(table, "FACILITY", "EVENTS", "TICKETS", "SPOTS", "PEAK TAKEN", "ROWS", "VIOLATIONS")
	for i := range v.Parking {
		for _, f := range v.Parking[i].Facilities {
			rows := "compared"
			if !f.Compared {
				rows = "never held still"
			}
			row(table, f.Facility, f.Events, f.Tickets, f.Spots, f.PeakTaken, rows, f.Violations)
		}
	}
}
