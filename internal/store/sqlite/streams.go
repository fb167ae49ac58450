package sqlite

import (
	"context"
	"math"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store/sqlite/dbsqlc"
)

// merge returns the first limit items of several streams by (time, source). Each
// stream keeps its own order: what stands behind an item of its stream never
// comes before it, whatever its time.
func merge[T any](streams [][]T, limit int, at func(*T) (time.Time, domain.Source)) []T {
	var merged []T
	for len(merged) < limit {
		first := -1
		var firstAt time.Time
		var firstSource domain.Source
		for i := range streams {
			if len(streams[i]) == 0 {
				continue
			}
			t, source := at(&streams[i][0])
			if first < 0 || t.Before(firstAt) || t.Equal(firstAt) && source < firstSource {
				first, firstAt, firstSource = i, t, source
			}
		}
		if first < 0 {
			break
		}
		merged = append(merged, streams[first][0])
		streams[first] = streams[first][1:]
	}
	return merged
}

// sources returns what a merged reader looks through: one, or all.
func sources(ctx context.Context, q *dbsqlc.Queries, only domain.Source) ([]string, error) {
	if only != "" {
		return []string{string(only)}, nil
	}
	return q.ListSources(ctx)
}

// span returns the bounds [from, to) of a time filter; zero times do not bound.
func span(from, to time.Time) (fromUS, toUS int64) {
	fromUS, toUS = math.MinInt64, math.MaxInt64
	if !from.IsZero() {
		fromUS = micros(from)
	}
	if !to.IsZero() {
		toUS = micros(to)
	}
	return fromUS, toUS
}
