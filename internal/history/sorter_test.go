package history

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/parkinglot/parkinglot/internal/domain"
)

func TestSorterSortsWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		s := newSorter(rapid.IntRange(1, 200).Draw(rt, "chunk"))
		records := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 20), 0, 100).Draw(rt, "records")
		for _, r := range records {
			s.add(r)
			require.LessOrEqual(rt, len(s.bytes), max(s.chunk, len(r)), "in memory at once")
		}
		got := [][]byte{}
		require.NoError(rt, s.each(func(r []byte) error {
			got = append(got, slices.Clone(r))
			return nil
		}))
		slices.SortFunc(records, bytes.Compare)
		require.Len(rt, got, len(records))
		for i := range records {
			require.Equal(rt, string(records[i]), string(got[i]))
		}
		require.NoError(rt, s.close())
		if s.file != nil {
			require.NoFileExists(rt, s.file.Name())
		}
	})
}

func TestSorterTellsThatItsFileIsFull(t *testing.T) {
	t.Parallel()
	s := newSorter(1)
	file, err := os.Open(os.DevNull) // cannot be written
	require.NoError(t, err)
	s.file = file
	for range 3 {
		s.add([]byte("x"))
	}
	require.ErrorContains(t, s.each(func([]byte) error { return nil }), "TMPDIR")
	require.NoError(t, file.Close())
}

// TestMostPassedCounts compares with counting every pair.
func TestMostPassedCounts(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(5, 6))
	for range 200 {
		seq := int64(0)
		var all, queued []*submission
		next := func() int64 { seq++; return seq }
		for range 1 + rnd.IntN(300) {
			switch kind := rnd.IntN(4); {
			case kind < 2:
				s := &submission{submit: next()}
				all = append(all, s)
				if kind == 0 {
					s.start = next()
					break
				}
				s.enqueue = next()
				queued = append(queued, s)
			case len(queued) > 0:
				i := rnd.IntN(min(len(queued), 1+rnd.IntN(20)))
				s := queued[i]
				queued = slices.Delete(queued, i, i+1)
				if kind == 2 {
					s.start = next()
				} else {
					s.end = next()
				}
			}
		}
		var want int64
		for _, a := range all {
			left := seq + 1
			if a.start > 0 {
				left = a.start
			} else if a.end > 0 {
				left = a.end
			}
			var n int64
			for _, b := range all {
				if a.enqueue > 0 && b.submit > a.submit && b.start > 0 && b.start < left {
					n++
				}
			}
			want = max(want, n)
		}
		j := &judge{passing: newSorter(64)}
		for _, i := range rnd.Perm(len(all)) {
			j.passes(all[i], domain.PriorityNormal)
		}
		got, err := mostPassed(j.passing)
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.NoError(t, j.passing.close())
	}
}

// TestPassQueueForgetsWhoLeft: what stands in front for ever does not keep those behind it.
func TestPassQueueForgetsWhoLeft(t *testing.T) {
	t.Parallel()
	var q passQueue
	q.join(1)
	for seq := int64(2); seq < 100_000; seq++ {
		q.join(seq)
		q.leave(seq)
		q.start(seq)
		require.LessOrEqual(t, len(q.tree), 64)
	}
	require.Equal(t, int64(99_998), q.leave(1))
}

func TestRecordsComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	var p packer
	p.key(7)
	for _, n := range []int64{0, -1, 1 << 40} {
		p.number(n)
	}
	p.text("a\x00b")
	p.flag(true)
	u := unpacker{left: p}
	require.Equal(t, int64(7), u.key())
	for _, n := range []int64{0, -1, 1 << 40} {
		require.Equal(t, n, u.number())
	}
	require.Equal(t, "a\x00b", u.text())
	require.True(t, u.flag())
	require.False(t, u.broken)
	for cut := range p {
		var of jobEntries
		require.ErrorIs(t, of.add(&unpacker{left: append([]byte{entryLife}, binary.AppendVarint(nil, int64(cut+1))...)}), errRecord)
	}
}
