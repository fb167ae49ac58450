package attempts

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// RecordVariable is the environment variable that names the file of the executors'
// own record; empty: none is kept.
const RecordVariable = "PARKINGLOT_EXECUTION_LOG"

// Recorder keeps a record of when executors really ran that is independent of the
// scheduler's rows: proofs under load and faults rest on it. Its methods are
// called from many goroutines, Exited also for an executor that outlived its
// attempt.
type Recorder interface {
	Entered(task domain.Task)
	Exited(task domain.Task)
}

// Kinds of a RecordEntry.
const (
	RecordEnter = "enter"
	RecordExit  = "exit"
)

// RecordEntry is one line of the record. An enter without an exit is an executor
// whose process died in it.
type RecordEntry struct {
	PID     int           `json:"pid"`
	Pool    domain.PoolID `json:"pool"`
	Task    domain.TaskID `json:"task"`
	Job     domain.JobID  `json:"job"`
	Attempt int           `json:"attempt"`
	Units   domain.Units  `json:"units"`
	Kind    string        `json:"kind"`     // RecordEnter or RecordExit
	WallUS  int64         `json:"wallTime"` // µs since the epoch
	MonoNS  int64         `json:"mono"`     // CLOCK_MONOTONIC, comparable between the processes of one host until it restarts
}

// RecordFile is a Recorder that appends JSON lines to a file which several
// processes may share: each line is one write to a file opened for appending.
type RecordFile struct {
	file *os.File
	log  *slog.Logger
	pid  int
}

// OpenRecord opens or creates the file at path for appending.
func OpenRecord(path string, log *slog.Logger) (*RecordFile, error) {
	const mode = 0o644
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, mode)
	if err != nil {
		return nil, fmt.Errorf("open the execution log (%s): %w", RecordVariable, err)
	}
	return &RecordFile{file: file, log: log, pid: os.Getpid()}, nil
}

// Entered implements Recorder.
func (f *RecordFile) Entered(task domain.Task) { f.append(task, RecordEnter) }

// Exited implements Recorder.
func (f *RecordFile) Exited(task domain.Task) { f.append(task, RecordExit) }

// Close closes the file.
func (f *RecordFile) Close() error { return f.file.Close() }

// append never fails the task: a record that cannot be written is worth a line in
// the log, and its reader sees the gap.
func (f *RecordFile) append(task domain.Task, kind string) {
	var mono unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &mono)
	line, errLine := json.Marshal(RecordEntry{
		PID: f.pid, Pool: task.PoolID, Task: task.TaskID, Job: task.JobID, Attempt: task.Attempt, Units: task.Units,
		Kind: kind, WallUS: time.Now().UnixMicro(), MonoNS: mono.Nano(),
	})
	if err = errors.Join(err, errLine); err == nil {
		_, err = f.file.Write(append(line, '\n'))
	}
	if err != nil {
		f.log.Error("the execution log has a gap", "pool", task.PoolID, "task", task.TaskID, "kind", kind, "error", err)
	}
}

// ReadRecord reads a record. A last line that was cut off by the death of its
// writer is left out.
func ReadRecord(from io.Reader) ([]RecordEntry, error) {
	var entries []RecordEntry
	lines := bufio.NewReader(from)
	for number := 1; ; number++ {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return entries, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read the execution log: %w", err)
		}
		var entry RecordEntry
		if err := json.Unmarshal(line, &entry); err != nil {
			return nil, fmt.Errorf("line %d of the execution log: %w", number, err)
		}
		entries = append(entries, entry)
	}
}
