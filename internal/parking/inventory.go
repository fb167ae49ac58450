package parking

import (
	"fmt"
	"slices"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// Bounds of an inventory.
const (
	MaxImport     = 10_000 // spots of one import
	maxFeatures   = 32     // of a spot or a request
	maxPermits    = 100
	maxFeature    = 64
	maxCoordinate = 1_000_000_000
	maxWindowSize = 100
	maxBands      = 100
	maxPlate      = 32
)

// Faults says what is wrong with how a facility allocates.
func (r *Rules) Faults() []domain.Fault {
	var f faults
	f.check(slices.Contains([]Allocation{FirstAvailable, Nearest, FillIn, Dynamic}, r.Allocation), "allocationStrategy",
		"must be first_available, nearest, fill_in or dynamic", r.Allocation)
	f.check(r.WindowRule == WindowNoneFree || r.WindowRule == WindowNoneExist, "windowRule", "must be none_free or none_exist", r.WindowRule)
	f.check(len(r.Bands) <= maxBands, "dynamicBands", fmt.Sprintf("must be at most %d", maxBands), len(r.Bands))
	seen := map[int64]bool{}
	for i, b := range r.Bands {
		at := fmt.Sprintf("dynamicBands[%d]", i)
		f.check(b.AboveBP >= 0 && b.AboveBP <= OneBP, at+".aboveBp", "must be 0 to 10000", b.AboveBP)
		f.check(!seen[b.AboveBP], at+".aboveBp", "is there twice", b.AboveBP)
		f.check(slices.Contains([]Allocation{FirstAvailable, Nearest, FillIn}, b.Strategy), at+".strategy",
			"must be first_available, nearest or fill_in", b.Strategy)
		seen[b.AboveBP] = true
	}
	for kind, size := range r.WindowSizes {
		at := "windowSizes." + string(kind)
		f.check(kind == KindCompact || kind == KindRegular, at, "must be a size for regular or compact", nil)
		f.check(size >= 0 && size <= maxWindowSize, at, fmt.Sprintf("must be 0 (no windows) to %d", maxWindowSize), size)
	}
	return f
}

// Faults says what is wrong with a spot by itself.
func (s *Spot) Faults(at string) []domain.Fault {
	f := faults(IDFaults(at+".spotId", s.SpotID))
	f.check(slices.Contains([]SpotKind{KindCompact, KindRegular, KindOversized}, s.Kind), at+".kind",
		"must be compact, regular or oversized", s.Kind)
	for _, n := range []struct {
		name  string
		value int64
	}{{".level", s.Level}, {".row", s.Row}, {".position", s.Position}, {".distanceRank", s.DistanceRank}} {
		f.check(n.value >= -maxCoordinate && n.value <= maxCoordinate, at+n.name, "must be between -1000000000 and 1000000000", n.value)
	}
	f = append(f, FeatureFaults(at+".features", s.Features)...)
	return f
}

// FeatureFaults says what is wrong with a list of features.
func FeatureFaults(at string, features []string) []domain.Fault {
	return wordFaults(at, features, maxFeatures)
}

// PermitFaults says what is wrong with a list of permits.
func PermitFaults(at string, permits []string) []domain.Fault {
	return wordFaults(at, permits, maxPermits)
}

func wordFaults(at string, words []string, most int) []domain.Fault {
	var f faults
	f.check(len(words) <= most, at, fmt.Sprintf("must be at most %d", most), len(words))
	for i, word := range words {
		if len(word) > maxFeature || len(IDFaults("", word)) > 0 {
			f.check(false, fmt.Sprintf("%s[%d]", at, i), fmt.Sprintf("must have 1 to %d of the characters A-Z a-z 0-9 . _ : -", maxFeature), nil)
		}
	}
	return f
}

// SortedSet returns the words in order, each once; nil for none.
func SortedSet(words []string) []string {
	if len(words) == 0 {
		return nil
	}
	sorted := slices.Sorted(slices.Values(words))
	return slices.Compact(sorted)
}

// Vehicle reads a request for a vehicle, with everything wrong with it; at is its
// place in the body.
func (n *NewVehicle) Vehicle(at string) (Vehicle, []domain.Fault) {
	var f faults
	v := Vehicle{
		VehicleID: n.VehicleID, Plate: NormalisePlate(n.Plate), Jurisdiction: NormaliseJurisdiction(n.Jurisdiction),
		Size: n.Size, Type: n.Type, Permits: SortedSet(n.Permits),
	}
	if n.VehicleID != "" {
		f = append(f, IDFaults(at+"vehicleId", n.VehicleID)...)
	}
	f = append(f, TextFaults(at+"plate", n.Plate)...)
	f = append(f, TextFaults(at+"jurisdiction", n.Jurisdiction)...)
	f.check(v.Plate != "" && len([]rune(v.Plate)) <= maxPlate, at+"plate", fmt.Sprintf("must have 1 to %d letters or digits", maxPlate), nil)
	f.check(v.Jurisdiction != "" && len([]rune(v.Jurisdiction)) <= maxPlate, at+"jurisdiction",
		`must say who issued the plate, such as "DE" or "US-CA"`, nil)
	f.check(len(n.Size.Kinds()) > 0, at+"size", "must be small, medium or large", n.Size)
	f.check(slices.Contains([]string{"car", "truck", "van", "motorcycle"}, n.Type), at+"type",
		"must be car, truck, van or motorcycle; a bus is a large truck", n.Type)
	f = append(f, PermitFaults(at+"permits", n.Permits)...)
	return v, f
}

// Place is where a spot is.
type Place struct{ Level, Row, Position int64 }

// Place returns where the spot is.
func (s *Spot) Place() Place { return Place{s.Level, s.Row, s.Position} }

// ImportFaults says what is wrong with an import into a facility that has the spots
// there. A spot that is taken or held keeps its kind and place, so that a window that
// carries a vehicle stays one.
func ImportFaults(there, spots []Spot) []domain.Fault {
	var f faults
	f.check(len(spots) >= 1 && len(spots) <= MaxImport, "spots", fmt.Sprintf("must be 1 to %d", MaxImport), len(spots))
	byID := make(map[string]*Spot, len(there))
	for i := range there {
		byID[there[i].SpotID] = &there[i]
	}
	at := func(i int) string { return fmt.Sprintf("spots[%d]", i) }
	first := make(map[string]int, len(spots))
	places := make(map[Place]string, len(there)+len(spots))
	for i := range spots {
		s := &spots[i]
		f = append(f, s.Faults(at(i))...)
		if j, twice := first[s.SpotID]; twice {
			f.check(false, at(i)+".spotId", "is already used by "+at(j), s.SpotID)
			continue
		}
		first[s.SpotID] = i
		old := byID[s.SpotID]
		moved := old != nil && (old.Kind != s.Kind || old.Place() != s.Place())
		f.check(!moved || old.State == SpotFree, at(i), "is occupied or reserved now; its kind and place may change when it is free", nil)
	}
	for i := range there {
		if _, imported := first[there[i].SpotID]; !imported {
			places[there[i].Place()] = "spot " + there[i].SpotID
		}
	}
	for i := range spots {
		s := &spots[i]
		if first[s.SpotID] != i {
			continue
		}
		if other, taken := places[s.Place()]; taken {
			f.check(false, at(i)+".position", fmt.Sprintf("level %d, row %d, position %d is the place of %s", s.Level, s.Row, s.Position, other), nil)
			continue
		}
		places[s.Place()] = at(i)
	}
	return f
}
