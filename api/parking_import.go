package api

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/parking"
)

const mediaCSV = "text/csv"

// NewSpot is a spot of an import. Its state is derived and does not count.
type NewSpot struct {
	SpotID         string   `example:"A-017" json:"spotId" maxLength:"200" minLength:"1" pattern:"^[A-Za-z0-9._:-]+$"`
	Kind           string   `enum:"compact,regular,oversized" json:"kind"`
	Level          int64    `json:"level" maximum:"1000000000" minimum:"-1000000000"`
	Row            int64    `json:"row" maximum:"1000000000" minimum:"-1000000000"`
	Position       int64    `json:"position" maximum:"1000000000" minimum:"-1000000000"`
	Features       []string `json:"features,omitempty" maxItems:"32"`
	DistanceRank   int64    `json:"distanceRank,omitempty" maximum:"1000000000" minimum:"-1000000000"`
	OutOfService   bool     `json:"outOfService,omitempty"`
	State          string   `doc:"Taken so that a list of spots can be imported again; it does not count." enum:"free,occupied,reserved" json:"state,omitempty"`
	CurrentVehicle string   `doc:"Does not count either." json:"currentVehicle,omitempty"`
	TicketID       string   `doc:"Does not count either." json:"ticketId,omitempty"`
	_              struct{} `additionalProperties:"false" json:"-"`
}

// SpotImport is the body of an import.
type SpotImport struct {
	Spots []NewSpot `json:"spots" maxItems:"10000" minItems:"1" nullable:"false"`
	_     struct{}  `additionalProperties:"false" json:"-"`
}

// Imported counts what an import did.
type Imported struct {
	Created int `json:"created"`
	Updated int `json:"updated"`
}

type importInput struct {
	FacilityID string `doc:"The facility." example:"central" path:"facilityId"`

	spots  []parking.Spot
	faults []domain.Fault // of the form
	lines  []int          // of CSV: the line of each spot
}

// Resolve reads the body: JSON, or CSV with the same names in its first line.
func (in *importInput) Resolve(ctx huma.Context) []error {
	f, _ := ctx.Operation().Metadata[formKey].(*form)
	if kind, _, err := mime.ParseMediaType(ctx.Header("Content-Type")); err == nil && kind == mediaCSV {
		raw, refused := readRaw(ctx, f.limit)
		if refused == nil {
			refused = in.readCSV(raw)
		}
		if refused != nil {
			return []error{refused}
		}
		return nil
	}
	raw, refused := readBody(ctx, f.limit)
	if refused != nil {
		return []error{refused}
	}
	var body SpotImport
	in.faults = f.decode(raw, &body)
	if len(in.faults) > 0 {
		// What is wrong between the rows that can be read is told as well.
		var rough struct {
			Spots []json.RawMessage `json:"spots"`
		}
		if json.Unmarshal(raw, &rough) != nil || len(rough.Spots) > parking.MaxImport {
			return nil
		}
		body.Spots = make([]NewSpot, len(rough.Spots))
		for i := range rough.Spots {
			_ = json.Unmarshal(rough.Spots[i], &body.Spots[i]) // its faults are listed already
		}
	}
	for i := range body.Spots {
		in.spots = append(in.spots, spotOf(&body.Spots[i]))
	}
	return nil
}

func spotOf(n *NewSpot) parking.Spot {
	return parking.Spot{
		SpotID: n.SpotID, Kind: parking.SpotKind(n.Kind), Level: n.Level, Row: n.Row, Position: n.Position,
		Features: parking.SortedSet(n.Features), DistanceRank: n.DistanceRank, State: parking.SpotFree, OutOfService: n.OutOfService,
	}
}

// readRaw reads a body of at most limit bytes, whatever it is, as UTF-8.
func readRaw(ctx huma.Context, limit int64) ([]byte, *domain.Error) {
	_ = ctx.SetReadDeadline(time.Now().Add(bodyTimeout))
	defer func() { _ = ctx.SetReadDeadline(time.Time{}) }()
	reader := ctx.BodyReader()
	if reader == nil {
		reader = strings.NewReader("")
	}
	raw, err := io.ReadAll(io.LimitReader(reader, limit+1))
	switch {
	case int64(len(raw)) > limit:
		_, _ = io.CopyN(io.Discard, reader, drainBytes)
		return nil, domain.Errorf(domain.CodeTooLarge, "The body has more than the %d bytes that are taken here.", limit)
	case err != nil:
		return nil, domain.Errorf(domain.CodeMalformed, "The body ended early: %v.", err)
	case !utf8.Valid(raw):
		return nil, domain.Errorf(domain.CodeMalformed, "The body is not UTF-8.")
	}
	return bytes.TrimPrefix(raw, []byte("\uFEFF")), nil
}

// csvColumns are the names of the first line, and whether they have to be there.
func csvColumns() map[string]bool {
	return map[string]bool{
		"spotId": true, "kind": true, "level": true, "row": true, "position": true, "features": false,
		"distanceRank": false, "outOfService": false, "state": false, "currentVehicle": false, "ticketId": false,
	}
}

