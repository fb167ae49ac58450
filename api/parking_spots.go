package api

import (
	"context"
	"net/http"
	"slices"
	"strconv"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
)

// Spot is a spot with what stands on it.
type Spot struct {
	SpotID         string   `example:"A-017" json:"spotId"`
	Kind           string   `enum:"compact,regular,oversized" json:"kind"`
	Level          int64    `json:"level"`
	Row            int64    `json:"row"`
	Position       int64    `doc:"Spots next to each other in a row differ by one." json:"position"`
	Features       []string `example:"[\"ev\",\"covered\"]" json:"features" nullable:"false"`
	DistanceRank   int64    `doc:"Of the nearest allocation: lower is nearer." json:"distanceRank"`
	State          string   `enum:"free,occupied,reserved" json:"state"`
	OutOfService   bool     `json:"outOfService"`
	CurrentVehicle string   `doc:"The vehicle that stands there." json:"currentVehicle,omitempty"`
	TicketID       string   `json:"ticketId,omitempty"`
}

// SpotPage is a page of spots.
type SpotPage struct {
	Items      []Spot `doc:"By id." json:"items" nullable:"false"`
	NextCursor string `doc:"Continues after this page; absent on the last." json:"nextCursor,omitempty"`
}

// SpotChange is the body of a change of a spot; what it does not name stays.
type SpotChange struct {
	OutOfService *bool     `doc:"Who stands there stays; nobody else is sent there." json:"outOfService,omitempty"`
	Features     *[]string `json:"features,omitempty" maxItems:"32"`
	_            struct{}  `additionalProperties:"false" json:"-"`
}

type listSpotsInput struct {
	Paging

	FacilityID string `doc:"The facility." example:"central" path:"facilityId"`
	Kind       string `doc:"Only spots of this kind." enum:"compact,regular,oversized" query:"kind"`
	State      string `doc:"Only spots in this state." enum:"free,occupied,reserved" query:"state"`
	Level      string `doc:"Only spots on this level." example:"1" query:"level"`
}

type changeSpotInput struct {
	formBody[SpotChange]

	FacilityID string `doc:"The facility." example:"central" path:"facilityId"`
	SpotID     string `doc:"The spot." example:"A-017" path:"spotId"`
}

func (s *server) spotRoutes() {
	s.importRoute()
	registerPlain(s, reading("listSpots", facilityPath+"/spots", tagFacilities, "List spots", "By id, with what stands on them."), s.listSpots)
	registerForm[SpotChange](s, writing("changeSpot", http.MethodPatch, facilityPath+"/spots/{spotId}", tagFacilities, http.StatusOK,
		"Change a spot", "Takes it out of service or puts it back, or changes its features."),
		maxSmallBody, `{"outOfService": true}`, s.changeSpot)
}

func (s *server) listSpots(ctx context.Context, in *listSpotsInput) (*out[SpotPage], error) {
	filter := store.SpotFilter{
		Facility: parking.FacilityID(in.FacilityID), Kind: parking.SpotKind(in.Kind), State: parking.SpotState(in.State), Limit: in.Limit + 1,
	}
	after, err := in.place(1)
	if err != nil {
		return nil, err
	}
	if after != nil {
		filter.After = after[0]
	}
	if in.Level != "" {
		level, err := strconv.ParseInt(in.Level, 10, 64)
		if err != nil {
			return nil, invalid([]domain.Fault{{Location: "query.level", Message: "has to be a whole number", Value: in.Level}})
		}
		filter.Level = &level
	}
	spots, err := s.parking.Spots(ctx, filter)
	if err != nil {
		return nil, err
	}
	answer := SpotPage{Items: []Spot{}}
	if len(spots) > in.Limit {
		spots = spots[:in.Limit]
		answer.NextCursor = opaque(spots[in.Limit-1].SpotID)
	}
	for i := range spots {
		answer.Items = append(answer.Items, spotJSON(&spots[i]))
	}
	return answered(answer, nil)
}

func (s *server) changeSpot(ctx context.Context, in *changeSpotInput) (*out[Spot], error) {
	b := &in.sent
	if *b == (SpotChange{}) {
		return nil, invalid([]domain.Fault{{Location: "body", Message: "changes nothing: give outOfService or features"}})
	}
	spot, err := s.parking.ChangeSpot(ctx, parking.FacilityID(in.FacilityID), in.SpotID,
		parking.SpotChange{OutOfService: b.OutOfService, Features: b.Features, Actor: requestOf(ctx).actor})
	return answered(spotJSON(&spot), err)
}

func spotJSON(p *parking.PlacedSpot) Spot {
	return Spot{
		SpotID: p.SpotID, Kind: string(p.Kind), Level: p.Level, Row: p.Row, Position: p.Position,
		Features: append([]string{}, slices.Clone(p.Features)...), DistanceRank: p.DistanceRank, State: string(p.State),
		OutOfService: p.OutOfService, CurrentVehicle: p.VehicleID, TicketID: p.TicketID,
	}
}
