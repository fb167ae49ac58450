//go:build !mutate_outbox

package scheduler

import (
	"context"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
)

// handOver stores messages in the mailboxes' backend, and only then takes them out of the
// outbox: what fails in between is stored again, which changes nothing.
func handOver(ctx context.Context, outbox, mailboxes store.Store, messages []domain.Message) error {
	if err := mailboxes.PutMessages(ctx, messages); err != nil {
		return err
	}
	return outbox.OutboxDone(ctx, messages)
}
