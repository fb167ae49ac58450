package parking

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func spot(id string, kind SpotKind, level, row, position int64) Spot {
	return Spot{SpotID: id, Kind: kind, Level: level, Row: row, Position: position, State: SpotFree}
}

func ids(spots []Spot) []string {
	var got []string
	for _, s := range spots {
		got = append(got, s.SpotID)
	}
	return got
}

func rules(a Allocation) *Rules {
	return &Rules{
		Allocation: a, WindowRule: WindowNoneFree,
		WindowSizes: map[SpotKind]int64{KindRegular: 2, KindCompact: 3},
	}
}

func TestAllocateSmallestKindFirst(t *testing.T) {
	t.Parallel()
	spots := []Spot{spot("o1", KindOversized, 1, 1, 1), spot("r1", KindRegular, 1, 1, 2), spot("c1", KindCompact, 9, 9, 9)}
	require.Equal(t, []string{"c1"}, ids(Allocate(rules(FirstAvailable), spots, Demand{Size: SizeSmall})))
	require.Equal(t, []string{"r1"}, ids(Allocate(rules(FirstAvailable), spots, Demand{Size: SizeMedium})))
	require.Equal(t, []string{"o1"}, ids(Allocate(rules(FirstAvailable), spots, Demand{Size: SizeLarge})))
}

func TestAllocateOrders(t *testing.T) {
	t.Parallel()
	spots := []Spot{
		spot("b", KindRegular, 1, 1, 2), spot("a", KindRegular, 1, 1, 3), spot("d", KindRegular, 2, 1, 1), spot("taken", KindRegular, 2, 1, 2),
	}
	spots[0].DistanceRank, spots[1].DistanceRank, spots[2].DistanceRank = 5, 3, 3
	spots[3].State = SpotOccupied
	medium := Demand{Size: SizeMedium}
	require.Equal(t, []string{"b"}, ids(Allocate(rules(FirstAvailable), spots, medium)))
	require.Equal(t, []string{"a"}, ids(Allocate(rules(Nearest), spots, medium)), "ties by spot id")
	require.Equal(t, []string{"d"}, ids(Allocate(rules(FillIn), spots, medium)), "level 2 is already open")

	dynamic := rules(Dynamic)
	dynamic.Bands = []Band{{AboveBP: 2500, Strategy: Nearest}, {AboveBP: 2499, Strategy: FillIn}}
	require.Equal(t, []string{"d"}, ids(Allocate(dynamic, spots, medium)), "2500 is not strictly above 2500")
}

func TestAllocateHonoursFeaturesAndService(t *testing.T) {
	t.Parallel()
	spots := []Spot{spot("plain", KindRegular, 1, 1, 1), spot("ev", KindRegular, 1, 1, 2), spot("ev2", KindRegular, 1, 1, 3)}
	spots[1].Features, spots[2].Features = []string{"covered", "ev"}, []string{"ev"}
	spots[1].OutOfService = true
	require.Equal(t, []string{"ev2"}, ids(Allocate(rules(FirstAvailable), spots, Demand{Size: SizeMedium, Features: []string{"ev"}})))
	covered := Demand{Size: SizeMedium, Features: []string{"covered"}}
	require.Empty(t, Allocate(rules(FirstAvailable), spots, covered))
	require.True(t, FitsEver(rules(FirstAvailable), spots, covered), "it may come back into service")
	require.False(t, FitsEver(rules(FirstAvailable), spots, Demand{Size: SizeMedium, Features: []string{"tall"}}))
}

