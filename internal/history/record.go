package history

import (
	"fmt"
	"os"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
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

// recordsAfter returns the records of a pool's attempts that were entered after a checkpoint;
// zero: of all. What was running then is not known by name, and its record not judged.
func recordsAfter(all []Record, pool domain.PoolID, checkpoint time.Time) []Record {
	before := map[runKey]bool{}
	var records []Record
	for i := range all {
		rec := &all[i]
		if rec.Pool != pool {
			continue
		}
		key := runKey{rec.Task, rec.Attempt}
		if rec.Kind == attempts.RecordEnter && !wall(rec).After(checkpoint) {
			before[key] = true
		}
		if !before[key] {
			records = append(records, *rec)
		}
	}
	return records
}
