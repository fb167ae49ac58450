package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/parkinglot/parkinglot/internal/app"
	"github.com/parkinglot/parkinglot/internal/config"
	"github.com/parkinglot/parkinglot/internal/telemetry"
)

func newServe() *cobra.Command {
	var flags processFlags
	var listen string
	var migrate bool
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve the API and run tasks",
		Long: "Serves the API, takes the turns of the configured pools, and runs their tasks.\n" +
			"Without flags: the built-in demo on an embedded file backend under ./data.\n" +
			"SIGTERM stops taking, lets running tasks end within --grace, and exits 0.",
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
			defer runtime.KeepAlive(app.Ballast())
			end, err := flags.startProfile()
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, end()) }()
			return app.Serve(cmd.Context(), cfg, app.Options{ //nolint:wrapcheck // says what failed and what to do
				Listen: listen, Migrate: migrate, Log: log,
				Ready: func(running app.Running) {
					log.Info("serving", "addr", running.Addr, "config", cfg.Origin(), "pools", running.Pools)
					if telemetry.IsTerminal(os.Stdout) {
						greet(os.Stdout, cfg, running.Addr)
					}
				},
			})
		},
	}
	flags.common(cmd)
	flags.running(cmd)
	cmd.Flags().StringVar(&flags.dataDir, "data-dir", "", "folder of the file backend (default: data_dir of the configuration, ./data)")
	cmd.Flags().StringVarP(&listen, "listen", "l", "127.0.0.1:8080", "address of the API")
	cmd.Flags().BoolVar(&migrate, "migrate", false, "bring a Postgres that is behind up to date first")
	return finish(cmd)
}

// greet tells people what is there and what to try first.
func greet(w io.Writer, cfg *config.Config, addr string) {
	url := "http://" + reachable(addr)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row(table)
	row(table, fmt.Sprintf("Parking Lot serves %s at %s (documentation: %s/docs)", cfg.Origin(), url, url))
	row(table)
	row(table, "  POOL", "UNITS", "QUEUE", "ORDER", "RUNTIME", "BACKEND")
	for _, p := range cfg.Pools {
		row(table, "  "+p.PoolID, p.MaxUnits, p.MaxQueueDepth, p.PriorityPolicy, p.RuntimeAdapter, p.QueueBackend)
	}
	row(table)
	row(table, "Try:")
	row(table, fmt.Sprintf("  curl %s/pools/%s/tasks -H 'Content-Type: application/json' \\", url, cfg.Pools[0].PoolID))
	row(table, `    -d '{"taskId":"hello","resourceCost":{"units":1},"mailboxKey":{"tenant":"acme","userId":"ada"},"payload":{"durationMs":2000}}'`)
	row(table, fmt.Sprintf("  curl '%s/mailbox/acme/ada?wait=10s'", url))
	row(table)
	_ = table.Flush() // a terminal that is gone is told nothing
}

// reachable returns an address that a client on this machine can use.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}