func TestWindows(t *testing.T) {
	t.Parallel()
	// Regular islands of 3 (positions 1–3) and 2 (5–6); a compact island of 2.
	spots := []Spot{
		spot("r1", KindRegular, 1, 1, 1), spot("r2", KindRegular, 1, 1, 2), spot("r3", KindRegular, 1, 1, 3),
		spot("x", KindRegular, 1, 1, 4),
		spot("r5", KindRegular, 1, 1, 5), spot("r6", KindRegular, 1, 1, 6),
		spot("c7", KindCompact, 1, 1, 7), spot("c8", KindCompact, 1, 1, 8),
		spot("o", KindOversized, 2, 1, 1),
	}
	spots[3].State = SpotOccupied
	bus := Demand{Size: SizeLarge}
	require.Equal(t, []string{"o"}, ids(Allocate(rules(FirstAvailable), spots, bus)))

	spots[8].State = SpotOccupied
	require.Equal(t, []string{"r5", "r6"}, ids(Allocate(rules(FirstAvailable), spots, bus)), "the smallest island that fits")
	exist := rules(FirstAvailable)
	exist.WindowRule = WindowNoneExist
	require.Empty(t, Allocate(exist, spots, bus), "an oversized spot exists")
	spots[8].OutOfService = true
	require.Equal(t, []string{"r5", "r6"}, ids(Allocate(exist, spots, bus)))

	spots[4].State = SpotReserved
	require.Equal(t, []string{"r1", "r2"}, ids(Allocate(rules(FirstAvailable), spots, bus)))
	spots[1].State = SpotOccupied
	require.Empty(t, Allocate(rules(FirstAvailable), spots, bus))
	two := rules(FirstAvailable)
	two.WindowSizes[KindCompact] = 2
	require.Equal(t, []string{"c7", "c8"}, ids(Allocate(two, spots, bus)))
}

// Whatever is allocated fits, is free and next to each other; and "nothing" is only
// said when a search of every possibility finds nothing.
func TestAllocateProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var spots []Spot
		for row := range int64(3) {
			for position := range int64(6) {
				if rapid.IntRange(0, 5).Draw(t, "gap") == 0 {
					continue
				}
				spots = append(spots, Spot{
					SpotID: string(rune('a'+row)) + string(rune('0'+position)), Row: row, Position: position,
					Kind:         rapid.SampledFrom([]SpotKind{KindCompact, KindRegular, KindRegular, KindOversized}).Draw(t, "kind"),
					State:        rapid.SampledFrom([]SpotState{SpotFree, SpotFree, SpotOccupied, SpotReserved}).Draw(t, "state"),
					OutOfService: rapid.IntRange(0, 9).Draw(t, "service") == 0,
				})
			}
		}
		r := rules(rapid.SampledFrom([]Allocation{FirstAvailable, Nearest, FillIn}).Draw(t, "allocation"))
		d := Demand{Size: rapid.SampledFrom([]VehicleSize{SizeSmall, SizeMedium, SizeLarge}).Draw(t, "size")}
		got := Allocate(r, spots, d)
		require.Equal(t, anyFit(r, spots, d), got != nil)
		for i := range got {
			require.True(t, got[i].usable())
			require.Equal(t, got[0].Kind, got[i].Kind)
			if i > 0 {
				require.True(t, adjacent(&got[i-1], &got[i]))
			}
		}
		if len(got) > 1 {
			require.Len(t, got, int(r.WindowSizes[got[0].Kind]))
		}
	})
}

// anyFit tries every spot and every run of spots, by position lookups only.
func anyFit(r *Rules, spots []Spot, d Demand) bool {
	byPlace := map[[3]int64]Spot{}
	for _, s := range spots {
		byPlace[[3]int64{s.Level, s.Row, s.Position}] = s
	}
	fits := map[VehicleSize]string{SizeSmall: "compact regular oversized", SizeMedium: "regular oversized", SizeLarge: "oversized"}
	for _, s := range spots {
		if !s.usable() {
			continue
		}
		if d.Size != SizeLarge && (s.Kind != KindCompact || d.Size == SizeSmall) || s.Kind == KindOversized && fits[d.Size] != "" {
			return true
		}
		size, run := r.WindowSizes[s.Kind], int64(0)
		for run < size {
			next, ok := byPlace[[3]int64{s.Level, s.Row, s.Position + run}]
			if !ok || !next.usable() || next.Kind != s.Kind {
				break
			}
			run++
		}
		if d.Size == SizeLarge && size > 0 && run == size {
			return true
		}
	}
	return false
}
