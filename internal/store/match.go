package store

import (
	"slices"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// Matches reports whether Messages would return m: its mailbox, its time, and that it
// is not acknowledged. Cursor and Limit do not matter.
func (f *MailboxFilter) Matches(m *domain.Message) bool {
	if m.Mailbox.Tenant != f.Tenant || m.AckedAt != nil || m.CreatedAt.Before(f.Since) {
		return false
	}
	return f.AllUsers || f.UserID != "" && m.Mailbox.UserID == f.UserID &&
		(f.SessionID == nil || m.Mailbox.SessionID == *f.SessionID)
}

// Matches reports whether Events would return e. Cursor and Limit do not matter.
func (f *EventFilter) Matches(e *domain.Event) bool {
	switch {
	case f.Pool != "" && e.Source != domain.Source(f.Pool),
		f.TaskID != "" && e.TaskID != f.TaskID,
		f.Tenant != "" && e.Tenant != f.Tenant,
		f.Kind != "" && e.Kind != f.Kind,
		f.Subject != "" && !slices.Contains(e.Subjects, f.Subject),
		!f.From.IsZero() && e.At.Before(f.From),
		!f.To.IsZero() && !e.At.Before(f.To):
		return false
	}
	return true
}
