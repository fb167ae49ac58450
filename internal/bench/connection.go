package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// connection is one keep-alive HTTP connection of a client that costs little, so
// that what is measured is the server: requests are written as text, and of an
// answer only what proves it is read.
type connection struct {
	conn net.Conn
	in   *bufio.Reader
	host string
	text []byte // of the request; kept between requests
}

func dial(ctx context.Context, addr string) (*connection, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("connect to the server: %w", err)
	}
	return &connection{conn: conn, in: bufio.NewReader(conn), host: addr}, nil
}

func (c *connection) close() { _ = c.conn.Close() } // all answers were read

// post sends a body and hands the answer, which has to have the status, to read.
func (c *connection) post(path, body string, status int, read func(io.Reader) error) error {
	if err := c.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return fmt.Errorf("POST %s: %w", path, err)
	}
	c.text = append(c.text[:0], "POST "...)
	c.text = append(c.text, path...)
	c.text = append(c.text, " HTTP/1.1\r\nHost: "...)
	c.text = append(c.text, c.host...)
	c.text = append(c.text, "\r\nContent-Type: application/json\r\nContent-Length: "...)
	c.text = strconv.AppendInt(c.text, int64(len(body)), 10)
	c.text = append(c.text, "\r\n\r\n"...)
	c.text = append(c.text, body...)
	if _, err := c.conn.Write(c.text); err != nil {
		return fmt.Errorf("POST %s: %w", path, err)
	}
	answer, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return fmt.Errorf("POST %s: %w", path, err)
	}
	defer answer.Body.Close() //nolint:errcheck // was read to its end
	if answer.StatusCode != status {
		text, _ := io.ReadAll(answer.Body) // what there is of it
		return fmt.Errorf("POST %s: %s\n%s", path, answer.Status, text)
	}
	return read(answer.Body)
}

// submit submits task n in a request of its own.
func (c *connection) submit(of *Case, n int) error {
	path := "/pools/" + string(poolOf(of, n)) + "/tasks"
	return c.post(path, body(of, n), http.StatusAccepted, func(in io.Reader) error {
		_, err := io.Copy(io.Discard, in)
		return err
	})
}

// submitBatch submits tasks first to first+count-1 in one request.
func (c *connection) submitBatch(of *Case, first, count int) error {
	var text strings.Builder
	text.WriteString(`{"tasks":[`)
	for i := range count {
		if i > 0 {
			text.WriteByte(',')
		}
		text.WriteString(body(of, first+i))
	}
	text.WriteString(`]}`)
	path := "/pools/" + string(poolOf(of, 0)) + "/tasks:batch"
	return c.post(path, text.String(), http.StatusOK, func(in io.Reader) error {
		var answer struct {
			Results []struct {
				Status int `json:"status"`
			} `json:"results"`
		}
		if err := json.NewDecoder(in).Decode(&answer); err != nil {
			return fmt.Errorf("read the answer of a batch: %w", err)
		}
		if len(answer.Results) != count {
			return fmt.Errorf("%d results of a batch of %d", len(answer.Results), count)
		}
		for i := range answer.Results {
			if answer.Results[i].Status != http.StatusAccepted {
				return fmt.Errorf("task %d of a batch: status %d", i, answer.Results[i].Status)
			}
		}
		return nil
	})
}
