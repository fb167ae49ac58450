package fleet_test

import (
	"context"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/dbtest"
	"github.com/parkinglot/parkinglot/internal/fleet"
)

func through(t *testing.T) (*fleet.Proxy, *pgx.Conn) {
	t.Helper()
	proxy, err := fleet.NewProxy(dbtest.Empty(t).URL, "127.0.0.1")
	require.NoError(t, err)
	t.Cleanup(proxy.Close)
	conn, err := pgx.Connect(t.Context(), proxy.URL)
	require.NoError(t, err)
	return proxy, conn
}

func TestProxyBreaksAndMends(t *testing.T) {
	t.Parallel()
	proxy, conn := through(t)
	require.NoError(t, conn.Ping(t.Context()))

	proxy.Drop()
	require.Error(t, conn.Ping(t.Context()))
	again, err := pgx.Connect(t.Context(), proxy.URL)
	require.NoError(t, err)

	proxy.Cut()
	require.Error(t, again.Ping(t.Context()))
	_, err = pgx.Connect(t.Context(), proxy.URL)
	require.Error(t, err)

	proxy.Mend()
	again, err = pgx.Connect(t.Context(), proxy.URL)
	require.NoError(t, err)
	require.NoError(t, again.Close(t.Context()))
}

func TestProxyFreezesWithoutBreaking(t *testing.T) {
	t.Parallel()
	proxy, conn := through(t)
	proxy.Freeze()
	pinged := make(chan error, 1)
	go func() { pinged <- conn.Ping(context.Background()) }()
	select {
	case err := <-pinged:
		require.Fail(t, "it passed while the proxy was frozen", "%v", err)
	case <-time.After(100 * time.Millisecond):
	}
	proxy.Thaw()
	require.NoError(t, <-pinged)
}

// TestProxyHoldsATransactionOnly: answers outside a transaction are no turn, and what a
// statement answers is as large as it likes.
func TestProxyHoldsATransactionOnly(t *testing.T) {
	t.Parallel()
	proxy, conn := through(t)
	held := 0
	proxy.HoldTurn(func() { held++ })
	var text string
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT repeat('x', 1000000)").Scan(&text))
	require.Len(t, text, 1_000_000)
	require.Zero(t, held)

	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, held)
	require.NoError(t, tx.Commit(t.Context()))
	_, err = conn.Begin(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, held, "once")
}

func TestProcess(t *testing.T) {
	t.Parallel()
	binary, err := fleet.Build(t.Context(), t.TempDir())
	require.NoError(t, err)
	dir, log := t.TempDir(), filepath.Join(t.TempDir(), "log")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	start := func(args ...string) *fleet.Process {
		p, err := fleet.Start(fleet.Command{Binary: binary, Args: args, Dir: dir, Log: log})
		require.NoError(t, err)
		t.Cleanup(p.Kill)
		return p
	}

	p := start("serve", "--listen", "127.0.0.1:0")
	require.NoError(t, p.Ready(ctx))
	require.NotEmpty(t, p.Addr)
	require.Contains(t, p.Output(), "serving")
	require.NoError(t, p.Stop(ctx))

	p = start("serve", "--listen", "127.0.0.1:0")
	require.NoError(t, p.Ready(ctx))
	require.NoError(t, p.Signal(syscall.SIGKILL))
	status, err := p.Wait(ctx)
	require.NoError(t, err)
	require.Equal(t, -1, status)
	require.Error(t, p.Stop(ctx))

	p = start("serve", "--listen", "nowhere")
	require.ErrorContains(t, p.Ready(ctx), "before it was ready")
}
