package api

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/parking"
)

// NewFacility is the body that makes a facility.
type NewFacility struct {
	FacilityID         string       `doc:"Default: a new one. It must not be the id of a pool." example:"central" json:"facilityId,omitempty" maxLength:"200" minLength:"1" pattern:"^[A-Za-z0-9._:-]+$"`
	Name               string       `example:"Central garage" json:"name" maxLength:"200" minLength:"1"`
	TimeZone           string       `doc:"IANA name; has to be that of the pricing strategy." example:"Europe/Berlin" json:"timeZone" maxLength:"200"`
	Currency           string       `doc:"ISO 4217; has to be that of the pricing strategy." example:"EUR" json:"currency" pattern:"^[A-Z]{3}$"`
	AllocationStrategy string       `default:"first_available" enum:"first_available,nearest,fill_in,dynamic" json:"allocationStrategy,omitempty"`
	DynamicBands       []Band       `doc:"Of dynamic: the highest band strictly below the occupancy chooses." json:"dynamicBands,omitempty" maxItems:"100"`
	PricingStrategyID  string       `doc:"Its newest version at entry is pinned on the ticket." example:"day" json:"pricingStrategyId" maxLength:"200" minLength:"1" pattern:"^[A-Za-z0-9._:-]+$"`
	WindowSizes        *WindowSizes `doc:"Positions in a row that carry a large vehicle. Default: regular 2, compact 3; a kind left out has no windows." json:"windowSizes,omitempty"`
	WindowRule         string       `default:"none_free" doc:"Windows are used when no oversized spot is free, or only when none exists." enum:"none_free,none_exist" json:"windowRule,omitempty"`
	MaxOvertakes       *int         `doc:"How often somebody who waits may be overtaken by others who fit. Default 16." json:"maxOvertakes,omitempty" maximum:"1000000" minimum:"0"`
	OfferHoldSecs      *int64       `doc:"How long an offered spot is held. Default 120." json:"offerHoldSecs,omitempty" maximum:"86400" minimum:"1"`
	_                  struct{}     `additionalProperties:"false" json:"-"`
}

// Band chooses an allocation above an occupancy.
type Band struct {
	AboveBp  int64  `doc:"Strictly above this occupancy, in basis points." json:"aboveBp" maximum:"10000" minimum:"0"`
	Strategy string `enum:"first_available,nearest,fill_in" json:"strategy"`
}

// WindowSizes is how many spots next to each other carry a large vehicle.
type WindowSizes struct {
	Regular *int64 `json:"regular,omitempty" maximum:"100" minimum:"0"`
	Compact *int64 `json:"compact,omitempty" maximum:"100" minimum:"0"`
}

// FacilityChange is the body of a change; what it does not name stays.
type FacilityChange struct {
	AllocationStrategy *string      `enum:"first_available,nearest,fill_in,dynamic" json:"allocationStrategy,omitempty"`
	DynamicBands       *[]Band      `json:"dynamicBands,omitempty" maxItems:"100"`
	PricingStrategyID  *string      `json:"pricingStrategyId,omitempty" maxLength:"200" minLength:"1" pattern:"^[A-Za-z0-9._:-]+$"`
	WindowSizes        *WindowSizes `json:"windowSizes,omitempty"`
	WindowRule         *string      `enum:"none_free,none_exist" json:"windowRule,omitempty"`
	MaxOvertakes       *int         `json:"maxOvertakes,omitempty" maximum:"1000000" minimum:"0"`
	OfferHoldSecs      *int64       `json:"offerHoldSecs,omitempty" maximum:"86400" minimum:"1"`
	_                  struct{}     `additionalProperties:"false" json:"-"`
}

