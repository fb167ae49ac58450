//go:build !mutate_lock

package postgres

import "github.com/parkinglot/parkinglot/internal/domain"

// poolLock is the advisory key under which all turns of a pool are taken, one after
// the other.
func (s *Store) poolLock(pool domain.PoolID) int64 { return s.lockKey("pool", string(pool)) }
