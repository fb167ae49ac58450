// Package composite sends rows as values of composite types, in Postgres's binary format: an
// array of them is one parameter, however many columns they have.
package composite

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

// Row is a value of a composite type in the binary format, as record_recv takes it (rowtypes.c of
// Postgres): how many columns there are, then of each the type, the length and the value.
type Row []byte

// Builder makes rows, column by column, in the order of their type: a type of another name or order
// is only noticed by Postgres, and only where columns differ. Begin, then the columns, then End.
// Rows stay as they are when the next one is begun. The zero value is ready; not safe for concurrent use.
type Builder struct {
	buf     []byte // of the row under way, with room for the next ones behind it
	columns uint32
	room    int
}

const (
	leastRoom, mostRoom = 2 << 10, 64 << 10 // bytes taken from the heap at once
	rowRoom             = 512               // what most rows fit in
)

// Begin begins a row.
func (b *Builder) Begin() *Builder {
	if cap(b.buf) < rowRoom {
		b.room = min(max(2*b.room, leastRoom), mostRoom)
		b.buf = make([]byte, 0, b.room)
	}
	b.buf = append(b.buf, 0, 0, 0, 0)
	b.columns = 0
	return b
}

// End returns the row.
func (b *Builder) End() Row {
	row := b.buf
	binary.BigEndian.PutUint32(row, b.columns)
	b.buf = row[len(row):]
	return Row(slices.Clip(row))
}

// column appends the head of a column of n bytes.
func (b *Builder) column(oid uint32, n int) {
	b.columns++
	b.buf = binary.BigEndian.AppendUint32(b.buf, oid)
	b.buf = binary.BigEndian.AppendUint32(b.buf, uint32(n))
}

func (b *Builder) null(oid uint32) { b.column(oid, -1) }

// Text appends a text.
func (b *Builder) Text(s string) *Builder {
	b.column(pgtype.TextOID, len(s))
	b.buf = append(b.buf, s...)
	return b
}

// MaybeText appends a text; nothing is NULL.
func (b *Builder) MaybeText(s []byte) *Builder {
	if len(s) == 0 {
		b.null(pgtype.TextOID)
		return b
	}
	b.column(pgtype.TextOID, len(s))
	b.buf = append(b.buf, s...)
	return b
}

// MaybeTexts appends a text[]; nil is NULL.
func (b *Builder) MaybeTexts(list []string) *Builder {
	if list == nil {
		b.null(pgtype.TextArrayOID)
		return b
	}
	b.column(pgtype.TextArrayOID, 0)
	from := len(b.buf)
	dimensions := uint32(1)
	if len(list) == 0 {
		dimensions = 0
	}
	b.buf = binary.BigEndian.AppendUint32(b.buf, dimensions)
	b.buf = binary.BigEndian.AppendUint32(b.buf, 0) // no NULLs
	b.buf = binary.BigEndian.AppendUint32(b.buf, pgtype.TextOID)
	if len(list) > 0 {
		b.buf = binary.BigEndian.AppendUint32(b.buf, uint32(len(list)))
		b.buf = binary.BigEndian.AppendUint32(b.buf, 1) // the first index
	}
	for _, s := range list {
		b.buf = binary.BigEndian.AppendUint32(b.buf, uint32(len(s)))
		b.buf = append(b.buf, s...)
	}
	binary.BigEndian.PutUint32(b.buf[from-4:], uint32(len(b.buf)-from))
	return b
}

// MaybeJSON appends a jsonb of its text; nothing is NULL.
func (b *Builder) MaybeJSON(text []byte) *Builder {
	if len(text) == 0 {
		b.null(pgtype.JSONBOID)
		return b
	}
	b.column(pgtype.JSONBOID, 1+len(text))
	b.buf = append(append(b.buf, 1), text...) // 1: the version of the format
	return b
}

// Bytes appends a bytea.
func (b *Builder) Bytes(v []byte) *Builder {
	b.column(pgtype.ByteaOID, len(v))
	b.buf = append(b.buf, v...)
	return b
}

// Int8 appends a bigint.
func (b *Builder) Int8(v int64) *Builder {
	b.column(pgtype.Int8OID, 8)
	b.buf = binary.BigEndian.AppendUint64(b.buf, uint64(v))
	return b
}

// MaybeInt8 appends a bigint; nil is NULL.
func (b *Builder) MaybeInt8(v *int64) *Builder {
	if v == nil {
		b.null(pgtype.Int8OID)
		return b
	}
	return b.Int8(*v)
}

// Int4 appends an integer.
func (b *Builder) Int4(v int32) *Builder {
	b.column(pgtype.Int4OID, 4)
	b.buf = binary.BigEndian.AppendUint32(b.buf, uint32(v))
	return b
}

// Int2 appends a smallint.
func (b *Builder) Int2(v int16) *Builder {
	b.column(pgtype.Int2OID, 2)
	b.buf = binary.BigEndian.AppendUint16(b.buf, uint16(v))
	return b
}

// epoch is where Postgres counts its microseconds from.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()

// Time appends a timestamptz, to the microsecond.
func (b *Builder) Time(t time.Time) *Builder {
	b.column(pgtype.TimestamptzOID, 8)
	b.buf = binary.BigEndian.AppendUint64(b.buf, uint64(t.UnixMicro()-epoch))
	return b
}

// MaybeTime appends a timestamptz; nil is NULL.
func (b *Builder) MaybeTime(t *time.Time) *Builder {
	if t == nil {
		b.null(pgtype.TimestamptzOID)
		return b
	}
	return b.Time(*t)
}
