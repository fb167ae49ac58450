package history

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// Record is one line of the log that executors keep of themselves (JSON lines,
// appended by every process of one machine): that an attempt entered its
// executor, or left it.
type Record struct {
	PID       int           `json:"pid"`
	Pool      domain.PoolID `json:"pool"`
	TaskID    domain.TaskID `json:"task"`
	JobID     domain.JobID  `json:"job"`
	Attempt   int           `json:"attempt"`
	Units     domain.Units  `json:"units"`
	Kind      string        `json:"kind"` // "enter" or "exit"
	WallMicro int64         `json:"wall"` // µs since the epoch
	MonoNano  int64         `json:"mono"` // ns of the machine's monotonic clock, the same for all processes
}

// Kinds of records.
const (
	RecordEnter = "enter"
	RecordExit  = "exit"
)

// Wall returns the wall-clock time of the record.
func (r *Record) Wall() time.Time { return time.UnixMicro(r.WallMicro).UTC() }

// ReadRecords reads a log. The last line may be cut off by the death of its
// process; any other line that is not a record is an error.
func ReadRecords(in io.Reader) ([]Record, error) {
	var records []Record
	lines := bufio.NewReader(in)
	for number := 1; ; number++ {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return records, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read the execution log: %w", err)
		}
		var rec Record
		if err := json.Unmarshal(line, &rec); err != nil {
			return nil, fmt.Errorf("execution log line %d is no record: %w", number, err)
		}
		if rec.Kind != RecordEnter && rec.Kind != RecordExit {
			return nil, fmt.Errorf("execution log line %d: kind %q is neither enter nor exit", number, rec.Kind)
		}
		records = append(records, rec)
	}
}

// ReadRecordFiles reads several logs of one machine as one.
func ReadRecordFiles(paths []string) ([]Record, error) {
	all := []Record{}
	for _, path := range paths {
		records, err := readRecordFile(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, records...)
	}
	return all, nil
}

func readRecordFile(path string) ([]Record, error) {
	file, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // only read
	return ReadRecords(file)
}
