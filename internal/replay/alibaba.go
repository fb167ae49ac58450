package replay

import (
	"io"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// The rule for the Alibaba GPU cluster traces (openb_pod_list: num_gpu, gpu_milli,
// qos, creation_time, deletion_time, scheduled_time in seconds; Weng et al., USENIX
// ATC 2023).
//
// The pool stands for one node of alibabaGPUs GPUs. A task takes the share that
// its GPU millis are of the node's, rounded up to whole units, at least one (tasks
// without a GPU): in a pool of 80 units a GPU is 10 units, and a task of 8 GPUs
// takes the whole pool. QoS is its priority: Guaranteed critical, LS high,
// Burstable normal, BE low. It ran from when it was scheduled (created, when it
// never was) to its deletion.
//
// The trace spans 150 days and one node is not the cluster, so time is normalised
// before --speed: pauses between arrivals longer than alibabaPause are cut to it,
// runs longer than alibabaLongest are cut to it, and a second of the trace then
// counts as alibabaSecond. The whole trace thereby takes 65 minutes at speed 1 and
// asks for about 65 % of the pool.
const (
	alibabaGPUs    = 8
	alibabaPause   = 600  // s
	alibabaLongest = 7200 // s
	alibabaSecond  = 2 * time.Millisecond
)

// alibabaBound bounds numbers of a row, so that hostile ones cannot overflow.
const alibabaBound = 1_000_000

func parseAlibaba(in io.Reader, rules Rules) ([]Arrival, error) {
	t, err := openTable(in, "num_gpu", "gpu_milli", "qos", "creation_time", "deletion_time", "scheduled_time")
	if err != nil {
		return nil, err
	}
	var (
		arrivals []Arrival
		created  []int64
	)
	for {
		more, err := t.next()
		if err != nil {
			return nil, err
		}
		if !more {
			break
		}
		a, at, err := alibabaRow(t, rules)
		if err != nil {
			return nil, err
		}
		a.Tenant = tenantOf(len(arrivals), rules.Tenants)
		arrivals, created = append(arrivals, a), append(created, at)
	}
	return normalise(arrivals, created), nil
}

func alibabaRow(t *table, rules Rules) (Arrival, int64, error) {
	count, err := t.integer("num_gpu", 0)
	if err != nil {
		return Arrival{}, 0, err
	}
	milli, err := t.integer("gpu_milli", 0)
	if err != nil {
		return Arrival{}, 0, err
	}
	created, err := t.integer("creation_time", 0)
	if err != nil {
		return Arrival{}, 0, err
	}
	deleted, err := t.integer("deletion_time", created)
	if err != nil {
		return Arrival{}, 0, err
	}
	scheduled := created
	if t.text("scheduled_time") != "" {
		if scheduled, err = t.integer("scheduled_time", 0); err != nil {
			return Arrival{}, 0, err
		}
	}
	const perGPU = 1000
	seconds := min(max(0, deleted-scheduled), alibabaLongest)
	return Arrival{
		Units:    share(min(count, alibabaBound)*min(milli, alibabaBound), alibabaGPUs*perGPU, rules.MaxUnits),
		Duration: time.Duration(seconds) * alibabaSecond,
		Priority: alibabaPriority(t.text("qos")),
	}, created, nil
}

func alibabaPriority(qos string) domain.Priority {
	switch qos {
	case "Guaranteed":
		return domain.PriorityCritical
	case "LS":
		return domain.PriorityHigh
	case "BE":
		return domain.PriorityLow
	}
	return domain.PriorityNormal
}

// normalise sets the arrivals' times from when they were created, with long pauses
// cut. The rows of these traces are in order of creation; one that is not counts
// as arriving with the one before it.
func normalise(arrivals []Arrival, created []int64) []Arrival {
	var at time.Duration
	for i := range arrivals {
		if i > 0 {
			at += time.Duration(min(max(0, created[i]-created[i-1]), alibabaPause)) * alibabaSecond
		}
		arrivals[i].At = at
	}
	return arrivals
}
