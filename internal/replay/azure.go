package replay

import (
	"io"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// The rule for the Azure LLM inference traces (TIMESTAMP, ContextTokens,
// GeneratedTokens; Patel et al., ISCA 2024).
//
// The pool stands for the KV cache of a server that holds azureCache tokens. A
// request takes the share that its context and its generated tokens need, rounded
// up to whole units: in a pool of 80 units, one unit is 256 tokens. It runs for
// azurePrefill a context token and azureDecode a generated one. With these the
// trace of 2023 ("code") asks for 76 % of the pool on average; its bursts queue.
const (
	azureCache   = 20_480
	azurePrefill = 100 * time.Microsecond
	azureDecode  = 80 * time.Millisecond
)

// azureTokens bounds a token count, so that hostile rows cannot overflow.
const azureTokens = 100_000_000

func parseAzure(in io.Reader, rules Rules) ([]Arrival, error) {
	t, err := openTable(in, "TIMESTAMP", "ContextTokens", "GeneratedTokens")
	if err != nil {
		return nil, err
	}
	var arrivals []Arrival
	for {
		more, err := t.next()
		if err != nil || !more {
			return arrivals, err
		}
		at, err := azureTime(t)
		if err != nil {
			return nil, err
		}
		context, err := t.integer("ContextTokens", 0)
		if err != nil {
			return nil, err
		}
		generated, err := t.integer("GeneratedTokens", 0)
		if err != nil {
			return nil, err
		}
		context, generated = min(context, azureTokens), min(generated, azureTokens)
		arrivals = append(arrivals, Arrival{
			At: at, Units: azureUnits(context, generated, rules),
			Duration: azureDuration(context, generated),
			Tenant:   tenantOf(len(arrivals), rules.Tenants), Priority: domain.PriorityNormal,
		})
	}
}

func azureUnits(context, generated int64, rules Rules) domain.Units {
	return share(context+generated, azureCache, rules.MaxUnits)
}

func azureDuration(context, generated int64) time.Duration {
	return time.Duration(context)*azurePrefill + time.Duration(generated)*azureDecode
}

func azureTime(t *table) (time.Duration, error) {
	for _, layout := range []string{"2006-01-02 15:04:05.9999999", "2006-01-02 15:04:05.999999999Z07:00", time.RFC3339Nano} {
		if at, err := time.Parse(layout, t.text("TIMESTAMP")); err == nil && sane(at) {
			return at.Sub(time.Unix(0, 0)), nil
		}
	}
	return 0, t.fault("TIMESTAMP", "must be a time such as 2023-11-16 18:17:03.9799600")
}
