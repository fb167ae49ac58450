package history

import (
	"encoding/binary"
	"errors"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// Book keeps of one pool what does not stay in memory: submissions that have ended, rows
// and messages, sorted by job on disk, and submissions sorted by task id. Judge reads them
// together. A nil Book keeps nothing. Not safe for concurrent use.
type Book struct {
	spill    int
	jobs     *sorter
	tasks    *sorter
	record   packer // reused
	messages int64
}

// NewBook returns an empty book. It uses temporary files for what is more than spill bytes
// (0: 8 MiB); Close removes them.
func NewBook(spill int) *Book {
	if spill <= 0 {
		spill = sorterChunk
	}
	return &Book{spill: spill, jobs: newSorter(spill), tasks: newSorter(spill)}
}

// Close removes the book's files.
func (b *Book) Close() error { return errors.Join(b.jobs.close(), b.tasks.close()) }

// Row notes a task's row.
func (b *Book) Row(t *domain.Task) {
	b.record = b.record[:0]
	b.record.row(t)
	b.jobs.add(b.record)
}

// Message notes a message.
func (b *Book) Message(m *domain.Message) {
	b.messages++
	b.record = b.record[:0]
	b.record.message(m)
	b.jobs.add(b.record)
}

// life notes a submission that has ended, or that is alive at the end of the trail.
func (b *Book) life(s *submission) {
	if b == nil {
		return
	}
	b.record = b.record[:0]
	b.record.life(s)
	b.jobs.add(b.record)

	b.record = append(b.record[:0], s.task...)
	b.record = append(b.record, 0) // no id has it: ids sort as they are, whatever follows
	b.record.key(s.submit)
	b.record.number(int64(s.number))
	b.record.text(string(s.status))
	b.record.number(s.end)
	b.record.time(s.endAt)
	b.tasks.add(b.record)
}

// stray notes an event of a job that is not alive.
func (b *Book) stray(e *domain.Event) {
	if b == nil {
		return
	}
	b.record = b.record[:0]
	b.record.stray(e)
	b.jobs.add(b.record)
}

// eachJob calls f with everything about each job, in the order of job ids.
func (b *Book) eachJob(f func(*jobEntries) error) error {
	var of jobEntries
	err := b.jobs.each(func(record []byte) error {
		u := unpacker{left: record}
		job := domain.JobID(u.key())
		if job != of.job && !of.empty() {
			if err := f(&of); err != nil {
				return err
			}
		}
		if job != of.job {
			of = jobEntries{job: job, lives: of.lives[:0], strays: of.strays[:0], mails: of.mails[:0]}
		}
		return of.add(&u)
	})
	if err != nil || of.empty() {
		return err
	}
	return f(&of)
}

// idEntry is a submission as it is sorted by task id.
type idEntry struct {
	submission

	again bool // of the same task id as the one before
}

// eachID calls f with every submission, by task id and in order.
func (b *Book) eachID(f func(idEntry)) error {
	var last domain.TaskID
	first := true
	return b.tasks.each(func(record []byte) error {
		var e idEntry
		for i, c := range record {
			if c == 0 {
				e.task = domain.TaskID(record[:i])
				record = record[i+1:]
				break
			}
		}
		if len(record) < binary.MaxVarintLen32 {
			return errRecord
		}
		u := unpacker{left: record}
		e.submit, e.number, e.status = u.key(), int(u.number()), domain.Status(u.text())
		e.end, e.endAt = u.number(), u.time()
		if u.broken {
			return errRecord
		}
		e.again, first, last = !first && e.task == last, false, e.task
		f(e)
		return nil
	})
}
