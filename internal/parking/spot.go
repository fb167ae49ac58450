package parking

import "slices"

// SpotKind is the size class of a spot.
type SpotKind string

// The kinds of spot, smallest first.
const (
	KindCompact   SpotKind = "compact"
	KindRegular   SpotKind = "regular"
	KindOversized SpotKind = "oversized"
)

// VehicleSize is the size class of a vehicle.
type VehicleSize string

// The sizes of vehicle, smallest first.
const (
	SizeSmall  VehicleSize = "small"
	SizeMedium VehicleSize = "medium"
	SizeLarge  VehicleSize = "large"
)

// SpotState is what stands or may come on a spot.
type SpotState string

// The states of a spot.
const (
	SpotFree     SpotState = "free"
	SpotOccupied SpotState = "occupied"
	SpotReserved SpotState = "reserved"
)

// Spot is one place for a vehicle. Level, Row and Position are its location;
// positions next to each other in a row differ by one.
type Spot struct {
	SpotID       string
	Kind         SpotKind
	Level        int64
	Row          int64
	Position     int64
	Features     []string // sorted
	DistanceRank int64
	State        SpotState
	OutOfService bool
}

// Has reports whether the spot has all the features.
func (s *Spot) Has(features []string) bool {
	for _, f := range features {
		if !slices.Contains(s.Features, f) {
			return false
		}
	}
	return true
}

// usable: a vehicle may be put there now.
func (s *Spot) usable() bool { return s.State == SpotFree && !s.OutOfService }

// Kinds returns the kinds of a single spot that a vehicle of the size fits,
// smallest first.
func (size VehicleSize) Kinds() []SpotKind {
	switch size {
	case SizeSmall:
		return []SpotKind{KindCompact, KindRegular, KindOversized}
	case SizeMedium:
		return []SpotKind{KindRegular, KindOversized}
	case SizeLarge:
		return []SpotKind{KindOversized}
	}
	return nil
}

// NeedsWindow reports whether a vehicle of the size may take a window of several
// smaller spots where there is no oversized one.
func (size VehicleSize) NeedsWindow() bool { return size == SizeLarge }
