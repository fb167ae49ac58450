package composite

import (
	"database/sql/driver"
	"fmt"

	"github.com/jackc/pgx/v5/pgtype"
)

// Register makes a composite type known to a connection, and the type of its arrays, by their OIDs in
// that database: parameters of it are a Row and a []Row. They are not read back.
func Register(m *pgtype.Map, name string, oid, arrayOID uint32) {
	row := &pgtype.Type{Name: name, OID: oid, Codec: codec{}}
	m.RegisterType(row)
	m.RegisterType(&pgtype.Type{Name: "_" + name, OID: arrayOID, Codec: &pgtype.ArrayCodec{ElementType: row}})
}

// codec implements pgtype.Codec for what is sent and never read.
type codec struct{}

func (codec) FormatSupported(format int16) bool { return format == pgtype.BinaryFormatCode }
func (codec) PreferredFormat() int16            { return pgtype.BinaryFormatCode }

func (codec) PlanEncode(_ *pgtype.Map, _ uint32, format int16, value any) pgtype.EncodePlan {
	if _, ok := value.(Row); ok && format == pgtype.BinaryFormatCode {
		return encode{}
	}
	return nil
}

func (codec) PlanScan(*pgtype.Map, uint32, int16, any) pgtype.ScanPlan { return nil }

func (codec) DecodeDatabaseSQLValue(_ *pgtype.Map, oid uint32, _ int16, _ []byte) (driver.Value, error) {
	return nil, unread(oid)
}

func (codec) DecodeValue(_ *pgtype.Map, oid uint32, _ int16, _ []byte) (any, error) {
	return nil, unread(oid)
}

func unread(oid uint32) error {
	return fmt.Errorf("type %d is only sent: name the columns to read them", oid)
}

type encode struct{}

func (encode) Encode(value any, buf []byte) ([]byte, error) {
	row, ok := value.(Row)
	if !ok {
		return nil, fmt.Errorf("%T is no row", value)
	}
	return append(buf, row...), nil
}
