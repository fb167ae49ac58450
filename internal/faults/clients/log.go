package clients

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// What a client did.
const (
	Submit = "submit"
	Again  = "again" // the same submission once more, when all was over
	Cancel = "cancel"
	Force  = "force"
	Change = "change" // of a pool
)

// Entry is one line of the clients' log. Each request is two: one before it is sent,
// and one with its answer, if any came.
type Entry struct {
	At     time.Time     `json:"at"`
	Do     string        `json:"do"`
	Answer bool          `json:"answer,omitempty"`
	Pool   domain.PoolID `json:"pool"`
	Task   domain.TaskID `json:"task,omitempty"`
	Tenant domain.Tenant `json:"tenant,omitempty"` // of its mailbox; empty: it has none
	Code   int           `json:"code,omitempty"`   // HTTP; 0: no answer
	Why    string        `json:"why,omitempty"`    // problem code, or what went wrong
	Job    int64         `json:"job,omitempty"`    // of a 202
	Status string        `json:"status,omitempty"`
}

// logFile appends entries to a file, whole lines at once and in order.
type logFile struct {
	mu   sync.Mutex
	file *os.File
}

func openLog(path string) (*logFile, error) {
	const mode = 0o644
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, mode)
	if err != nil {
		return nil, fmt.Errorf("open the clients' log: %w", err)
	}
	return &logFile{file: file}, nil
}

// write fails loudly: a log with gaps proves nothing.
func (l *logFile) write(e Entry) {
	e.At = time.Now().UTC()
	line, err := json.Marshal(e)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		_, err = l.file.Write(append(line, '\n'))
	}
	if err != nil {
		panic(fmt.Sprintf("the clients' log: %v", err))
	}
}

// ReadLog calls each with every entry of the log at path, in order.
func ReadLog(path string, each func(Entry)) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read the clients' log: %w", err)
	}
	defer file.Close() //nolint:errcheck // only read
	lines := bufio.NewReader(file)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the clients' log: %w", err)
		}
		var e Entry
		if err := json.Unmarshal(line, &e); err != nil {
			return fmt.Errorf("read the clients' log: %w", err)
		}
		each(e)
	}
}
