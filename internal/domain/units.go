package domain

import "math"

// Units is the integer weight of a task, or the size of a pool. It is never
// negative. Arithmetic saturates instead of wrapping, so that a sum of hostile
// inputs can only ever make a task not fit.
type Units int64

// MaxPoolUnits bounds max_units of a pool and the units of one task. It keeps
// fair-queueing tags (units × TagScale) far from the end of int64.
const MaxPoolUnits Units = 1_000_000_000

// Add returns u+v, saturated to the range of int64.
func (u Units) Add(v Units) Units {
	sum := u + v
	switch {
	case v > 0 && sum < u:
		return math.MaxInt64
	case v < 0 && sum > u:
		return math.MinInt64
	}
	return sum
}

// Sub returns u-v, saturated to the range of int64.
func (u Units) Sub(v Units) Units {
	diff := u - v
	switch {
	case v < 0 && diff < u:
		return math.MaxInt64
	case v > 0 && diff > u:
		return math.MinInt64
	}
	return diff
}

// ResourceKind says what the units of a task count.
type ResourceKind string

// The resource kinds of the data model.
const (
	KindCPU     ResourceKind = "cpu"
	KindGPUVRAM ResourceKind = "gpuVram"
	KindIO      ResourceKind = "io"
	KindMixed   ResourceKind = "mixed"
)

// ResourceKinds lists every valid kind, in the order of the documentation.
func ResourceKinds() []ResourceKind {
	return []ResourceKind{KindCPU, KindGPUVRAM, KindIO, KindMixed}
}
