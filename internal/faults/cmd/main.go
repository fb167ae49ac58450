// Command faults breaks a running fleet on purpose and proves that nothing was lost.
// It exits 1 when a promise was broken. See package faults.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/parkinglot/parkinglot/internal/faults"
	"github.com/parkinglot/parkinglot/internal/faults/clients"
	"github.com/parkinglot/parkinglot/internal/fleet"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var err error
	switch {
	case len(os.Args) == 3 && os.Args[1] == faults.ClientsVerb:
		signal.Ignore(os.Interrupt) // the harness says when to stop
		err = clients.Main(context.Background(), os.Args[2], os.Stdin)
	case len(os.Args) == 3 && os.Args[1] == faults.LesseeVerb:
		signal.Ignore(os.Interrupt)
		drain, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		err = clients.Lessee(drain, os.Args[2])
		stop()
	default:
		err = run(ctx)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	o := faults.Options{Log: logTo()}
	flag.DurationVar(&o.Duration, "duration", 30*time.Minute, "how long load and faults last")
	flag.Uint64Var(&o.Seed, "seed", 0, "of the schedule and the load; 0: a random one, which is printed")
	flag.DurationVar(&o.Every, "every", 2500*time.Millisecond, "how far faults are apart, in the mean")
	flag.DurationVar(&o.TTL, "ttl", 3*time.Second, "after which a silent process counts as dead")
	flag.IntVar(&o.Servers, "servers", 2, "servers of the fleet")
	flag.IntVar(&o.Workers, "workers", 3, "worker processes of the fleet")
	flag.IntVar(&o.Lessees, "lessees", 2, "remote workers that lease tasks over HTTP")
	flag.Float64Var(&o.Rate, "rate", 15, "submissions a second into each pool")
	flag.DurationVar(&o.Patience, "patience", 90*time.Second, "for what should end when all is mended")
	flag.IntVar(&o.Long, "long", 20, "one task in so many takes seconds")
	mutations := flag.String("mutations", "", "instead, leave out one defence after the other and see that it is noticed: all, or a name")
	flag.StringVar(&o.Dir, "dir", "", "for logs and records; a temporary one, removed when all is well, if empty")
	flag.Parse()
	for o.Seed == 0 {
		o.Seed = rand.Uint64N(1_000_000)
	}
	var err error
	if o.Self, err = os.Executable(); err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	temporary := o.Dir == ""
	if temporary {
		if o.Dir, err = os.MkdirTemp("", "parkinglot-faults-"); err != nil {
			return fmt.Errorf("make a folder: %w", err)
		}
	}
	if *mutations != "" {
		err = faults.RunMutations(ctx, o, *mutations, os.Stdout)
	} else {
		err = once(ctx, o)
	}
	if err != nil {
		return errors.Join(err, fmt.Errorf("logs and records are in %s; repeat with --seed %d --duration %s", o.Dir, o.Seed, o.Duration))
	}
	if temporary {
		return os.RemoveAll(o.Dir)
	}
	return nil
}

// once is one run with every defence in its place.
func once(ctx context.Context, o faults.Options) error {
	var err error
	if o.Binary, err = fleet.Build(ctx, o.Dir); err != nil {
		return err
	}
	result, err := faults.Run(ctx, o)
	if err != nil {
		return err
	}
	if err := result.Write(os.Stdout); err != nil {
		return err
	}
	if result.Broken() > 0 {
		return fmt.Errorf("%d violations", result.Broken())
	}
	return nil
}

func logTo() func(format string, args ...any) {
	begin := time.Now()
	return func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, "%7.1fs  %s\n", time.Since(begin).Seconds(), fmt.Sprintf(format, args...))
	}
}
