package dbtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// guard runs the server and stops it when its standard input ends, which the
// kernel sees to when the process that holds the other end is gone, even by
// SIGKILL. Then it removes the folder. A line on its standard input crashes the
// server and starts it again after so many seconds.
const guard = `
dir=$1; shift
start() {
	"$@" </dev/null &
	server=$!
}
end() {
	kill -QUIT "$server" 2>/dev/null
	wait "$server"
}
start "$@"
while read -r pause; do
	end
	sleep "$pause"
	start "$@"
done
end
cd / && rm -rf "$dir"
`

// startBinaries runs a server from the binaries of this machine in a temporary
// folder, listening on a free port of 127.0.0.1 and a socket in that folder.
func startBinaries(ctx context.Context, opts Options) (string, func(), error) {
	s, err := StartOwn(ctx, opts)
	if err != nil {
		return "", nil, err
	}
	return s.URL, s.Stop, nil
}

// StartOwn starts a server from the binaries of this machine, whatever other
// servers there are: for those who break it.
func StartOwn(ctx context.Context, opts Options) (*Server, error) {
	bin, err := findBinaries(ctx)
	if err != nil {
		return nil, err
	}
	credential, err := unprivileged()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "pl-pg-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the server: %w", err)
	}
	password := rand.Text()
	if err := initdb(ctx, bin, dir, password, credential); err != nil {
		_ = os.RemoveAll(dir) // the first error says more
		return nil, err
	}
	// Between closing the probe's port and the server's bind somebody else may take
	// it: then the next one.
	for range 5 {
		var s *Server
		if s, err = runServer(ctx, bin, dir, password, credential, opts); err == nil {
			return s, nil
		}
	}
	_ = os.RemoveAll(dir) // the first error says more
	return nil, err
}

func initdb(ctx context.Context, bin, dir, password string, credential *syscall.Credential) error {
	secret := filepath.Join(dir, "password")
	if err := os.WriteFile(secret, []byte(password), 0o600); err != nil {
		return fmt.Errorf("write the server's password: %w", err)
	}
	if credential != nil {
		for _, path := range []string{dir, secret} {
			if err := os.Chown(path, int(credential.Uid), int(credential.Gid)); err != nil {
				return fmt.Errorf("hand the server's folder to its user: %w", err)
			}
		}
	}
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", filepath.Join(dir, "data"), "-U", "postgres",
		"-A", "password", "--pwfile", secret, "-E", "UTF8", "--no-locale", "--no-sync")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return nil
}

// Server is a server of the caller's own.
type Server struct {
	URL string // of a database whose role is a superuser

	cmd  *exec.Cmd
	hold io.WriteCloser
	done chan struct{}
}

// Crash ends the server as it is (pg_ctl's immediate mode: nothing is flushed and nobody
// is told), starts it again after the pause, in whole seconds, and waits until it has replayed
// its log and answers. Not for concurrent use.
func (s *Server) Crash(ctx context.Context, pause time.Duration) error {
	conn, err := pgx.Connect(ctx, s.URL)
	if err != nil {
		return fmt.Errorf("crash the server: %w", err)
	}
	defer conn.Close(ctx) //nolint:errcheck // the crash breaks it
	if _, err := fmt.Fprintf(s.hold, "%d\n", int(pause/time.Second)); err != nil {
		return fmt.Errorf("crash the server: %w", err)
	}
	if err := conn.PgConn().WaitForNotification(ctx); ctx.Err() != nil {
		return fmt.Errorf("crash the server: it did not end: %w", err)
	}
	_, err = awaitReady(ctx, []string{s.URL}, func() error { return nil })
	return err
}

// Stop ends the server and removes its files.
func (s *Server) Stop() {
	_ = s.hold.Close() // ends the guard's read
	select {
	case <-s.done:
	case <-time.After(20 * time.Second):
		_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) // its whole group, which is ours alone
	}
}

func runServer(ctx context.Context, bin, dir, password string, credential *syscall.Credential, opts Options) (*Server, error) {
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, fmt.Errorf("open the server's log: %w", err)
	}
	defer func() { _ = log.Close() }() // the server has it now
	args := append([]string{
		"-c", guard, "sh", dir, filepath.Join(bin, "postgres"), "-D", filepath.Join(dir, "data"),
		"-c", "listen_addresses=127.0.0.1", "-c", "port=" + strconv.Itoa(port), "-c", "unix_socket_directories=" + dir,
	}, settings(opts)...)
	// Not CommandContext: the server outlives the call that starts it.
	cmd := exec.Command("sh", args...) //nolint:noctx // see above
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	// A log file and not our own output: go test waits for whoever holds that. A
	// group of its own: a ^C at the terminal ends us first, and then the server.
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential, Setpgid: true}
	hold, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start the server: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the server: %w", err)
	}
	s := &Server{
		URL: fmt.Sprintf("postgres://postgres:%s@127.0.0.1:%d/postgres?sslmode=disable", password, port),
		cmd: cmd, hold: hold, done: make(chan struct{}),
	}
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(s.done)
	}()
	_, err = awaitReady(ctx, []string{s.URL}, func() error {
		content, _ := os.ReadFile(filepath.Join(dir, "log")) // unreadable: nothing to see yet
		if strings.Contains(string(content), "FATAL:  could not create any TCP/IP sockets") {
			return fmt.Errorf("the server did not start: %s", content)
		}
		return nil
	})
	if err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// findBinaries returns the folder of initdb and postgres, the newest version
// first where there are several.
func findBinaries(ctx context.Context) (string, error) {
	var dirs []string
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		dirs = append(dirs, filepath.Dir(path))
	}
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin", "/usr/local/opt/postgresql*/bin"} {
		found, _ := filepath.Glob(pattern) // the patterns are well-formed
		slices.Sort(found)
		slices.Reverse(found)
		dirs = append(dirs, found...)
	}
	for _, dir := range dirs {
		if executable(filepath.Join(dir, "initdb")) && executable(filepath.Join(dir, "postgres")) {
			return dir, nil
		}
	}
	return "", fmt.Errorf("no initdb and postgres on this machine: %w", errNone)
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir() && info.Mode()&0o111 != 0
}

// unprivileged returns who the server runs as when this process is root, which
// Postgres refuses; nil: as ourselves.
func unprivileged() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil //nolint:nilnil // nil is the credential of "as ourselves"
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("look up user %s: %w", name, err)
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("postgres refuses to run as root, and there is no user postgres or nobody to run it as")
}

func freePort(ctx context.Context) (int, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer func() { _ = l.Close() }() // only its number was wanted
	address, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return 0, fmt.Errorf("a TCP listener listens on %s", l.Addr())
	}
	return address.Port, nil
}
