package api

import (
	"context"
	"net/http"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/parking"
)

// NewVehicle is a vehicle to be known. Nothing of it but permits ever changes.
type NewVehicle struct {
	VehicleID    string   `doc:"Default: a new one." example:"v-1" json:"vehicleId,omitempty" maxLength:"200" minLength:"1" pattern:"^[A-Za-z0-9._:-]+$"`
	Plate        string   `doc:"Kept in upper case, letters and digits only." example:"B-AB 1234" json:"plate" maxLength:"200" minLength:"1"`
	Jurisdiction string   `doc:"Who issued the plate." example:"DE" json:"jurisdiction" maxLength:"200" minLength:"1"`
	Size         string   `enum:"small,medium,large" json:"size"`
	Type         string   `doc:"A bus is a large truck." enum:"car,truck,van,motorcycle" json:"type"`
	Permits      []string `json:"permits,omitempty" maxItems:"100"`
	_            struct{} `additionalProperties:"false" json:"-"`
}

func (n *NewVehicle) request() parking.NewVehicle {
	return parking.NewVehicle{
		VehicleID: n.VehicleID, Plate: n.Plate, Jurisdiction: n.Jurisdiction, Size: parking.VehicleSize(n.Size), Type: n.Type, Permits: n.Permits,
	}
}

// Vehicle is a vehicle that is known.
type Vehicle struct {
	VehicleID    string   `example:"v-1" json:"vehicleId"`
	Plate        string   `example:"BAB1234" json:"plate"`
	Jurisdiction string   `example:"DE" json:"jurisdiction"`
	Size         string   `enum:"small,medium,large" json:"size"`
	Type         string   `enum:"car,truck,van,motorcycle" json:"type"`
	Permits      []string `json:"permits" nullable:"false"`
}

// VehiclePage is a page of vehicles.
type VehiclePage struct {
	Items      []Vehicle `json:"items" nullable:"false"`
	NextCursor string    `json:"nextCursor,omitempty"`
}

// PermitList is the body that sets a vehicle's permits.
type PermitList struct {
	Permits []string `json:"permits" maxItems:"100" nullable:"false"`
	_       struct{} `additionalProperties:"false" json:"-"`
}

type createVehicleInput struct {
	formBody[NewVehicle]
}

type vehicleInput struct {
	VehicleID string `doc:"The vehicle." example:"v-1" path:"vehicleId"`
}

type findVehicleInput struct {
	Paging

	Plate        string `doc:"In any spelling." example:"B-AB 1234" query:"plate" required:"true"`
	Jurisdiction string `doc:"Who issued the plate." example:"DE" query:"jurisdiction" required:"true"`
}

type permitsInput struct {
	formBody[PermitList]

	VehicleID string `doc:"The vehicle." example:"v-1" path:"vehicleId"`
}

func (s *server) vehicleRoutes() {
	registerForm[NewVehicle](s, writing("createVehicle", http.MethodPost, "/vehicles", tagVehicles, http.StatusCreated,
		"Create a vehicle", "The same id with the same body gives the same answer. `409 plate_exists`: another vehicle has the plate."),
		maxSmallBody, `{"vehicleId": "v-1", "plate": "B-AB 1234", "jurisdiction": "DE", "size": "medium", "type": "car"}`, s.createVehicle)
	registerPlain(s, reading("getVehicle", "/vehicles/{vehicleId}", tagVehicles, "Read a vehicle", "Its identity and permits."), s.getVehicle)
	registerPlain(s, reading("findVehicles", "/vehicles", tagVehicles, "Find a vehicle by its plate",
		"At most one: a plate is unique in its jurisdiction. Spelling does not count."), s.findVehicles)
	registerForm[PermitList](s, writing("setPermits", http.MethodPut, "/vehicles/{vehicleId}/permits", tagVehicles, http.StatusOK,
		"Set a vehicle's permits", "Replaces them all."), maxSmallBody, `{"permits": ["resident"]}`, s.setPermits)
}

func (s *server) createVehicle(ctx context.Context, in *createVehicleInput) (*out[Vehicle], error) {
	v, err := s.parking.CreateVehicle(ctx, in.sent.request(), requestOf(ctx).actor)
	return answered(vehicleJSON(&v), err)
}

func (s *server) getVehicle(ctx context.Context, in *vehicleInput) (*out[Vehicle], error) {
	v, err := s.parking.Vehicle(ctx, in.VehicleID)
	return answered(vehicleJSON(&v), err)
}

func (s *server) findVehicles(ctx context.Context, in *findVehicleInput) (*out[VehiclePage], error) {
	v, err := s.parking.VehicleByPlate(ctx, in.Plate, in.Jurisdiction)
	switch {
	case domain.CodeOf(err) == domain.CodeUnknownVehicle:
		return answered(VehiclePage{Items: []Vehicle{}}, nil)
	case err != nil:
		return nil, err
	}
	return answered(VehiclePage{Items: []Vehicle{vehicleJSON(&v)}}, nil)
}

func (s *server) setPermits(ctx context.Context, in *permitsInput) (*out[Vehicle], error) {
	v, err := s.parking.SetPermits(ctx, in.VehicleID, in.sent.Permits, requestOf(ctx).actor)
	return answered(vehicleJSON(&v), err)
}

func vehicleJSON(v *parking.Vehicle) Vehicle {
	return Vehicle{
		VehicleID: v.VehicleID, Plate: v.Plate, Jurisdiction: v.Jurisdiction, Size: string(v.Size), Type: v.Type,
		Permits: append([]string{}, v.Permits...),
	}
}
