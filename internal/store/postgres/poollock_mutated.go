//go:build mutate_lock

package postgres

import "github.com/parkinglot/parkinglot/internal/domain"

// poolLock is a key of this process alone, so that it keeps nobody out: the fault harness
// must notice.
func (s *Store) poolLock(pool domain.PoolID) int64 {
	return s.lockKey("pool", string(pool)+s.peers.token)
}
