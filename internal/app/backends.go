package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"

	"github.com/parkinglot/parkinglot/internal/config"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/sqlite"
)

// DatabaseFile is the name of the file backend's database in the data folder.
const DatabaseFile = "parkinglot.db"

// backends are the opened backends of a process.
type backends struct {
	stores   map[domain.Backend]store.Store
	postgres *postgresBackend // nil: no pool needs Postgres
}

// openBackends opens those that are wanted. What was opened is closed again when
// one cannot be.
func openBackends(ctx context.Context, cfg *config.Config, wanted []domain.Backend, migrate bool, log *slog.Logger) (*backends, error) {
	b := &backends{stores: map[domain.Backend]store.Store{}}
	for _, backend := range wanted {
		if err := b.open(ctx, cfg, backend, migrate, log); err != nil {
			return nil, errors.Join(err, b.close())
		}
	}
	return b, nil
}

func (b *backends) open(ctx context.Context, cfg *config.Config, backend domain.Backend, migrate bool, log *slog.Logger) error {
	log = log.With("backend", string(backend))
	switch backend {
	case domain.BackendPostgres:
		var err error
		if b.postgres, err = openPostgres(ctx, cfg.Database, migrate, log); err != nil {
			return err
		}
		b.stores[backend] = b.postgres.store
		return nil
	case domain.BackendFile:
		st, err := sqlite.Open(ctx, sqlite.Options{Path: filepath.Join(cfg.DataDir, DatabaseFile), Log: log})
		if err != nil {
			return fmt.Errorf("open the file backend in %s: %w", cfg.DataDir, err)
		}
		b.stores[backend] = st
	case domain.BackendMemory:
		st, err := sqlite.Open(ctx, sqlite.Options{Log: log})
		if err != nil {
			return fmt.Errorf("open the memory backend: %w", err)
		}
		b.stores[backend] = st
	}
	return nil
}

func (b *backends) close() error {
	var errs []error
	for backend, st := range b.stores {
		if err := st.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close the %s backend: %w", backend, err))
		}
	}
	if b.postgres != nil {
		b.postgres.close()
	}
	return errors.Join(errs...)
}

func sortedBackends(stores map[domain.Backend]store.Store) []domain.Backend {
	return slices.Sorted(maps.Keys(stores))
}
