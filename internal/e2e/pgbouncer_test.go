package e2e

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/api/client"
	"github.com/parkinglot/parkinglot/internal/dbtest"
)

// pooledConfig is postgresConfig through a pooler. To fill in: DSN, DSN past it, schema.
const pooledConfig = `
database: { url: "%s", pooler: transaction, direct_url: "%s", schema: "%s" }
defaults: { queue_backend: postgres, mailbox_backend: postgres, max_attempts: 3, retry_base_ms: 50 }
limits: { heartbeat_ms: 200, worker_ttl_ms: 1200, safety_poll_ms: 200 }
pools:
  - { pool_id: native, max_units: 8, executors: { default: { type: sleep } } }
  - { pool_id: fleet, max_units: 8, runtime_adapter: worker, executors: { default: { type: sleep } } }
`

// pgbouncer starts a PgBouncer in transaction mode in front of the database, with few
// server connections, so that clients really take turns on them.
func pgbouncer(t *testing.T, db dbtest.DB) (dsn string) {
	t.Helper()
	binary, err := exec.LookPath("pgbouncer")
	if err != nil {
		if binary, err = exec.LookPath("/usr/sbin/pgbouncer"); err != nil {
			t.Skip("PgBouncer is not installed (Debian: apt-get install pgbouncer)")
		}
	}
	conn, err := pgx.ParseConfig(db.URL)
	require.NoError(t, err)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := free.Addr().(*net.TCPAddr).Port
	require.NoError(t, free.Close())

	dir, err := os.MkdirTemp("", "pgbouncer-") //nolint:usetesting // t.TempDir is closed to other users
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // only rubbish stays
	require.NoError(t, os.Chmod(dir, 0o755))
	users := filepath.Join(dir, "users.txt")
	require.NoError(t, os.WriteFile(users, fmt.Appendf(nil, "%q %q\n", conn.User, conn.Password), 0o644))
	ini := filepath.Join(dir, "pgbouncer.ini")
	require.NoError(t, os.WriteFile(ini, fmt.Appendf(nil, `[databases]
%s = host=%s port=%d user=%s password=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
auth_file = %s
pool_mode = transaction
default_pool_size = 6
max_client_conn = 200
server_check_delay = 0
`, conn.Database, conn.Host, conn.Port, conn.User, conn.Password, port, users), 0o644))

	cmd := exec.Command(binary, ini)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() == 0 { // it refuses to run as root
		nobody, err := user.Lookup("nobody")
		require.NoError(t, err)
		uid, err := strconv.ParseUint(nobody.Uid, 10, 32)
		require.NoError(t, err)
		gid, err := strconv.ParseUint(nobody.Gid, 10, 32)
		require.NoError(t, err)
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it holds nothing
		_ = cmd.Wait()
	})
	u := url.URL{Scheme: "postgres", User: url.UserPassword(conn.User, conn.Password), Host: fmt.Sprintf("127.0.0.1:%d", port), Path: "/" + conn.Database, RawQuery: "sslmode=disable"}
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		c, err := pgx.Connect(ctx, u.String())
		if err != nil {
			return false
		}
		return c.Close(ctx) == nil
	}, patience, 50*time.Millisecond)
	return u.String()
}

// TestBehindPgBouncer: through a pooler in transaction mode, with and without a way past
// it, everything works that works without.
func TestBehindPgBouncer(t *testing.T) {
	t.Parallel()
	for name, direct := range map[string]bool{"with a direct URL": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := dbtest.Postgres(t)
			pooled := pgbouncer(t, db)
			dir := t.TempDir()
			past := ""
			if direct {
				past = db.URL
			}
			args := []string{"--config", write(t, dir, "c.yaml", fmt.Sprintf(pooledConfig, pooled, past, db.Schema))}

			if !direct {
				_, stderr, status := run(t, dir, nil, append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
				require.Equal(t, 1, status)
				require.Contains(t, stderr, "say once, on a direct connection, ALTER ROLE")
				_, stderr, status = run(t, dir, nil, append([]string{"migrate", "up"}, args...)...)
				require.Equal(t, 1, status)
				require.Contains(t, stderr, "set database.direct_url")
			}
			inSchema(t, db)
			acrossProcesses(t, dir, args)
		})
	}
	t.Run("unsaid", func(t *testing.T) {
		t.Parallel()
		db := dbtest.Postgres(t)
		dir := t.TempDir()
		args := []string{"--config", write(t, dir, "c.yaml", fmt.Sprintf(postgresConfig, pgbouncer(t, db), db.Schema, 1200))}
		_, stderr, status := run(t, dir, nil, append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
		require.Equal(t, 1, status)
		require.Contains(t, stderr, "set database.pooler to transaction")
	})
}

// inSchema makes new connections to the database begin in the schema, and has the
// pooler's old ones closed.
func inSchema(t *testing.T, db dbtest.DB) {
	t.Helper()
	_, err := db.Pool.Exec(soon(t), `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = %I', current_database(), current_schema()); END $$`)
	require.NoError(t, err)
	_, err = db.Pool.Exec(soon(t), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
	require.NoError(t, err)
}

// acrossProcesses submits, completes, cancels and recovers with two servers and a worker.
func acrossProcesses(t *testing.T, dir string, args []string) {
	t.Helper()
	one := serve(t, dir, append(args, "--concurrency", "0")...)
	two := serve(t, dir, append(args, "--concurrency", "0")...)
	work := start(t, dir, append([]string{"work", "--concurrency", "8"}, args...)...)
	work.await()

	const tasks = 40
	for i := range tasks {
		one.submit("native", fmt.Sprintf("a%d", i), 2, 20*time.Millisecond)
		two.submit("fleet", fmt.Sprintf("b%d", i), 2, 20*time.Millisecond)
	}
	for i := range tasks {
		require.Equal(t, client.TaskStatus("completed"), two.ended("native", fmt.Sprintf("a%d", i)).Status)
		require.Equal(t, client.TaskStatus("completed"), one.ended("fleet", fmt.Sprintf("b%d", i)).Status)
	}
	require.Len(t, two.mailbox(), 2*tasks)

	// Asked of one process, stopped in another.
	one.submit("native", "cancelled", 1, time.Minute)
	two.submit("fleet", "cancelled", 1, time.Minute)
	asked := time.Now()
	_, err := client.Read[client.Task](two.api.CancelTask(soon(t), "native", "cancelled"))
	require.NoError(t, err)
	_, err = client.Read[client.Task](one.api.CancelTask(soon(t), "fleet", "cancelled"))
	require.NoError(t, err)
	for _, pool := range []string{"native", "fleet"} {
		task := one.ended(pool, "cancelled")
		require.Equal(t, "cancelled", task.Reason.Code)
	}
	t.Logf("both cancellations were through after %s", time.Since(asked))

	// What the killed held runs elsewhere.
	one.submit("native", "held", 8, 2*time.Second)
	two.submit("fleet", "held", 8, 2*time.Second)
	require.Eventually(t, func() bool { return two.task("native", "held").Status == "running" }, patience, 20*time.Millisecond)
	rescuer := start(t, dir, append([]string{"work"}, args...)...)
	rescuer.await()
	one.Kill()
	work.Kill()
	for _, pool := range []string{"native", "fleet"} {
		task := two.ended(pool, "held")
		require.Equal(t, client.TaskStatus("completed"), task.Status, "%v", task.Reason)
	}
	require.Zero(t, two.pool("fleet").ActiveUnits)
	rescuer.signal(syscall.SIGTERM)
	require.Equal(t, 0, rescuer.exit())
	two.signal(syscall.SIGTERM)
	require.Equal(t, 0, two.exit())
}
