package api

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// position is what a cursor of the mailbox or of the audit trail stands for: the
// last sequence number seen of each source, and the time at which reading began
// (sources not seen yet are still read from that time on). Clients see it as
// base64url of its JSON and may not rely on that.
type position struct {
	// Kind is what the cursor is of, so that one of a mailbox is not taken for one of the
	// trail. Cursors given out by versions without it have none, and are taken anywhere.
	Kind  cursorKind    `json:"k,omitempty"`
	After domain.Cursor `json:"a,omitempty"`
	Since *time.Time    `json:"s,omitempty"`
}

// cursorKind is what a cursor is of.
type cursorKind string

const (
	ofMessages cursorKind = "m"
	ofEvents   cursorKind = "e"
	ofTasks    cursorKind = "t"
	ofLeases   cursorKind = "l"
)

// name is how a fault tells it.
func (k cursorKind) name() string {
	return map[cursorKind]string{ofMessages: "a mailbox", ofEvents: "the audit trail", ofTasks: "tasks", ofLeases: "leases"}[k]
}

// String returns the cursor as clients see it.
func (p *position) String() string {
	raw, err := json.Marshal(p)
	if err != nil {
		return "" // strings, numbers and times in RFC 3339's range always marshal
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// advance returns the position after an entry.
func (p *position) advance(source domain.Source, seq int64) {
	if p.After == nil {
		p.After = domain.Cursor{}
	}
	p.After[source] = max(p.After[source], seq)
}

// clone returns a copy of its own, as a position of the kind.
func (p *position) clone(kind cursorKind) position {
	return position{Kind: kind, After: maps.Clone(p.After), Since: p.Since}
}

// since returns the time of reading's begin, zero for none.
func (p *position) since() time.Time {
	if p.Since == nil {
		return time.Time{}
	}
	return *p.Since
}

// parsePosition reads a cursor.
func parsePosition(text string) (position, bool) {
	var p position
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || checkJSON(raw) != nil {
		return position{}, false
	}
	if _, faults := canonicalise(raw, ""); len(faults) > 0 {
		return position{}, false
	}
	d := decoder{}
	d.object("", raw, field{name: "k", read: func(string, []byte) {}}, field{name: "a", read: func(string, []byte) {}},
		field{name: "s", read: func(string, []byte) {}})
	if len(d.faults) > 0 || json.Unmarshal(raw, &p) != nil {
		return position{}, false
	}
	for _, seq := range p.After {
		if seq < 0 {
			return position{}, false
		}
	}
	if p.Kind != "" && p.Kind.name() == "" {
		return position{}, false
	}
	if p.Since != nil && (p.Since.Year() < 1 || p.Since.Year() > 9999) {
		return position{}, false
	}
	return p, true
}

// cursor reads a cursor of the kind, which stands at the location; the empty text is
// the beginning.
func (d *decoder) cursor(location, text string, kind cursorKind) position {
	if text == "" {
		return position{}
	}
	p, ok := parsePosition(text)
	switch {
	case !ok:
		d.faultf(location, text, "is not a cursor that was given out here")
	case p.Kind != "" && p.Kind != kind:
		d.faultf(location, text, "is a cursor of %s, not of %s", p.Kind.name(), kind.name())
	default:
		return p
	}
	return position{}
}
