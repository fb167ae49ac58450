package scheduler_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store"
)

func TestOutcomesReachAMailboxElsewhere(t *testing.T) {
	t.Parallel()
	queue := memory(t, newPool(domain.BackendMemory, func(p *domain.Pool) { p.MailboxBackend = domain.BackendFile }))
	mail := &faulty{Store: memory(t), noMail: true}
	opts := options(queue)
	opts.Stores[domain.BackendFile] = mail
	p := launch(t, opts, newRunner(nil))

	const n = 40
	mailbox := domain.MailboxKey{Tenant: "acme", UserID: "ann"}
	for i := range n {
		require.NoError(t, answerOr(p.Submit(t.Context(), poolID, []plan.Submit{
			submit(fmt.Sprint("task-", i), func(s *plan.Submit) { s.Mailbox = &mailbox }),
		})))
	}
	wantStatus(t, queue, "task-39", domain.StatusCompleted)
	eventually(t, func() bool {
		backlog := p.OutboxBacklog()
		return len(backlog) == 1 && backlog[0].Messages > 0 && backlog[0].Err != nil && backlog[0].Backend == domain.BackendMemory
	}, func() string { return fmt.Sprint("no backlog is reported: ", p.OutboxBacklog()) })

	mail.set(func(f *faulty) { f.noMail = false })
	var got []domain.Message
	eventually(t, func() bool {
		var err error
		got, err = mail.Messages(t.Context(), store.MailboxFilter{Tenant: "acme", AllUsers: true, Limit: 500})
		require.NoError(t, err)
		return len(got) == n
	}, func() string { return fmt.Sprintf("%d of %d messages", len(got), n) })
	for i := range got {
		require.Equal(t, int64(i+1), got[i].Seq, "in the order of the source, without a gap")
	}
	eventually(t, func() bool { return len(p.OutboxBacklog()) == 0 }, func() string { return "the backlog stays" })
	left, err := queue.Outbox(t.Context(), 10)
	require.NoError(t, err)
	require.Empty(t, left)
}