// Facility is a car park and the counts of its spots.
type Facility struct {
	FacilityID         string      `example:"central" json:"facilityId"`
	Name               string      `example:"Central garage" json:"name"`
	TimeZone           string      `example:"Europe/Berlin" json:"timeZone"`
	Currency           string      `example:"EUR" json:"currency"`
	AllocationStrategy string      `enum:"first_available,nearest,fill_in,dynamic" json:"allocationStrategy"`
	DynamicBands       []Band      `json:"dynamicBands,omitempty"`
	PricingStrategyID  string      `example:"day" json:"pricingStrategyId"`
	WindowSizes        WindowSizes `json:"windowSizes"`
	WindowRule         string      `enum:"none_free,none_exist" json:"windowRule"`
	MaxOvertakes       int         `json:"maxOvertakes"`
	OfferHoldSecs      int64       `json:"offerHoldSecs"`
	Counts             SpotCounts  `json:"counts"`
	OccupancyBp        int64       `doc:"floor(10000 × (occupied + reserved) / inService); 0 with none in service." json:"occupancyBp"`
}

// SpotCounts counts spots. Occupied and reserved are of those in service.
type SpotCounts struct {
	Total        int64 `json:"total"`
	InService    int64 `json:"inService"`
	Occupied     int64 `json:"occupied"`
	Reserved     int64 `json:"reserved"`
	OutOfService int64 `json:"outOfService"`
}

// FacilityPage is a page of facilities.
type FacilityPage struct {
	Items      []Facility `doc:"By id." json:"items" nullable:"false"`
	NextCursor string     `doc:"Continues after this page; absent on the last." json:"nextCursor,omitempty"`
}

type createFacilityInput struct {
	formBody[NewFacility]
}

type facilityInput struct {
	FacilityID string `doc:"The facility." example:"central" path:"facilityId"`
}

type changeFacilityInput struct {
	formBody[FacilityChange]

	FacilityID string `doc:"The facility." example:"central" path:"facilityId"`
}

func (s *server) facilityRoutes() {
	registerForm[NewFacility](s, writing("createFacility", http.MethodPost, "/facilities", tagFacilities, http.StatusCreated,
		"Create a facility", "Without spots. The same id with the same body gives the same answer, with another body `409 exists`."),
		maxSmallBody, `{"facilityId": "central", "name": "Central garage", "timeZone": "Europe/Berlin", "currency": "EUR",
		"pricingStrategyId": "day"}`, s.createFacility)
	registerPlain(s, reading("listFacilities", "/facilities", tagFacilities, "List the facilities", "By id."), s.listFacilities)
	registerPlain(s, reading("getFacility", facilityPath, tagFacilities, "Read a facility", "Its settings and the counts of its spots."), s.getFacility)
	registerForm[FacilityChange](s, writing("changeFacility", http.MethodPatch, facilityPath, tagFacilities, http.StatusOK,
		"Change a facility", "What the body does not name stays. Audited with who did it (`X-Actor`)."),
		maxSmallBody, `{"allocationStrategy": "nearest"}`, s.changeFacility)
}

func (s *server) createFacility(ctx context.Context, in *createFacilityInput) (*out[Facility], error) {
	b := &in.sent
	f, err := s.parking.CreateFacility(ctx, parking.NewFacility{
		FacilityID: parking.FacilityID(b.FacilityID), Name: b.Name, TimeZone: b.TimeZone, Currency: b.Currency,
		Allocation: parking.Allocation(b.AllocationStrategy), Bands: bandsOf(b.DynamicBands), StrategyID: b.PricingStrategyID,
		WindowSizes: b.WindowSizes.sizes(), WindowRule: parking.WindowRule(b.WindowRule),
		MaxOvertakes: b.MaxOvertakes, OfferHold: secondsOf(b.OfferHoldSecs),
	}, requestOf(ctx).actor)
	return answered(facilityJSON(&f), err)
}

