package dbtest

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
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
		testcontainers.WithConfigModifier(func(c *container.Config) {
			if opts.Durable { // a volume is the host's file system; the container's own is layers
				c.Volumes = map[string]struct{}{"/pgdata": {}}
			}
		}),
		testcontainers.WithHostConfigModifier(func(hc *container.HostConfig) {
			hc.AutoRemove = true
			hc.ShmSize = 512 << 20
			if _, local := socketOfEngine(); local { // the network has no business with it
				hc.PortBindings = network.PortMap{network.MustParsePort("5432/tcp"): {{HostIP: netip.MustParseAddr("127.0.0.1")}}}
			}
			if !opts.Durable {
				hc.Tmpfs = map[string]string{"/pgdata": "rw,size=4g,mode=0777"}
			}
		}),
	)
	// Stopped is removed: AutoRemove, with its volume.
	stop := sync.OnceFunc(func() {
		if ctr == nil {
			return
		}
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		now := time.Duration(0)
		_ = ctr.Stop(end, &now) // else its keeper ends it
	})
	if err != nil {
		stop()
		return "", nil, fmt.Errorf("start a container of %s: %w", image, err)
	}
	addresses, err := addressesOf(ctx, ctr)
	if err != nil {
		stop()
		return "", nil, err
	}
	urls := make([]string, len(addresses))
	for i, address := range addresses {
		urls[i] = fmt.Sprintf("postgres://postgres:%s@%s/postgres?sslmode=disable", password, address)
	}
	url, err := awaitReady(ctx, urls, func() error {
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

// addressesOf returns where the server may answer: what testcontainers takes for the
// engine's host, which it guesses wrong on a machine that looks like a container;
// this machine; and the container itself, for tests that run in one beside it.
func addressesOf(ctx context.Context, ctr *testcontainers.DockerContainer) ([]string, error) {
	port, err := ctr.MappedPort(ctx, "5432/tcp")
	if err != nil {
		return nil, fmt.Errorf("ask for the container's port: %w", err)
	}
	var addresses []string
	if _, local := socketOfEngine(); local {
		addresses = append(addresses, net.JoinHostPort("127.0.0.1", port.Port()))
	}
	if host, err := ctr.Host(ctx); err == nil {
		addresses = append(addresses, net.JoinHostPort(host, port.Port()))
	}
	if ip, err := ctr.ContainerIP(ctx); err == nil && ip != "" {
		addresses = append(addresses, net.JoinHostPort(ip, "5432"))
	}
	return addresses, nil
}

// socketOfEngine returns the engine's socket when it is on this machine.
func socketOfEngine() (path string, local bool) {
	host := os.Getenv("DOCKER_HOST")
	if host == "" {
		return "/var/run/docker.sock", true
	}
	return strings.CutPrefix(host, "unix://")
}

// findImage asks the engine, and does not wait for one that is not there.
func findImage(ctx context.Context) (string, error) {
	if socket, local := socketOfEngine(); local && os.Getenv("DOCKER_HOST") != "" {
		if _, err := os.Stat(socket); err != nil {
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
