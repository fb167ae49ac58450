package main

import (
	"errors"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/parkinglot/parkinglot/internal/app"
	"github.com/parkinglot/parkinglot/internal/domain"
)

func newWork() *cobra.Command {
	var flags processFlags
	var pools []string
	var listen string
	var migrate bool
	cmd := &cobra.Command{
		Use:   "work",
		Short: "Run tasks of worker pools",
		Long: "Fetches admitted tasks of pools with runtime_adapter worker and runs them. It keeps no\n" +
			"state: start as many as there is work for, next to any number of serve processes on the\n" +
			"same Postgres. SIGTERM lets running tasks end within --grace and hands back the rest.",
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			cfg, err := flags.load(cmd)
			if err != nil {
				return err
			}
			log, err := flags.logger()
			if err != nil {
				return err
			}
			ids := make([]domain.PoolID, len(pools))
			for i, pool := range pools {
				ids[i] = domain.PoolID(pool)
			}
			defer runtime.KeepAlive(app.Ballast())
			end, err := flags.startProfile()
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, end()) }()
			return app.Work(cmd.Context(), cfg, app.Options{ //nolint:wrapcheck // says what failed and what to do
				Pools: ids, Listen: listen, Migrate: migrate, Log: log,
				Ready: func(running app.Running) {
					log.Info("working", "addr", running.Addr, "config", cfg.Origin(), "pools", running.Pools, "concurrency", cfg.Limits.WorkerConcurrency)
				},
			})
		},
	}
	flags.common(cmd)
	flags.running(cmd)
	cmd.Flags().StringSliceVar(&pools, "pools", nil, "pools to work on, separated by commas (default: all worker pools of the configuration)")
	cmd.Flags().StringVarP(&listen, "listen", "l", "", "address of /healthz, /readyz and /metrics (default: none)")
	cmd.Flags().BoolVar(&migrate, "migrate", false, "bring a Postgres that is behind up to date first")
	return finish(cmd)
}
