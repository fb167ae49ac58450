package faults

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// link is a network namespace for one worker, and the pair of interfaces that is its
// only way out.
type link struct {
	space string // of the worker
	near  string // interface on our side
	host  string // address on our side
}

// newLink makes the namespace. It needs root and the ip command.
func newLink(ctx context.Context) (*link, error) {
	const spaces = 250
	pid := os.Getpid()
	l := &link{
		space: fmt.Sprintf("plfault%d", pid), near: fmt.Sprintf("plf%d", pid),
		host: fmt.Sprintf("198.18.%d.1", pid%spaces), // of the range for tests of networks, RFC 2544
	}
	far := fmt.Sprintf("plg%d", pid)
	there := fmt.Sprintf("198.18.%d.2", pid%spaces)
	for _, line := range []string{
		"netns add " + l.space,
		"link add " + l.near + " type veth peer name " + far + " netns " + l.space,
		"addr add " + l.host + "/30 dev " + l.near,
		"link set " + l.near + " up",
		"-n " + l.space + " addr add " + there + "/30 dev " + far,
		"-n " + l.space + " link set " + far + " up",
		"-n " + l.space + " link set lo up",
	} {
		if err := ip(ctx, line); err != nil {
			l.close()
			return nil, err
		}
	}
	return l, nil
}

func ip(ctx context.Context, line string) error {
	if out, err := exec.CommandContext(ctx, "ip", strings.Fields(line)...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", line, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// wrap is what runs a program in the namespace.
func (l *link) wrap() []string { return []string{"ip", "netns", "exec", l.space} }

// set takes the interface up or down.
func (l *link) set(up bool) error {
	state := "down"
	if up {
		state = "up"
	}
	return ip(context.Background(), "link set "+l.near+" "+state)
}

// close removes the namespace, and its interfaces with it.
func (l *link) close() {
	if l != nil {
		_ = ip(context.Background(), "netns del "+l.space) // it may not be there
		_ = ip(context.Background(), "link del "+l.near)   // gone with the namespace, if that was made
	}
}
