package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/parkinglot/parkinglot/api/client"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/history"
)

// prove checks every promise of a server, and that so many tasks completed.
func prove(ctx context.Context, addr string, tasks int64) error {
	api, err := client.NewClient("http://" + addr)
	if err != nil {
		return fmt.Errorf("client of %s: %w", addr, err)
	}
	report, err := history.Check(ctx, history.Server{API: api}, history.Options{Keep: 3, MailGrace: 5 * time.Second})
	if err != nil {
		return err
	}
	if report.Violations > 0 {
		return fmt.Errorf("%d violations: %v", report.Violations, report.First)
	}
	var done int64
	for i := range report.Pools {
		done += report.Pools[i].Outcomes[domain.StatusCompleted]
	}
	if done != tasks {
		return fmt.Errorf("%d of %d tasks completed", done, tasks)
	}
	return nil
}
