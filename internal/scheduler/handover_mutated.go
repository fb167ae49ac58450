//go:build mutate_outbox

package scheduler

import (
	"context"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
)

// handOver takes messages out of the outbox before they are stored: the fault harness must
// notice.
func handOver(ctx context.Context, outbox, mailboxes store.Store, messages []domain.Message) error {
	if err := outbox.OutboxDone(ctx, messages); err != nil {
		return err
	}
	return mailboxes.PutMessages(ctx, messages)
}
