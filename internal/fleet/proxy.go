package fleet

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
)

// Proxy stands between a process and Postgres. It carries bytes until it is told
// otherwise. Its methods may be called from many goroutines.
type Proxy struct {
	// URL is the database's, as reached through the proxy.
	URL string

	target   string
	listener net.Listener
	carrying sync.WaitGroup

	mu     sync.Mutex
	down   bool
	conns  map[net.Conn]struct{}
	frozen chan struct{} // not nil: nothing passes until it is closed
	held   func()        // not nil: called once, within a transaction; see HoldTurn
}

// NewProxy listens on a free port of host (an address of this machine) and carries
// connections to the Postgres of the DSN, which must be a URL, without TLS.
func NewProxy(dsn, host string) (*Proxy, error) {
	u, err := url.Parse(dsn)
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	p := &Proxy{target: u.Host, listener: listener, conns: map[net.Conn]struct{}{}}
	u.Host = listener.Addr().String()
	query := u.Query()
	query.Set("sslmode", "disable") // the proxy reads along
	u.RawQuery = query.Encode()
	p.URL = u.String()
	p.carrying.Go(p.accept)
	return p, nil
}

// Close ends all connections and the proxy.
func (p *Proxy) Close() {
	_ = p.listener.Close() // nobody is left to be served
	p.Thaw()
	p.Cut()
	p.carrying.Wait()
}

// Cut breaks every connection and lets none through.
func (p *Proxy) Cut() { p.breakAll(true) }

// Drop breaks every connection; new ones get through, also after Cut.
func (p *Proxy) Drop() { p.breakAll(false) }

// Mend lets connections through again after Cut.
func (p *Proxy) Mend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = false
}

// Freeze lets nothing pass, in either direction, and breaks nothing: a cable that
// was pulled. New connections hang too. It ends with Thaw.
func (p *Proxy) Freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.frozen == nil {
		p.frozen = make(chan struct{})
	}
}

// Thaw lets what was frozen pass.
func (p *Proxy) Thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.frozen != nil {
		close(p.frozen)
		p.frozen = nil
	}
}

// HoldTurn has f called once, at the next instant at which Postgres has answered a
// round trip within an open transaction, before that answer is passed on: the
// process has the pool's lock and has not sent its second round trip. The connection
// stands still until f returns. A nil f takes it back.
func (p *Proxy) HoldTurn(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = f
}

func (p *Proxy) breakAll(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
	for conn := range p.conns {
		_ = conn.Close() // broken is what it should be
	}
	clear(p.conns)
}

func (p *Proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.carrying.Go(func() { p.carry(conn) })
	}
}

func (p *Proxy) carry(near net.Conn) {
	defer near.Close() //nolint:errcheck // what it carried is over
	p.pass()
	if !p.add(near) {
		return
	}
	defer p.remove(near)
	far, err := new(net.Dialer).DialContext(context.Background(), "tcp", p.target)
	if err != nil {
		return
	}
	defer far.Close() //nolint:errcheck // see above
	if !p.add(far) {
		return
	}
	defer p.remove(far)
	var both sync.WaitGroup
	both.Go(func() {
		p.pump(far, near)
		_ = far.Close() // ends the other direction
	})
	both.Go(func() {
		p.answers(near, far)
		_ = near.Close() // ends the other direction
	})
	both.Wait()
}

// add keeps a connection to be broken; false: there is no way now.
func (p *Proxy) add(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.down {
		p.conns[conn] = struct{}{}
	}
	return !p.down
}

func (p *Proxy) remove(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, conn)
}

// pass waits while the proxy is frozen.
func (p *Proxy) pass() {
	p.mu.Lock()
	frozen := p.frozen
	p.mu.Unlock()
	if frozen != nil {
		<-frozen
	}
}

const bufferSize = 32 << 10

// pump carries what the process sends.
func (p *Proxy) pump(to, from net.Conn) {
	buffer := make([]byte, bufferSize)
	for {
		n, err := from.Read(buffer)
		p.pass()
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// A message of Postgres is a type byte, the length of what follows with itself, and a
// body. ReadyForQuery ends the answer to a round trip; its body says whether a
// transaction is open.
const (
	headerSize    = 5
	readyForQuery = 'Z'
	inTransaction = 'T'
)

// answers carries what Postgres sends, message by message, and whole answers at once.
func (p *Proxy) answers(to, from net.Conn) {
	in, out := bufio.NewReaderSize(from, bufferSize), bufio.NewWriterSize(to, bufferSize)
	for {
		header, err := in.Peek(headerSize)
		if err != nil {
			_, _ = io.Copy(out, in) // what was cut off within a message
			_ = out.Flush()
			return
		}
		kind, size := header[0], int64(binary.BigEndian.Uint32(header[1:]))+1
		if kind == readyForQuery {
			if answer, err := in.Peek(int(size)); err == nil && answer[headerSize] == inTransaction {
				p.hold()
			}
		}
		p.pass()
		if _, err := io.CopyN(out, in, size); err != nil {
			return
		}
		if in.Buffered() == 0 {
			if err := out.Flush(); err != nil {
				return
			}
		}
	}
}

func (p *Proxy) hold() {
	p.mu.Lock()
	f := p.held
	p.held = nil
	p.mu.Unlock()
	if f != nil {
		f()
	}
}
