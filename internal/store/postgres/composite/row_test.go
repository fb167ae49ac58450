package composite_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/dbtest"
	"github.com/parkinglot/parkinglot/internal/store/postgres/composite"
)

// values is a row of the type that the tests send.
type values struct {
	Text  string
	Maybe *string
	Texts []string
	JSON  []byte
	Bytes []byte
	Large int64
	Count *int64
	Int   int32
	Small int16
	At    time.Time
	Due   *time.Time
}

func (v *values) row(b *composite.Builder) composite.Row {
	var maybe []byte
	if v.Maybe != nil {
		maybe = []byte(*v.Maybe)
	}
	return b.Begin().Text(v.Text).MaybeText(maybe).MaybeTexts(v.Texts).MaybeJSON(v.JSON).Bytes(v.Bytes).
		Int8(v.Large).MaybeInt8(v.Count).Int4(v.Int).Int2(v.Small).Time(v.At).MaybeTime(v.Due).End()
}

func connect(t *testing.T) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dbtest.Postgres(t).URL)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	_, err = conn.Exec(t.Context(), `CREATE TYPE pg_temp.sent_row AS (a text, b text, c text[], d jsonb, e bytea, f bigint, f2 bigint, g integer, h smallint, i timestamptz, j timestamptz)`)
	require.NoError(t, err)
	var oid, array uint32
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT oid, typarray FROM pg_type WHERE typname = 'sent_row' AND typnamespace = pg_my_temp_schema()").Scan(&oid, &array))
	composite.Register(conn.TypeMap(), "sent_row", oid, array)
	return conn
}

// What is sent is what Postgres then has, whatever is in it and however much it is.
func TestRowsArriveAsTheyWereBuilt(t *testing.T) {
	t.Parallel()
	conn := connect(t)
	count := int64(7)
	odd, due := `",(){}\'`, time.Date(1969, 12, 31, 23, 59, 59, 999_999_000, time.UTC)
	sent := []values{
		{Bytes: []byte{}, At: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)},
		{
			Text: "ÿ🚗" + odd, Maybe: &odd, Texts: []string{"", odd, "NULL"}, JSON: []byte(`{"a": [1, null]}`), Bytes: []byte{0, 255},
			Large: -1 << 63, Count: &count, Int: -1 << 31, Small: -1 << 15, At: time.Date(2026, 11, 27, 1, 2, 3, 4000, time.UTC), Due: &due,
		},
		{Texts: []string{}, Bytes: []byte{}, Large: 1<<63 - 1, Int: 1<<31 - 1, Small: 1<<15 - 1, At: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)},
	}
	for range 100 { // longer than any room that is taken at once
		sent = append(sent, values{Text: strings.Repeat("long", 1000), Bytes: []byte{1}, At: due})
	}
	var b composite.Builder
	rows := make([]composite.Row, len(sent))
	for i := range sent {
		rows[i] = sent[i].row(&b)
	}
	answer, err := conn.Query(t.Context(), "SELECT r.* FROM unnest($1::pg_temp.sent_row[]) AS r", rows)
	require.NoError(t, err)
	got, err := pgx.CollectRows(answer, pgx.RowToStructByPos[values])
	require.NoError(t, err)
	require.Len(t, got, len(sent))
	for i := range got {
		got[i].At = got[i].At.UTC()
		if got[i].Due != nil {
			*got[i].Due = got[i].Due.UTC()
		}
	}
	require.Equal(t, sent, got)
}

// A row that is not of the type, or no text, is refused by the server, and nothing else happens.
func TestARowOfAnotherTypeIsRefused(t *testing.T) {
	t.Parallel()
	conn := connect(t)
	var b composite.Builder
	for name, row := range map[string]composite.Row{
		"too few columns":   b.Begin().Text("a").End(),
		"another type":      b.Begin().Int8(1).MaybeText(nil).MaybeTexts(nil).MaybeJSON(nil).Bytes(nil).Int8(1).MaybeInt8(nil).Int4(1).Int2(1).Time(time.Now()).MaybeTime(nil).End(),
		"NUL in a text":     (&values{Text: "\x00"}).row(&b),
		"no UTF-8":          (&values{Text: "\xff"}).row(&b),
		"no JSON":           (&values{JSON: []byte("{")}).row(&b),
		"cut in the middle": (&values{Text: "abc"}).row(&b)[:9],
	} {
		_, err := conn.Exec(t.Context(), "SELECT count(*) FROM unnest($1::pg_temp.sent_row[])", []composite.Row{row})
		require.Error(t, err, name)
	}
	_, err := conn.Exec(t.Context(), "SELECT count(*) FROM unnest($1::pg_temp.sent_row[])", []composite.Row{(&values{}).row(&b)})
	require.NoError(t, err)
}
