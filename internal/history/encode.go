package history

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// What is known of a job, as records that sort by the job: its lives by the trail, events
// that came when it was not alive, its row, and its messages.
const (
	entryLife = iota
	entryStray
	entryRow
	entryMessage
)

var errRecord = errors.New("a record that was kept aside is broken")

// packer appends fields to a record.
type packer []byte

func (p *packer) key(n int64)    { *p = binary.BigEndian.AppendUint64(*p, uint64(n)) }
func (p *packer) byte(b byte)    { *p = append(*p, b) }
func (p *packer) number(n int64) { *p = binary.AppendVarint(*p, n) }
func (p *packer) text(s string)  { p.number(int64(len(s))); *p = append(*p, s...) }
func (p *packer) time(t time.Time) {
	if t.IsZero() {
		p.number(0)
		return
	}
	p.number(t.UnixMicro())
}

func (p *packer) flag(b bool) {
	if b {
		p.byte(1)
		return
	}
	p.byte(0)
}

// unpacker takes them apart again. After a fault everything is zero.
type unpacker struct {
	left   []byte
	broken bool
}

func (u *unpacker) take(n int) []byte {
	if n < 0 || n > len(u.left) {
		u.broken, u.left = true, nil
		return make([]byte, max(0, min(n, 8)))
	}
	taken := u.left[:n]
	u.left = u.left[n:]
	return taken
}

func (u *unpacker) key() int64 { return int64(binary.BigEndian.Uint64(u.take(8))) }
func (u *unpacker) byte() byte { return u.take(1)[0] }
func (u *unpacker) flag() bool { return u.byte() != 0 }

func (u *unpacker) number() int64 {
	n, size := binary.Varint(u.left)
	if size <= 0 {
		u.broken, u.left = true, nil
		return 0
	}
	u.left = u.left[size:]
	return n
}

func (u *unpacker) text() string { return string(u.take(int(u.number()))) }

func (u *unpacker) time() time.Time {
	us := u.number()
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// stray is an event of a job that was not alive when it happened.
type stray struct {
	task domain.TaskID
	seq  int64
	kind domain.EventKind
}

// row is what is compared of a task's row.
type row struct {
	task       domain.TaskID
	number     int
	status     domain.Status
	attempts   int
	units      domain.Units
	reason     domain.ReasonCode
	finishedAt time.Time
	mailbox    bool
	priority   domain.Priority
}

// mail is what is compared of a message.
type mail struct {
	task   domain.TaskID
	number int
	status domain.Status
	code   domain.ReasonCode
	at     time.Time
}

// jobEntries is everything that is known of one job.
type jobEntries struct {
	job    domain.JobID
	lives  []submission
	strays []stray
	row    *row
	mails  []mail
}

func (p *packer) life(s *submission) {
	p.key(int64(s.job))
	p.byte(entryLife)
	p.text(string(s.task))
	p.number(int64(s.number))
	p.text(string(s.status))
	p.text(string(s.reason))
	p.number(int64(s.units))
	p.number(int64(s.attempts))
	for _, seq := range []int64{s.submit, s.enqueue, s.start, s.end, s.last} {
		p.number(seq)
	}
	p.time(s.endAt)
}

func (u *unpacker) life(job domain.JobID) submission {
	s := submission{
		job: job, task: domain.TaskID(u.text()), number: int(u.number()), status: domain.Status(u.text()),
		reason: domain.ReasonCode(u.text()), units: domain.Units(u.number()), attempts: int(u.number()),
	}
	for _, seq := range []*int64{&s.submit, &s.enqueue, &s.start, &s.end, &s.last} {
		*seq = u.number()
	}
	s.endAt = u.time()
	return s
}

func (p *packer) stray(e *domain.Event) {
	p.key(int64(e.JobID))
	p.byte(entryStray)
	p.text(string(e.TaskID))
	p.number(e.Seq)
	p.text(string(e.Kind))
}

func (p *packer) row(t *domain.Task) {
	p.key(int64(t.JobID))
	p.byte(entryRow)
	p.text(string(t.TaskID))
	p.number(int64(t.Submission))
	p.text(string(t.Status))
	p.number(int64(t.Attempt))
	p.number(int64(t.Units))
	p.text(string(t.Reason.Code))
	if t.FinishedAt == nil {
		p.time(time.Time{})
	} else {
		p.time(*t.FinishedAt)
	}
	p.flag(t.Mailbox != nil)
	p.number(int64(t.Priority))
}

func (p *packer) message(m *domain.Message) {
	p.key(int64(m.JobID))
	p.byte(entryMessage)
	p.text(string(m.TaskID))
	p.number(int64(m.Submission))
	p.text(string(m.Status))
	p.text(string(m.Reason.Code))
	p.time(m.CreatedAt)
}

// add takes a record of the job apart.
func (j *jobEntries) add(u *unpacker) error {
	switch u.byte() {
	case entryLife:
		j.lives = append(j.lives, u.life(j.job))
	case entryStray:
		j.strays = append(j.strays, stray{domain.TaskID(u.text()), u.number(), domain.EventKind(u.text())})
	case entryRow:
		j.row = &row{
			domain.TaskID(u.text()), int(u.number()), domain.Status(u.text()), int(u.number()), domain.Units(u.number()),
			domain.ReasonCode(u.text()), u.time(), u.flag(), domain.Priority(u.number()),
		}
	case entryMessage:
		j.mails = append(j.mails, mail{
			domain.TaskID(u.text()), int(u.number()), domain.Status(u.text()), domain.ReasonCode(u.text()), u.time(),
		})
	default:
		u.broken = true
	}
	if u.broken {
		return errRecord
	}
	return nil
}

func (j *jobEntries) empty() bool {
	return len(j.lives) == 0 && len(j.strays) == 0 && j.row == nil && len(j.mails) == 0
}
