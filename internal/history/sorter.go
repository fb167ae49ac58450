package history

import (
	"bufio"
	"bytes"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// sorterChunk is how many bytes of records a sorter keeps in memory, and sorterRead how
// many of each run it reads at a time when it merges them.
const (
	sorterChunk = 8 << 20
	sorterRead  = 64 << 10
)

// sorter puts records in the order of their bytes, however many there are: what does not
// fit into a chunk goes to a temporary file in sorted runs, which are merged when they
// are read. Records that come nearly in order cost little. Not safe for concurrent use.
type sorter struct {
	chunk int // bytes to keep in memory
	bytes []byte
	index []recordRef
	file  *os.File // nil: everything has fitted so far
	size  int64
	runs  []fileRange
	err   error // the first one; nothing is added after it
}

// recordRef is a record in memory: its place in the chunk and its first eight bytes, which
// decide most comparisons.
type recordRef struct {
	prefix     uint64
	begin, end uint32
}

type fileRange struct{ begin, end int64 }

func newSorter(chunk int) *sorter { return &sorter{chunk: chunk} }

func prefixOf(record []byte) uint64 {
	var first [8]byte
	copy(first[:], record)
	return binary.BigEndian.Uint64(first[:])
}

// add takes a copy of the record. That it could not be stored is told by each.
func (s *sorter) add(record []byte) {
	if s.err != nil {
		return
	}
	if len(s.bytes)+len(record) > s.chunk && len(s.index) > 0 {
		if s.err = s.spill(); s.err != nil {
			return
		}
	}
	begin := len(s.bytes)
	s.bytes = append(s.bytes, record...)
	s.index = append(s.index, recordRef{prefixOf(record), uint32(begin), uint32(len(s.bytes))})
}

func (s *sorter) sort() {
	slices.SortFunc(s.index, func(a, b recordRef) int {
		switch {
		case a.prefix < b.prefix:
			return -1
		case a.prefix > b.prefix:
			return 1
		}
		return bytes.Compare(s.bytes[a.begin:a.end], s.bytes[b.begin:b.end])
	})
}

// spill writes what is in memory as a run of its own.
func (s *sorter) spill() (err error) {
	if s.file == nil {
		if s.file, err = os.CreateTemp("", "parkinglot-verify-*"); err != nil {
			return fmt.Errorf("sort what does not fit in memory: %w", err)
		}
	}
	s.sort()
	out := bufio.NewWriterSize(s.file, sorterRead)
	begin := s.size
	var length [binary.MaxVarintLen64]byte
	for _, ref := range s.index {
		n := binary.PutUvarint(length[:], uint64(ref.end-ref.begin))
		_, _ = out.Write(length[:n]) // Flush tells
		_, _ = out.Write(s.bytes[ref.begin:ref.end])
		s.size += int64(n) + int64(ref.end-ref.begin)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("sort what does not fit in memory (set TMPDIR to a folder with more room): %w", err)
	}
	s.runs = append(s.runs, fileRange{begin, s.size})
	s.bytes, s.index = s.bytes[:0], s.index[:0]
	return nil
}

// each calls f with every record in order; a record is valid until f returns. Nothing may
// be added after it.
func (s *sorter) each(f func(record []byte) error) error {
	if s.err != nil {
		return s.err
	}
	s.sort()
	all := []*sequence{{next: s.memory()}}
	for _, run := range s.runs {
		all = append(all, &sequence{next: s.run(run)})
	}
	var merged runHeap
	for _, sequence := range all {
		more, err := sequence.advance()
		if err != nil {
			return err
		}
		if more {
			merged = append(merged, sequence)
		}
	}
	heap.Init(&merged)
	for len(merged) > 0 {
		if err := f(merged[0].record); err != nil {
			return err
		}
		more, err := merged[0].advance()
		switch {
		case err != nil:
			return err
		case more:
			heap.Fix(&merged, 0)
		default:
			heap.Pop(&merged)
		}
	}
	return nil
}

// memory reads what was never written.
func (s *sorter) memory() func() ([]byte, error) {
	i := 0
	return func() ([]byte, error) {
		if i == len(s.index) {
			return nil, io.EOF
		}
		ref := s.index[i]
		i++
		return s.bytes[ref.begin:ref.end], nil
	}
}

// run reads a run of the file.
func (s *sorter) run(at fileRange) func() ([]byte, error) {
	in := bufio.NewReaderSize(io.NewSectionReader(s.file, at.begin, at.end-at.begin), sorterRead)
	var record []byte
	return func() ([]byte, error) {
		n, err := binary.ReadUvarint(in)
		if err != nil {
			return nil, err
		}
		record = slices.Grow(record[:0], int(n))[:n]
		_, err = io.ReadFull(in, record)
		return record, err
	}
}

// close removes the file.
func (s *sorter) close() error {
	if s.file == nil {
		return nil
	}
	return errors.Join(s.file.Close(), os.Remove(s.file.Name()))
}

// sequence is one sorted sequence that is being merged.
type sequence struct {
	next   func() ([]byte, error)
	prefix uint64
	record []byte
}

func (r *sequence) advance() (bool, error) {
	record, err := r.next()
	if errors.Is(err, io.EOF) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read back what did not fit in memory: %w", err)
	}
	r.record, r.prefix = record, prefixOf(record)
	return true, nil
}

// runHeap has the run with the least record first.
type runHeap []*sequence

// Len implements heap.Interface.
func (h *runHeap) Len() int { return len(*h) }

// Less implements heap.Interface.
func (h *runHeap) Less(i, j int) bool {
	a, b := (*h)[i], (*h)[j]
	if a.prefix != b.prefix {
		return a.prefix < b.prefix
	}
	return bytes.Compare(a.record, b.record) < 0
}

// Swap implements heap.Interface.
func (h *runHeap) Swap(i, j int) { (*h)[i], (*h)[j] = (*h)[j], (*h)[i] }

// Push implements heap.Interface.
func (h *runHeap) Push(x any) { *h = append(*h, x.(*sequence)) } //nolint:forcetypeassert // its own

// Pop implements heap.Interface.
func (h *runHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
