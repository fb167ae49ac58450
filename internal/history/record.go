package history

import (
	"fmt"
	"os"
	"time"

	"github.com/parkinglot/parkinglot/internal/runtime/attempts"
)

// Record is one line of the log that executors keep of themselves: that an attempt
// entered its executor, or left it.
type Record = attempts.RecordEntry

// wall returns the wall-clock time of a record.
func wall(r *Record) time.Time { return time.UnixMicro(r.WallUS).UTC() }

// ReadRecordFiles reads the execution logs of one machine as one.
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
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // only read
	return attempts.ReadRecord(file)
}
