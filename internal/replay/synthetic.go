package replay

import (
	"bytes"
	_ "embed"
	"math"
	"math/rand/v2"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// Synthetic makes a trace of n requests that look like those of an LLM service:
// long prompts and short answers with log-normal tails, arrivals that are Poisson
// with bursts, a few tenants of unequal size, all priorities and some deadlines.
// Units and durations follow the rule of FormatAzure. The same seed and rules make
// the same trace.
func Synthetic(n int, seed uint64, rules Rules) Trace {
	const stream = 0x7061726b696e67                                         // a stream of its own for any seed
	g := generator{rand: rand.New(rand.NewPCG(seed, stream)), rules: rules} //nolint:gosec // reproducible on purpose
	arrivals := make([]Arrival, 0, n)
	for range n {
		arrivals = append(arrivals, g.next())
	}
	return NewTrace(arrivals, rules.MaxUnits)
}

// Shape of the synthetic trace.
const (
	calmGap  = 330 * time.Millisecond // mean time between arrivals
	burstGap = 50 * time.Millisecond
	calmStay = 0.985 // chance that the next arrival is of the same phase
	rushStay = 0.97

	medianContext, contextSpread     = 1200, 0.9
	medianGenerated, generatedSpread = 16, 0.9
	mostTokens                       = 8192
)

type generator struct {
	rand  *rand.Rand
	rules Rules
	at    time.Duration
	rush  bool
}

func (g *generator) next() Arrival {
	gap, stay := calmGap, calmStay
	if g.rush {
		gap, stay = burstGap, rushStay
	}
	if g.rand.Float64() > stay {
		g.rush = !g.rush
	}
	g.at += time.Duration(g.rand.ExpFloat64() * float64(gap)).Truncate(time.Millisecond)
	context := g.tokens(medianContext, contextSpread)
	generated := g.tokens(medianGenerated, generatedSpread)
	a := Arrival{
		At: g.at, Units: azureUnits(context, generated, g.rules),
		Duration: azureDuration(context, generated).Truncate(time.Millisecond),
	}
	const (
		half, fourFifths       = 0.5, 0.8
		low, normal, high      = 0.1, 0.8, 0.96
		withDeadline, patience = 0.05, 30 * time.Second
		patienceSpread         = 60 * float64(time.Second)
	)
	switch p := g.rand.Float64(); {
	case p < half:
		a.Tenant = "acme"
	case p < fourFifths:
		a.Tenant = "birch"
	default:
		a.Tenant = "cedar"
	}
	switch p := g.rand.Float64(); {
	case p < low:
		a.Priority = domain.PriorityLow
	case p < normal:
		a.Priority = domain.PriorityNormal
	case p < high:
		a.Priority = domain.PriorityHigh
	default:
		a.Priority = domain.PriorityCritical
	}
	if g.rand.Float64() < withDeadline {
		a.Deadline = (patience + time.Duration(g.rand.Float64()*patienceSpread)).Truncate(time.Second)
	}
	return a
}

func (g *generator) tokens(median, spread float64) int64 {
	return int64(min(mostTokens, max(1, median*math.Exp(spread*g.rand.NormFloat64()))))
}

// The sample that ships with the program: Sample's output, for the demo pool of
// 80 units.
const (
	sampleTasks = 600
	sampleSeed  = 1
	sampleUnits = 80
)

// sample is testdata/llm-small.csv.
//
//go:embed testdata/llm-small.csv
var sample []byte

// Sample returns the trace that ships with the program, made by Synthetic.
func Sample() Trace { return Synthetic(sampleTasks, sampleSeed, Rules{MaxUnits: sampleUnits}) }

// Demo returns the shipped file, for a pool with the rules' units.
func Demo(rules Rules) (Trace, error) { return Parse(FormatCSV, bytes.NewReader(sample), rules) }
