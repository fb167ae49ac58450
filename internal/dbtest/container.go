package dbtest

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/testcontainers/testcontainers-go"
)

// images are what a container may be made of, the first that the engine has.
// Nothing is pulled unless a container is asked for by name: on a machine
// without a network that would only cost time.
var images = []string{"parkinglot-test-postgres:17", "parkinglot-test-postgres:15", "postgres:17-alpine", "postgres:16-alpine", "postgres:15-alpine"}

// keeper starts the image's own entry point and ends the container once nobody
// has been connected for a while: this process keeps a connection as long as it
// lives. It does what Ryuk does, for machines that cannot pull Ryuk.
const keeper = `
docker-entrypoint.sh postgres "$@" &
server=$!
idle=-30
while [ "$idle" -lt 10 ] && kill -0 "$server" 2>/dev/null; do
    sleep 1
    clients=$(psql -h 127.0.0.1 -U postgres -Atqc "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()" 2>/dev/null || echo 0)
    if [ "$clients" = 0 ]; then idle=$((idle + 1)); else idle=0; fi
done
kill -QUIT "$server" 2>/dev/null
wait "$server"
`

// quiet keeps what testcontainers tells of its containers out of the tests' output.
type quiet struct{}

// Printf implements testcontainers' log.Logger.
func (quiet) Printf(string, ...any) {}

// startContainer runs the server in a container. PARKINGLOT_TEST_IMAGE names the
// image to use instead of the first one there is.
func startContainer(ctx context.Context, opts Options) (string, func(), error) {
	// The keeper does what Ryuk would, whose image is one more to pull. Said before the
	// engine is first asked: testcontainers reads its settings once.
	if err := os.Setenv("TESTCONTAINERS_RYUK_DISABLED", "true"); err != nil {
		return "", nil, err
	}
	forced := os.Getenv("PARKINGLOT_TEST_POSTGRES") == "container"
	image, err := findImage(ctx)
	if err != nil {
		if !forced {
			return "", nil, err
		}
		image = images[len(images)-1]
	}
	password := rand.Text()
	ctr, err := testcontainers.Run(ctx, image,
		testcontainers.WithLogger(quiet{}),
		testcontainers.WithEnv(map[string]string{
			"POSTGRES_PASSWORD": password, "PGPASSWORD": password, "PGDATA": "/pgdata/data",
			"POSTGRES_INITDB_ARGS": "--no-locale -E UTF8 --no-sync",
		}),
		testcontainers.WithExposedPorts("5432/tcp"),
		testcontainers.WithEntrypoint("sh", "-c", keeper, "sh"),
		testcontainers.WithCmd(settings(opts)...),
		testcontainers.WithHostConfigModifier(func(hc *container.HostConfig) {
			hc.AutoRemove = true
			hc.ShmSize = 512 << 20
			if !opts.Durable {
				hc.Tmpfs = map[string]string{"/pgdata": "rw,size=4g,mode=0777"}
			}
		}),
	)
	stop := func() {
		if ctr == nil {
			return
		}
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		_ = ctr.Terminate(end) // else its keeper ends it
	}
	if err != nil {
		stop()
		return "", nil, fmt.Errorf("start a container of %s: %w", image, err)
	}
	host, err := ctr.Host(ctx)
	if err != nil {
		stop()
		return "", nil, fmt.Errorf("ask for the container's address: %w", err)
	}
	port, err := ctr.MappedPort(ctx, "5432/tcp")
	if err != nil {
		stop()
		return "", nil, fmt.Errorf("ask for the container's port: %w", err)
	}
	url := fmt.Sprintf("postgres://postgres:%s@%s/postgres?sslmode=disable", password, net.JoinHostPort(host, port.Port()))
	err = awaitReady(ctx, url, func() error {
		state, err := ctr.State(ctx)
		if err == nil && state.Running {
			return nil
		}
		return fmt.Errorf("the container of %s ended before the server answered", image)
	})
	if err != nil {
		stop()
		return "", nil, err
	}
	return url, stop, nil
}

// findImage asks the engine, and does not wait for one that is not there.
func findImage(ctx context.Context) (string, error) {
	if host := os.Getenv("DOCKER_HOST"); host == "" || strings.HasPrefix(host, "unix://") {
		socket := "/var/run/docker.sock"
		if host != "" {
			socket = strings.TrimPrefix(host, "unix://")
		}
		if _, err := os.Stat(socket); err != nil && host != "" {
			return "", fmt.Errorf("no Docker engine at %s: %w", socket, errNone)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	client, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return "", fmt.Errorf("no Docker engine answers (%w): %w", err, errNone)
	}
	defer func() { _ = client.Close() }() // only asked
	wanted := images
	if image := os.Getenv("PARKINGLOT_TEST_IMAGE"); image != "" {
		wanted = []string{image}
	}
	for _, image := range wanted {
		if _, err := client.ImageInspect(ctx, image); err == nil {
			return image, nil
		}
	}
	return "", fmt.Errorf("the Docker engine has none of the images %s: %w", strings.Join(wanted, ", "), errNone)
}
