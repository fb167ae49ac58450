package app

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"github.com/parkinglot/parkinglot/internal/config"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
)

// Inspect gives work the stores of the wanted backends, to read what they hold
// without a server; they are closed afterwards. The memory backend cannot be
// inspected: it lives in its server. The file backend refuses while a server uses it.
func Inspect(ctx context.Context, cfg *config.Config, wanted []domain.Backend, log *slog.Logger, work func([]store.Store) error) (err error) {
	if slices.Contains(wanted, domain.BackendMemory) {
		return errors.New("the memory backend can only be read through its server: use --server")
	}
	b, err := openBackends(ctx, cfg, wanted, false, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	var stores []store.Store
	for _, backend := range sortedBackends(b.stores) {
		stores = append(stores, b.stores[backend])
	}
	return work(stores)
}