func (s *server) listFacilities(ctx context.Context, in *struct{ Paging }) (*out[FacilityPage], error) {
	after, err := in.place(1)
	if err != nil {
		return nil, err
	}
	list, err := s.parking.Facilities(ctx)
	if err != nil {
		return nil, err
	}
	answer := FacilityPage{Items: []Facility{}}
	for i := range list {
		if after != nil && string(list[i].FacilityID) <= after[0] {
			continue
		}
		if len(answer.Items) == in.Limit {
			answer.NextCursor = opaque(answer.Items[in.Limit-1].FacilityID)
			break
		}
		answer.Items = append(answer.Items, facilityJSON(&list[i]))
	}
	return answered(answer, nil)
}

func (s *server) getFacility(ctx context.Context, in *facilityInput) (*out[Facility], error) {
	f, err := s.parking.Facility(ctx, parking.FacilityID(in.FacilityID))
	return answered(facilityJSON(&f), err)
}

func (s *server) changeFacility(ctx context.Context, in *changeFacilityInput) (*out[Facility], error) {
	b := &in.sent
	if *b == (FacilityChange{}) {
		return nil, invalid([]domain.Fault{{Location: "body", Message: "changes nothing: name what is to change"}})
	}
	change := parking.FacilityChange{
		Allocation: (*parking.Allocation)(b.AllocationStrategy), StrategyID: b.PricingStrategyID, WindowSizes: b.WindowSizes.sizes(),
		WindowRule: (*parking.WindowRule)(b.WindowRule), MaxOvertakes: b.MaxOvertakes, OfferHold: secondsOf(b.OfferHoldSecs),
		Actor: requestOf(ctx).actor,
	}
	if b.DynamicBands != nil {
		bands := bandsOf(*b.DynamicBands)
		change.Bands = &bands
	}
	f, err := s.parking.ChangeFacility(ctx, parking.FacilityID(in.FacilityID), change)
	return answered(facilityJSON(&f), err)
}

func bandsOf(bands []Band) []parking.Band {
	list := slices.Grow([]parking.Band(nil), len(bands)) // nil for none
	for _, b := range bands {
		list = append(list, parking.Band{AboveBP: b.AboveBp, Strategy: parking.Allocation(b.Strategy)})
	}
	return list
}

// sizes is nil for sizes that are not given, empty for none at all.
func (w *WindowSizes) sizes() map[parking.SpotKind]int64 {
	if w == nil {
		return nil
	}
	sizes := map[parking.SpotKind]int64{}
	if w.Regular != nil {
		sizes[parking.KindRegular] = *w.Regular
	}
	if w.Compact != nil {
		sizes[parking.KindCompact] = *w.Compact
	}
	return sizes
}

func secondsOf(n *int64) *time.Duration {
	if n == nil {
		return nil
	}
	d := time.Duration(*n) * time.Second
	return &d
}

func facilityJSON(f *parking.Facility) Facility {
	view := Facility{
		FacilityID: string(f.FacilityID), Name: f.Name, TimeZone: f.TimeZone, Currency: f.Currency,
		AllocationStrategy: string(f.Rules.Allocation), PricingStrategyID: f.StrategyID,
		WindowRule: string(f.Rules.WindowRule), MaxOvertakes: f.MaxOvertakes, OfferHoldSecs: int64(f.OfferHold / time.Second),
		Counts: countsJSON(f.Counts),
	}
	for _, b := range f.Rules.Bands {
		view.DynamicBands = append(view.DynamicBands, Band{AboveBp: b.AboveBP, Strategy: string(b.Strategy)})
	}
	if size, ok := f.Rules.WindowSizes[parking.KindRegular]; ok {
		view.WindowSizes.Regular = &size
	}
	if size, ok := f.Rules.WindowSizes[parking.KindCompact]; ok {
		view.WindowSizes.Compact = &size
	}
	if bp := f.Counts.OccupancyBP(); bp != nil {
		view.OccupancyBp = *bp
	}
	return view
}

func countsJSON(c parking.Counts) SpotCounts {
	return SpotCounts{Total: c.Total, InService: c.InService, Occupied: c.Occupied, Reserved: c.Reserved, OutOfService: c.OutOfService()}
}
