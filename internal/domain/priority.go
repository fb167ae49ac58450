package domain

import "fmt"

// Priority is a task's class. Higher values go first.
type Priority int16

// The four classes, lowest first. The numbers are stored; never renumber them.
const (
	PriorityLow Priority = iota
	PriorityNormal
	PriorityHigh
	PriorityCritical
)

// PriorityClasses is how many classes there are.
const PriorityClasses = 4

// String returns the wire name of the class.
func (p Priority) String() string {
	switch p {
	case PriorityLow:
		return "low"
	case PriorityNormal:
		return "normal"
	case PriorityHigh:
		return "high"
	case PriorityCritical:
		return "critical"
	}
	return fmt.Sprintf("priority(%d)", int16(p))
}

// ParsePriority returns the class of a wire name; the empty name is normal.
func ParsePriority(name string) (Priority, error) {
	switch name {
	case "low":
		return PriorityLow, nil
	case "", "normal":
		return PriorityNormal, nil
	case "high":
		return PriorityHigh, nil
	case "critical":
		return PriorityCritical, nil
	}
	return 0, fmt.Errorf("unknown priority %q: use low, normal, high or critical", name)
}