// readCSV reads the spots of a CSV file and every fault in it. Places are lines of
// the file, its first line being 1.
func (in *importInput) readCSV(raw []byte) *domain.Error {
	reader := csv.NewReader(bytes.NewReader(raw))
	reader.FieldsPerRecord = -1
	header, err := reader.Read()
	if errors.Is(err, io.EOF) {
		return domain.Errorf(domain.CodeMalformed, "The body is empty: its first line names the columns.")
	}
	if err != nil {
		return domain.Errorf(domain.CodeMalformed, "The body is not CSV: %v.", err)
	}
	columns := map[string]int{}
	for i, name := range header {
		name = strings.TrimSpace(name)
		_, known := csvColumns()[name]
		_, again := columns[name]
		switch {
		case !known:
			in.fault(1, name, "is not a column of spots", nil)
		case again:
			in.fault(1, name, "occurs more than once", nil)
		}
		columns[name] = i
	}
	for name, required := range csvColumns() {
		if _, there := columns[name]; required && !there {
			in.fault(1, name, "is required", nil)
		}
	}
	slices.SortFunc(in.faults, func(a, b domain.Fault) int { return strings.Compare(a.Location, b.Location) })
	if len(in.faults) > 0 {
		return invalid(in.faults) // nothing can be said about rows whose columns are unknown
	}
	for {
		record, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return domain.Errorf(domain.CodeMalformed, "The body is not CSV: %v.", err)
		}
		line, _ := reader.FieldPos(0)
		if len(in.spots) == parking.MaxImport {
			return invalid([]domain.Fault{{Location: "body", Message: fmt.Sprintf("must be at most %d spots", parking.MaxImport)}})
		}
		if len(record) != len(header) {
			in.faults = append(in.faults, domain.Fault{
				Location: fmt.Sprintf("body.lines[%d]", line), Message: fmt.Sprintf("has %d cells, the first line has %d", len(record), len(header)),
			})
		}
		in.readRow(line, func(name string) string {
			if i, there := columns[name]; there && i < len(record) {
				return strings.TrimSpace(record[i])
			}
			return ""
		})
	}
}

func (in *importInput) fault(line int, column, message string, value any) {
	in.faults = append(in.faults, domain.Fault{Location: fmt.Sprintf("body.lines[%d].%s", line, column), Message: message, Value: value})
}

// readRow reads one spot; cell returns the text of a column.
func (in *importInput) readRow(line int, cell func(name string) string) {
	number := func(name string, required bool) int64 {
		text := cell(name)
		if text == "" && !required {
			return 0
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			in.fault(line, name, "has to be a whole number", text)
		}
		return n
	}
	spot := parking.Spot{
		SpotID: cell("spotId"), Kind: parking.SpotKind(cell("kind")), Level: number("level", true), Row: number("row", true),
		Position: number("position", true), DistanceRank: number("distanceRank", false), State: parking.SpotFree,
	}
	var features []string
	for feature := range strings.SplitSeq(cell("features"), ";") {
		if feature = strings.TrimSpace(feature); feature != "" {
			features = append(features, feature)
		}
	}
	spot.Features = parking.SortedSet(features)
	switch text := cell("outOfService"); text {
	case "true":
		spot.OutOfService = true
	case "", "false":
	default:
		in.fault(line, "outOfService", "has to be true or false", text)
	}
	in.spots, in.lines = append(in.spots, spot), append(in.lines, line)
}

func (s *server) importRoute() {
	op := writing("importSpots", http.MethodPost, facilityPath+"/spots/import", tagFacilities, http.StatusOK, "Import spots",
		"Creates spots or changes those that are there, all or none, up to 10,000. Also as `text/csv`: the first line has the same names, "+
			"features are separated by `;`. `422` lists every fault with its place: `body.spots[17].kind`, of CSV `body.lines[19].kind` by the "+
			"line of the file. A spot that is taken or reserved keeps its kind and place.")
	op.Metadata = map[string]any{formKey: newForm[SpotImport](maxImportBody)}
	register(s, op, parked(s, s.importSpots))
	documentBody[SpotImport](s.api, op, `{"spots": [{"spotId": "A-017", "kind": "regular", "level": 1, "row": 1, "position": 17, "features": ["ev"]}]}`)
	s.api.OpenAPI().Paths[op.Path].Post.RequestBody.Content[mediaCSV] = &huma.MediaType{
		Schema:  s.api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[string](), true, ""),
		Example: "spotId,kind,level,row,position,features\nA-017,regular,1,1,17,ev;covered\n",
	}
}

// spotPlace is the place of a spot in an import.
var spotPlace = regexp.MustCompile(`^(?:body\.)?spots\[(\d+)\]`) //nolint:gochecknoglobals // a constant

func (s *server) importSpots(ctx context.Context, in *importInput) (*out[Imported], error) {
	if len(in.faults) > 0 {
		for _, fault := range parking.ImportFaults(nil, in.spots) {
			fault.Location = "body." + fault.Location
			fault = in.place(fault)
			if !slices.ContainsFunc(in.faults, func(f domain.Fault) bool { return strings.HasPrefix(fault.Location, f.Location) }) {
				in.faults = append(in.faults, fault)
			}
		}
		return nil, invalid(in.faults)
	}
	done, err := s.parking.ImportSpots(ctx, parking.FacilityID(in.FacilityID), in.spots, requestOf(ctx).actor)
	if refused := (*domain.Error)(nil); in.lines != nil && errors.As(err, &refused) {
		told := *refused
		told.Faults = nil
		for _, fault := range refused.Faults {
			told.Faults = append(told.Faults, in.place(fault))
		}
		if told.Code == domain.CodeInvalid {
			return nil, invalid(told.Faults)
		}
		return nil, &told
	}
	return answered(Imported(done), err)
}

// place says where in a CSV file a fault is.
func (in *importInput) place(fault domain.Fault) domain.Fault {
	if in.lines == nil {
		return fault
	}
	told := func(text string) string {
		m := spotPlace.FindStringSubmatch(text)
		if m == nil {
			return text
		}
		i, err := strconv.Atoi(m[1])
		if err != nil || i >= len(in.lines) {
			return text
		}
		return fmt.Sprintf("body.lines[%d]%s", in.lines[i], text[len(m[0]):])
	}
	fault.Location = told(fault.Location)
	return fault
}
