package replay

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// table reads a CSV file by the names of its columns.
type table struct {
	in      *csv.Reader
	columns map[string]int
	row     []string
	line    int
}

// openTable reads the header, which must have the columns.
func openTable(in io.Reader, columns ...string) (*table, error) {
	t := newTable(in)
	header, err := t.in.Read()
	if err != nil {
		return nil, fmt.Errorf("read the header of the trace: %w", err)
	}
	t.name(header)
	for _, column := range columns {
		if _, ok := t.columns[strings.ToLower(column)]; !ok {
			return nil, fmt.Errorf("the trace has no column %q: its header is %q", column, strings.Join(header, ","))
		}
	}
	return t, nil
}

func newTable(in io.Reader) *table {
	t := &table{in: csv.NewReader(in), columns: map[string]int{}}
	t.in.FieldsPerRecord = -1
	t.in.TrimLeadingSpace = true
	t.in.ReuseRecord = true
	return t
}

func (t *table) name(header []string) {
	for i, name := range header {
		t.columns[strings.ToLower(strings.Trim(name, " \t\ufeff"))] = i
	}
}

// next reads a row and reports whether there was one.
func (t *table) next() (bool, error) {
	row, err := t.in.Read()
	if errors.Is(err, io.EOF) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read the trace: %w", err)
	}
	t.row = row
	t.line, _ = t.in.FieldPos(0)
	return true, nil
}

// text returns a field, empty when the row has none.
func (t *table) text(column string) string {
	i, ok := t.columns[strings.ToLower(column)]
	if !ok || i >= len(t.row) {
		return ""
	}
	return strings.TrimSpace(t.row[i])
}

// integer returns a field as a whole number of at least least.
func (t *table) integer(column string, least int64) (int64, error) {
	n, err := strconv.ParseInt(t.text(column), 10, 64)
	if err != nil || n < least {
		return 0, t.fault(column, fmt.Sprintf("must be a whole number of at least %d", least))
	}
	return n, nil
}

func (t *table) fault(column, must string) error {
	return fmt.Errorf("line %d of the trace: %s %q %s", t.line, column, t.text(column), must)
}
