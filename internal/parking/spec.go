package parking

// Spec is a strategy as it is written and stored: JSON with the names of the
// contract. Tiers and Table exclude each other; a stored spec always has tiers.
type Spec struct {
	StrategyID        string           `json:"strategyId,omitempty"`
	Version           int              `json:"version,omitempty"`
	Name              string           `json:"name"`
	TimeZone          string           `json:"timeZone"`
	Currency          string           `json:"currency"`
	GraceMinutes      int64            `json:"graceMinutes"`
	Tiers             []TierSpec       `json:"tiers,omitempty"`
	Table             []TableSpec      `json:"table,omitempty"`
	Period            Period           `json:"period"`              // default none
	ResetTime         string           `json:"resetTime,omitempty"` // HH:MM, default 00:00
	PeriodCap         *Money           `json:"periodCap"`
	StayCap           *Money           `json:"stayCap"`
	Multipliers       []MultiplierSpec `json:"multipliers"`
	Surge             []SurgeSpec      `json:"surge"`
	LostFee           *Money           `json:"lostFee"`
	ExitWindowMinutes int64            `json:"exitWindowMinutes"`
}

// TierSpec is a tier as it is written.
type TierSpec struct {
	FromMinute       int64  `json:"fromMinute"`
	ToMinute         *int64 `json:"toMinute"`
	IncrementMinutes int64  `json:"incrementMinutes"`
	Value            Money  `json:"value"`
}

// TableSpec is a row of a table as it is written.
type TableSpec struct {
	UpToMinute int64 `json:"upToMinute"`
	Total      Money `json:"total"`
}

// MultiplierSpec is a weekly multiplier as it is written; End may be 24:00.
type MultiplierSpec struct {
	Days  []int  `json:"days"`
	Start string `json:"start"`
	End   string `json:"end"`
	BP    int64  `json:"bp"`
}

// SurgeSpec is a surge as it is written.
type SurgeSpec struct {
	AboveBP int64 `json:"aboveBp"`
	BP      int64 `json:"bp"`
}
