package dbtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
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
)

// guard runs the server and stops it when its standard input ends, which the
// kernel sees to when the process that holds the other end is gone, even by
// SIGKILL. Then it removes the folder.
const guard = `
dir=$1; shift
"$@" </dev/null &
server=$!
read -r _
kill -QUIT "$server" 2>/dev/null
wait "$server"
cd / && rm -rf "$dir"
`

// startBinaries runs a server from the binaries of this machine in a temporary
// folder, listening on a free port of 127.0.0.1 and a socket in that folder.
func startBinaries(ctx context.Context, opts Options) (string, func(), error) {
	bin, err := findBinaries(ctx)
	if err != nil {
		return "", nil, err
	}
	credential, err := unprivileged()
	if err != nil {
		return "", nil, err
	}
	dir, err := os.MkdirTemp("", "pl-pg-")
	if err != nil {
		return "", nil, fmt.Errorf("make a folder for the server: %w", err)
	}
	password := rand.Text()
	if err := initdb(ctx, bin, dir, password, credential); err != nil {
		_ = os.RemoveAll(dir) // the first error says more
		return "", nil, err
	}
	// Between closing the probe's port and the server's bind somebody else may take
	// it: then the next one.
	for range 5 {
		var url string
		var stop func()
		if url, stop, err = runServer(ctx, bin, dir, password, credential, opts); err == nil {
			return url, stop, nil
		}
	}
	_ = os.RemoveAll(dir) // the first error says more
	return "", nil, err
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

func runServer(ctx context.Context, bin, dir, password string, credential *syscall.Credential, opts Options) (string, func(), error) {
	port, err := freePort(ctx)
	if err != nil {
		return "", nil, err
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return "", nil, fmt.Errorf("open the server's log: %w", err)
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
		return "", nil, fmt.Errorf("start the server: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return "", nil, fmt.Errorf("start the server: %w", err)
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(done)
	}()
	url := fmt.Sprintf("postgres://postgres:%s@127.0.0.1:%d/postgres?sslmode=disable", password, port)
	_, err = awaitReady(ctx, []string{url}, func() error {
		content, _ := os.ReadFile(filepath.Join(dir, "log")) // unreadable: nothing to see yet
		if strings.Contains(string(content), "FATAL:  could not create any TCP/IP sockets") {
			return fmt.Errorf("the server did not start: %s", content)
		}
		return nil
	})
	stop := func() {
		_ = hold.Close() // ends the guard's read
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // its whole group, which is ours alone
		}
	}
	if err != nil {
		stop()
		return "", nil, err
	}
	return url, stop, nil
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
	return l.Addr().(*net.TCPAddr).Port, nil
}
