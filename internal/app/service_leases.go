package app

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/parkinglot/parkinglot/api"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store"
)

// settleWait is how long a remote worker's result waits for a backend that does not
// answer before the worker is told to send it again.
const settleWait = 10 * time.Second

// Lease implements api.Service.
func (s *service) Lease(ctx context.Context, pool domain.PoolID, ask api.LeaseAsk) ([]api.LeasedTask, error) {
	if s.isStopping() {
		return nil, stopping()
	}
	if ask.TTL == 0 {
		ask.TTL = s.limits.LeaseTTL()
	}
	if most := max(s.limits.MaxLeaseTTL(), s.limits.LeaseTTL()); ask.TTL > most {
		return nil, &domain.Error{
			Code: domain.CodeInvalid, Message: "the lease would last too long",
			Faults: []domain.Fault{{Location: "body.ttlSecs", Message: "may be at most " + most.String() + " here", Value: ask.TTL.Seconds()}},
		}
	}
	lent, err := s.scheduler.Lease(ctx, pool, plan.Lessee{
		Worker: ask.Worker, Tasks: ask.Tasks, TTL: ask.TTL, Secret: []byte(rand.Text()),
	}, min(ask.Wait, s.limits.MaxWait()), s.stop)
	if err != nil {
		return nil, s.parking.readOnly(ctx, pool, edge(err, nil))
	}
	leased, err := s.complete(ctx, pool, lent)
	if err != nil || ctx.Err() != nil { // nobody gets to see them
		s.scheduler.GiveBack(lent.Leases)
		return nil, edge(err, nil)
	}
	return leased, nil
}

// complete adds payloads and labels to what was leased: a turn reads neither.
func (s *service) complete(ctx context.Context, pool domain.PoolID, lent plan.Lent) ([]api.LeasedTask, error) {
	leased := make([]api.LeasedTask, len(lent.Leases))
	if len(leased) == 0 {
		return leased, nil
	}
	jobs := make([]domain.JobID, len(leased))
	for i := range leased {
		leased[i] = api.LeasedTask{Lease: lent.Leases[i], Task: lent.Tasks[i]}
		jobs[i] = lent.Leases[i].Ref.JobID
	}
	home, err := s.home(ctx, pool)
	if err != nil {
		return nil, err
	}
	in, err := store.ReadInputs(ctx, home, pool, jobs)
	if err != nil {
		return nil, err //nolint:wrapcheck // the caller words it
	}
	for i, job := range jobs {
		leased[i].Task.Payload, leased[i].Task.Labels = in.Payloads[job], in.Labels[job]
	}
	return leased, nil
}

// ExtendLeases implements api.Service.
func (s *service) ExtendLeases(ctx context.Context, ids []domain.LeaseID) (map[domain.LeaseID]domain.Lease, error) {
	byStore := map[store.Store][]domain.LeaseID{}
	for _, id := range ids {
		ref, ok := id.Ref()
		if !ok {
			continue
		}
		home, err := s.home(ctx, ref.PoolID)
		if domain.CodeOf(err) == domain.CodeUnknownPool {
			continue
		}
		if err != nil {
			return nil, err
		}
		byStore[home] = append(byStore[home], id)
	}
	alive := make(map[domain.LeaseID]domain.Lease, len(ids))
	for home, ids := range byStore {
		leases, err := home.ExtendLeases(ctx, ids, time.Time{})
		if err != nil {
			return nil, edge(err, nil)
		}
		for _, lease := range leases {
			alive[lease.ID] = lease
		}
	}
	s.metrics.Heartbeats(len(alive), len(ids)-len(alive))
	return alive, nil
}

// SettleLease implements api.Service.
func (s *service) SettleLease(ctx context.Context, id domain.LeaseID, how plan.Settle) (domain.Task, error) {
	ref, ok := id.Ref()
	if !ok {
		return domain.Task{}, unknownLease()
	}
	if size := int64(len(how.Result)); size > s.limits.MaxResultBytes {
		return domain.Task{}, domain.Errorf(domain.CodeTooLarge, "result has %d bytes; at most %d are taken here: fail the task, or leave the result elsewhere and send where", size, s.limits.MaxResultBytes)
	}
	ctx, cancel := context.WithTimeout(ctx, settleWait)
	defer cancel()
	how.Ref, how.Lease = ref, id
	answer, err := s.scheduler.Settle(ctx, how)
	if err == nil && answer.Err != nil {
		err = answer.Err
	}
	switch domain.CodeOf(err) {
	case "":
		return *answer.Task, nil
	case domain.CodeConflict:
		return domain.Task{}, domain.Errorf(domain.CodeLeaseLost, "the lease is lost: %s", answer.Err.Message)
	case domain.CodeUnknownPool, domain.CodeUnknownTask, domain.CodeUnknownLease:
		return domain.Task{}, unknownLease()
	}
	return domain.Task{}, edge(err, nil)
}

// Leases implements api.Service.
func (s *service) Leases(ctx context.Context, filter store.LeaseFilter) ([]domain.Lease, error) {
	home, err := s.home(ctx, filter.Pool)
	if err != nil {
		return nil, err
	}
	if _, err := home.Pool(ctx, filter.Pool); err != nil {
		return nil, edge(err, unknownPool(filter.Pool))
	}
	leases, err := home.ListLeases(ctx, filter)
	return leases, edge(err, nil)
}

func unknownLease() *domain.Error {
	return domain.Errorf(domain.CodeUnknownLease, "there is no such lease; ask for another one")
}
