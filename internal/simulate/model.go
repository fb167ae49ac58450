package simulate

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// Driver is one visit of the model.
type Driver struct {
	Plate    string
	Size     string // small, medium, large
	Type     string // car, van, truck
	Arrives  time.Duration
	Stays    time.Duration
	Gate     int
	Repeats  bool // the gate sends its calls twice
	Lost     bool // the ticket is lost
	Patience time.Duration
}

// Model says what visits to draw.
type Model struct {
	Seed    uint64
	Drivers int
	Gates   int
	Span    time.Duration // that arrivals are spread over, busier by day than by night
	Stay    time.Duration // median of the stays
}

// Draw returns the visits by arrival. The same model draws the same.
func (m Model) Draw() []Driver {
	rng := rand.New(rand.NewPCG(m.Seed, m.Seed^0x9e3779b97f4a7c15)) //nolint:gosec // a reproducible model, not a secret
	mean := m.Span / time.Duration(max(1, m.Drivers))
	drivers := make([]Driver, m.Drivers)
	var at time.Duration
	for i := range drivers {
		at += time.Duration(rng.ExpFloat64() * float64(mean) / byHour(at))
		at = at.Truncate(time.Microsecond)
		d := Driver{
			Plate: fmt.Sprintf("SIM%X%05d", m.Seed&0xffff, i+1), Arrives: at, Gate: rng.IntN(max(1, m.Gates)),
			Repeats: rng.IntN(20) == 0, Lost: rng.IntN(200) == 0,
		}
		// Stays are log-normal: many short ones, some very long.
		stays := time.Duration(float64(m.Stay) * math.Exp(0.9*rng.NormFloat64()))
		d.Stays = max(time.Minute, min(stays, 10*m.Stay)).Truncate(time.Second)
		d.Patience = max(10*time.Minute, m.Stay/2)
		switch p := rng.IntN(100); {
		case p < 55:
			d.Size, d.Type = "small", "car"
		case p < 90:
			d.Size, d.Type = "medium", "van"
		default:
			d.Size, d.Type = "large", "truck"
		}
		drivers[i] = d
	}
	return drivers
}

// byHour is how busy the hour is, 1 on average.
func byHour(at time.Duration) float64 {
	hour := math.Mod(at.Hours(), 24)
	return 1 - 0.7*math.Cos((hour-2)/24*2*math.Pi)
}
