package parking

import (
	"cmp"
	"slices"
)

// Allocation is the strategy of allocation: which of several fitting spots is given.
type Allocation string

// The allocation strategies.
const (
	FirstAvailable Allocation = "first_available" // by level, row, position
	Nearest        Allocation = "nearest"         // by distance rank
	FillIn         Allocation = "fill_in"         // levels already open first, then by level, row, position
	Dynamic        Allocation = "dynamic"         // occupancy bands choose one of the others
)

// WindowRule says when a large vehicle may take a window.
type WindowRule string

// The window rules.
const (
	WindowNoneFree  WindowRule = "none_free"  // no oversized spot with the features is free and in service
	WindowNoneExist WindowRule = "none_exist" // no oversized spot is in service at all
)

// Band chooses an allocation for occupancies strictly above AboveBP.
type Band struct {
	AboveBP  int64
	Strategy Allocation
}

// Rules is how a facility allocates.
type Rules struct {
	Allocation  Allocation
	Bands       []Band             // of Dynamic
	WindowSizes map[SpotKind]int64 // spots in a row that carry a large vehicle; absent: none do
	WindowRule  WindowRule
}

// Demand is what a vehicle needs.
type Demand struct {
	Size     VehicleSize
	Features []string
	// Kept are ids of spots that are kept for others.
	Kept map[string]bool
}

// CouldUse reports whether the spot, were it free, could serve the demand: by itself
// or, where windows are allowed, as part of one.
func (d *Demand) CouldUse(r *Rules, windows bool, s *Spot) bool {
	if !d.takes(s) {
		return false
	}
	return slices.Contains(d.Size.Kinds(), s.Kind) || windows && d.Size.NeedsWindow() && r.WindowSizes[s.Kind] > 0
}

func (d *Demand) takes(s *Spot) bool { return s.Has(d.Features) && !d.Kept[s.SpotID] }

// Occupancy is floor(10000 × (occupied + reserved) / in service) over the spots in
// service, and whether there are any.
func Occupancy(spots []Spot) (bp int64, ok bool) {
	var taken, inService int64
	for i := range spots {
		if spots[i].OutOfService {
			continue
		}
		inService++
		if spots[i].State != SpotFree {
			taken++
		}
	}
	if inService == 0 {
		return 0, false
	}
	return OneBP * taken / inService, true
}

// Effective returns the allocation in force at an occupancy: for Dynamic that of the
// highest band strictly below it, FirstAvailable when there is none.
func (r *Rules) Effective(occupancyBP int64) Allocation {
	if r.Allocation != Dynamic {
		return r.Allocation
	}
	chosen, above := FirstAvailable, int64(-1)
	for _, b := range r.Bands {
		if occupancyBP > b.AboveBP && b.AboveBP > above {
			chosen, above = b.Strategy, b.AboveBP
		}
	}
	return chosen
}

// Allocate chooses the spots for a vehicle among all spots of the facility, in
// positions ascending; nil when nothing fits now. Smallest kind first, then the
// allocation's order, ties by spot id; windows take the smallest island that fits.
func Allocate(r *Rules, spots []Spot, d Demand) []Spot {
	bp, _ := Occupancy(spots)
	order := orderOf(r.Effective(bp), spots)
	for _, kind := range d.Size.Kinds() {
		var best *Spot
		for i := range spots {
			s := &spots[i]
			if s.Kind == kind && s.usable() && d.takes(s) && (best == nil || order(s, best) < 0) {
				best = s
			}
		}
		if best != nil {
			return []Spot{*best}
		}
	}
	if d.Size.NeedsWindow() && r.windowAllowed(spots) {
		return window(r, spots, d, order)
	}
	return nil
}

// FitsEver reports whether the vehicle would fit the facility if every spot were
// free and in service: when not, waiting is no use.
func FitsEver(r *Rules, spots []Spot, d Demand) bool {
	empty := slices.Clone(spots)
	for i := range empty {
		empty[i].State, empty[i].OutOfService = SpotFree, false
	}
	if Allocate(r, empty, d) != nil {
		return true
	}
	// With every spot in service an oversized one without the features may forbid
	// windows that its absence allows.
	return d.Size.NeedsWindow() && window(r, empty, d, orderOf(FirstAvailable, empty)) != nil
}

// windowAllowed is asked when no single spot fits: none free with the features.
func (r *Rules) windowAllowed(spots []Spot) bool {
	if r.WindowRule != WindowNoneExist {
		return true
	}
	return !slices.ContainsFunc(spots, func(s Spot) bool { return s.Kind == KindOversized && !s.OutOfService })
}

// window finds islands, runs of usable spots of one kind next to each other, and
// takes the first spots of the smallest that is long enough.
func window(r *Rules, spots []Spot, d Demand, order func(a, b *Spot) int) []Spot {
	for _, kind := range []SpotKind{KindCompact, KindRegular} {
		size := int(r.WindowSizes[kind])
		if size < 1 {
			continue
		}
		var best []Spot
		for _, island := range islands(spots, kind, d) {
			if len(island) < size {
				continue
			}
			if best == nil || len(island) < len(best) || (len(island) == len(best) && order(&island[0], &best[0]) < 0) {
				best = island
			}
		}
		if best != nil {
			return best[:size:size]
		}
	}
	return nil
}

func islands(spots []Spot, kind SpotKind, d Demand) [][]Spot {
	var fitting []Spot
	for i := range spots {
		if s := &spots[i]; s.Kind == kind && s.usable() && d.takes(s) {
			fitting = append(fitting, *s)
		}
	}
	slices.SortFunc(fitting, func(a, b Spot) int { return byLocation(&a, &b) })
	var found [][]Spot
	for start, i := 0, 1; i <= len(fitting); i++ {
		if i < len(fitting) && adjacent(&fitting[i-1], &fitting[i]) {
			continue
		}
		found = append(found, fitting[start:i:i])
		start = i
	}
	if len(fitting) == 0 {
		return nil
	}
	return found
}

func adjacent(a, b *Spot) bool {
	return a.Level == b.Level && a.Row == b.Row && a.Position+1 == b.Position
}

func byLocation(a, b *Spot) int {
	return cmp.Or(cmp.Compare(a.Level, b.Level), cmp.Compare(a.Row, b.Row),
		cmp.Compare(a.Position, b.Position), cmp.Compare(a.SpotID, b.SpotID))
}

func orderOf(a Allocation, spots []Spot) func(a, b *Spot) int {
	switch a {
	case Nearest:
		return func(a, b *Spot) int {
			return cmp.Or(cmp.Compare(a.DistanceRank, b.DistanceRank), cmp.Compare(a.SpotID, b.SpotID))
		}
	case FillIn:
		open := map[int64]bool{}
		for i := range spots {
			if !spots[i].OutOfService && spots[i].State != SpotFree {
				open[spots[i].Level] = true
			}
		}
		return func(a, b *Spot) int {
			switch {
			case open[a.Level] && !open[b.Level]:
				return -1
			case open[b.Level] && !open[a.Level]:
				return 1
			}
			return byLocation(a, b)
		}
	case FirstAvailable, Dynamic:
	}
	return byLocation
}
