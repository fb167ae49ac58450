package app

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// TestMergePassesOverNothing: whatever the lists and the limit, what is taken of a
// source is its beginning, so a cursor made of it names everything before it. Reading
// on with such cursors gives every message once.
func TestMergePassesOverNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		epoch := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		backends := make([][]domain.Message, rapid.IntRange(0, 3).Draw(t, "backends"))
		total := 0
		for b := range backends {
			// One source a backend; its clock may stand still, never go back.
			at := epoch.Add(time.Duration(rapid.IntRange(0, 5).Draw(t, "offset")) * time.Second)
			for seq := range rapid.IntRange(0, 8).Draw(t, "messages") {
				at = at.Add(time.Duration(rapid.IntRange(0, 2).Draw(t, "step")) * time.Second)
				backends[b] = append(backends[b], domain.Message{Source: domain.Source(rune('a' + b)), Seq: int64(seq + 1), CreatedAt: at})
				total++
			}
		}
		limit := rapid.IntRange(1, 6).Draw(t, "limit")
		cursor := domain.Cursor{}
		seen := 0
		for {
			page := mergeMessages(after(backends, cursor, limit), limit)
			if len(page) == 0 {
				break
			}
			require.LessOrEqual(t, len(page), limit)
			for i, m := range page {
				require.Equal(t, cursor[m.Source]+1, m.Seq, "nothing is passed over")
				cursor[m.Source] = m.Seq
				if i > 0 {
					require.False(t, m.CreatedAt.Before(page[i-1].CreatedAt), "oldest first")
				}
				seen++
			}
		}
		require.Equal(t, total, seen)
	})
}

// after is what the backends answer: at most limit messages each, after the cursor.
func after(backends [][]domain.Message, cursor domain.Cursor, limit int) [][]domain.Message {
	var lists [][]domain.Message
	for _, all := range backends {
		var list []domain.Message
		for _, m := range all {
			if m.Seq > cursor[m.Source] && len(list) < limit {
				list = append(list, m)
			}
		}
		lists = append(lists, list)
	}
	return lists
}
