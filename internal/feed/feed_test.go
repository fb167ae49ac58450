package feed_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/feed"
)

// note is what the tests hand on.
type note struct {
	box    string
	long   bool
	source domain.Source
	seq    int64
}

// ledger is a backend: numbered notes by source, which become visible one by one.
type ledger struct {
	mu    sync.Mutex
	notes map[domain.Source][]note
	away  atomic.Bool
	reads atomic.Int64 // of tails
}

var errAway = errors.New("away")

func newLedger() *ledger { return &ledger{notes: make(map[domain.Source][]note)} }

// write returns the entry as its writer may offer it.
func (l *ledger) write(source domain.Source, n note) []feed.Entry[note] {
	l.mu.Lock()
	defer l.mu.Unlock()
	n.source, n.seq = source, int64(len(l.notes[source])+1)
	l.notes[source] = append(l.notes[source], n)
	return []feed.Entry[note]{{Source: source, Seq: n.seq, Value: n, Size: 100, Cut: n.long}}
}

// Heads implements feed.Reader.
func (l *ledger) Heads(context.Context) (domain.Cursor, error) {
	l.reads.Add(1)
	if l.away.Load() {
		return nil, errAway
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	heads := domain.Cursor{}
	for source, notes := range l.notes {
		heads[source] = int64(len(notes))
	}
	return heads, nil
}

// After implements feed.Reader.
func (l *ledger) After(_ context.Context, cursor domain.Cursor, limit int) ([]feed.Entry[note], error) {
	l.reads.Add(1)
	return l.after(cursor, limit, func(*note) bool { return true }, true)
}

func (l *ledger) after(cursor domain.Cursor, limit int, match func(*note) bool, cut bool) ([]feed.Entry[note], error) {
	if l.away.Load() {
		return nil, errAway
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var entries []feed.Entry[note]
	for _, source := range slices.Sorted(maps.Keys(l.notes)) {
		for i := cursor[source]; i < int64(len(l.notes[source])) && len(entries) < limit; i++ {
			if n := l.notes[source][i]; match(&n) {
				entries = append(entries, feed.Entry[note]{Source: source, Seq: i + 1, Value: n, Size: 100, Cut: cut && n.long})
			}
		}
	}
	return entries, nil
}

// counts implements feed.Metrics.
type counts struct{ following, delivered, caughtUp atomic.Int64 }

func (c *counts) Following(delta int) { c.following.Add(int64(delta)) }
func (c *counts) Delivered(n int)     { c.delivered.Add(int64(n)) }
func (c *counts) CaughtUp()           { c.caughtUp.Add(1) }

// bundle is a running hub over ledgers.
type bundle struct {
	*feed.Hub[note]

	ledgers []*ledger
	counts  *counts
	stop    chan struct{}
}

func setup(t *testing.T, ledgers ...*ledger) *bundle {
	t.Helper()
	b := &bundle{ledgers: ledgers, counts: &counts{}, stop: make(chan struct{})}
	readers := make(map[string]feed.Reader[note])
	for i, l := range ledgers {
		readers[fmt.Sprint(i)] = l
	}
	b.Hub = feed.New(feed.Options[note]{
		Readers: readers, Topics: func(n *note) []string { return []string{n.box, ""} },
		Poll: 20 * time.Millisecond, Stop: b.stop, Metrics: b.counts, Log: slog.New(slog.DiscardHandler),
	})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan struct{})
	go func() { defer close(ended); b.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	return b
}

func (b *bundle) spec(box string, cursor domain.Cursor, limit int) feed.Spec[note] {
	match := func(n *note) bool { return box == "" || n.box == box }
	return feed.Spec[note]{
		Topic: box, Match: match, Cursor: cursor, Limit: limit,
		Read: func(_ context.Context, after domain.Cursor, limit int) ([]feed.Entry[note], error) {
			var all []feed.Entry[note]
			for _, l := range b.ledgers {
				page, err := l.after(after, limit-len(all), match, false)
				if err != nil {
					return nil, err
				}
				all = append(all, page...)
			}
			if rand.IntN(4) == 0 { // an answer is old when it arrives
				time.Sleep(time.Duration(rand.IntN(3000)) * time.Microsecond)
			}
			return all, nil
		},
	}
}

func (b *bundle) follow(t *testing.T, box string) *feed.Follower[note] {
	t.Helper()
	f, err := b.Follow(t.Context(), b.spec(box, nil, 10))
	require.NoError(t, err)
	t.Cleanup(f.Close)
	return f
}

const soon = 20 * time.Second // longer than anything here takes

func TestFollowersGetEverythingOnceAndInOrder(t *testing.T) {
	t.Parallel()
	const writers, perWriter, boxes, readers = 4, 2000, 5, 12
	b := setup(t, newLedger(), newLedger())
	wrote := make(map[string]int) // how many notes each box gets, by source and box
	var all sync.WaitGroup
	for w := range writers {
		source, l := domain.Source(fmt.Sprint("s", w)), b.ledgers[w%2]
		random := rand.New(rand.NewPCG(1, uint64(w)))
		notes := make([]note, perWriter)
		for i := range notes {
			box := fmt.Sprint("b", random.IntN(boxes))
			wrote[box]++
			wrote[""]++
			notes[i] = note{box: box, long: random.IntN(50) == 0}
		}
		all.Go(func() {
			for i, n := range notes {
				entries := l.write(source, n)
				switch random.IntN(4) { // by another process that says so, or by nobody who does
				case 0:
					b.Wake()
				case 1:
				default:
					b.Offer(fmt.Sprint(w%2), entries)
				}
				if i%5 == 0 { // slower than the readers, so that they join while it goes on
					time.Sleep(time.Millisecond)
				}
			}
		})
	}
	all.Go(func() { // the backends are away at times
		for i := range 60 {
			time.Sleep(3 * time.Millisecond)
			b.ledgers[i%2].away.Store(i%4 < 2)
		}
		b.ledgers[0].away.Store(false)
		b.ledgers[1].away.Store(false)
	})
	for r := range readers {
		box := ""
		if r%6 > 0 {
			box = fmt.Sprint("b", r%6-1)
		}
		random := rand.New(rand.NewPCG(2, uint64(r)))
		all.Go(func() { require.NoError(t, b.readAll(t, box, wrote[box], random)) })
	}
	all.Wait()
	require.Zero(t, b.counts.following.Load())
}

// readAll follows a box until it has had want notes, through followers that come back
// with their cursor, are slow at times, and see the backends away.
func (b *bundle) readAll(t *testing.T, box string, want int, random *rand.Rand) error {
	cursor := domain.Cursor{}
	for got := 0; got < want; {
		f, err := b.Follow(t.Context(), b.spec(box, maps.Clone(cursor), 1+random.IntN(40)))
		if errors.Is(err, errAway) {
			continue
		}
		if err != nil {
			return err
		}
		for range 1 + random.IntN(30) {
			notes, err := f.Next(t.Context(), soon)
			if err != nil && !errors.Is(err, errAway) {
				return err
			}
			if err == nil && len(notes) == 0 {
				return fmt.Errorf("box %q: %d of %d came, and then nothing", box, got, want)
			}
			for _, n := range notes {
				if n.seq <= cursor[n.source] {
					return fmt.Errorf("box %q, source %s: %d after %d", box, n.source, n.seq, cursor[n.source])
				}
				cursor[n.source] = n.seq
			}
			if got += len(notes); got >= want { // ascending, so as many as there are is all of them
				break
			}
			if random.IntN(10) == 0 {
				time.Sleep(time.Duration(random.IntN(10)) * time.Millisecond)
			}
		}
		f.Close()
	}
	return nil
}

// nextOf returns the next n, however many come at once.
func (b *bundle) nextOf(t *testing.T, f *feed.Follower[note], n int) []int64 {
	t.Helper()
	var all []int64
	for len(all) < n {
		all = append(all, b.next(t, f)...)
	}
	return all
}

func (b *bundle) next(t *testing.T, f *feed.Follower[note]) []int64 {
	t.Helper()
	notes, err := f.Next(t.Context(), soon)
	require.NoError(t, err)
	seqs := make([]int64, len(notes))
	for i, n := range notes {
		seqs[i] = n.seq
	}
	return seqs
}

func TestNobodyFollowsNothingIsRead(t *testing.T) {
	t.Parallel()
	l := newLedger()
	b := setup(t, l)
	l.write("s", note{box: "a"})
	for range 50 {
		b.Wake()
	}
	time.Sleep(60 * time.Millisecond) // three polls' time
	require.Zero(t, l.reads.Load())

	f := b.follow(t, "a")
	require.Equal(t, int64(1), b.counts.following.Load())
	require.Equal(t, []int64{1}, b.next(t, f))
	f.Close()
	f.Close()
	require.Zero(t, b.counts.following.Load())
	l.write("s", note{box: "a"})
	require.Eventually(t, func() bool { // the read that was under way may end first
		before := l.reads.Load()
		b.Wake()
		time.Sleep(40 * time.Millisecond)
		return l.reads.Load() == before
	}, soon, time.Millisecond)
	require.Equal(t, []int64{1, 2}, b.next(t, b.follow(t, "a")), "a new one begins where it says")
}

func TestWhoIsCaughtUpAsksNoMore(t *testing.T) {
	t.Parallel()
	l := newLedger()
	b := setup(t, l)
	followers := make([]*feed.Follower[note], 20)
	for i := range followers {
		followers[i] = b.follow(t, fmt.Sprint(i))
		notes, err := followers[i].Next(t.Context(), time.Millisecond)
		require.NoError(t, err)
		require.Empty(t, notes, "nothing after quiet")
	}
	for round := range int64(5) {
		for i := range followers {
			l.write(domain.Source(fmt.Sprint("s", i)), note{box: fmt.Sprint(i)})
		}
		b.Wake()
		for _, f := range followers {
			require.Equal(t, []int64{round + 1}, b.next(t, f))
		}
	}
	require.Equal(t, int64(len(followers)), b.counts.caughtUp.Load(), "once each, at the beginning")
	require.Equal(t, int64(100), b.counts.delivered.Load())
}

func TestWhatIsOfferedIsNotRead(t *testing.T) {
	t.Parallel()
	l := newLedger()
	b := setup(t, l)
	b.Offer("0", l.write("s", note{box: "a"}))
	require.False(t, b.Wanted())
	f := b.follow(t, "a")
	require.True(t, b.Wanted())
	require.Equal(t, []int64{1}, b.next(t, f))
	b.Offer("0", l.write("s", note{box: "a"}))
	require.Equal(t, []int64{2}, b.next(t, f))

	l.away.Store(true) // nothing can be read
	for seq := range int64(20) {
		b.Offer("0", l.write("s", note{box: "a"}))
		require.Equal(t, []int64{3 + seq}, b.next(t, f))
	}
	l.write("s", note{box: "a"}) // by another process
	b.Offer("0", l.write("s", note{box: "a"}))
	notes, err := f.Next(t.Context(), 50*time.Millisecond)
	require.NoError(t, err)
	require.Empty(t, notes, "it does not follow what was handed on")
	l.away.Store(false)
	require.Equal(t, []int64{23, 24}, b.nextOf(t, f, 2))
}

func TestSlowFollowerReadsForItself(t *testing.T) {
	t.Parallel()
	l := newLedger()
	b := setup(t, l)
	slow, other := b.follow(t, "a"), b.follow(t, "b")
	for _, f := range []*feed.Follower[note]{slow, other} {
		notes, err := f.Next(t.Context(), time.Millisecond)
		require.NoError(t, err)
		require.Empty(t, notes)
	}
	const n = 1000
	for range n {
		l.write("s", note{box: "a"})
	}
	l.write("s", note{box: "b"})
	b.Wake()
	require.Equal(t, []int64{n + 1}, b.next(t, other), "the tail has passed all")
	for want := int64(1); want <= n; {
		for _, seq := range b.next(t, slow) {
			require.Equal(t, want, seq)
			want++
		}
	}
	require.Greater(t, b.counts.caughtUp.Load(), int64(n/10), "by pages of ten, not out of memory")
}

func TestLongEntriesAreReadByThoseTheyConcern(t *testing.T) {
	t.Parallel()
	l := newLedger()
	b := setup(t, l)
	f := b.follow(t, "a")
	_, err := f.Next(t.Context(), time.Millisecond)
	require.NoError(t, err)
	l.write("s", note{box: "a"})
	l.write("s", note{box: "a", long: true})
	l.write("s", note{box: "a"})
	b.Wake()
	require.Equal(t, []int64{1, 2, 3}, b.nextOf(t, f, 3))
	require.Equal(t, int64(2), b.counts.caughtUp.Load())
}

func TestBackendThatIsAwayIsTold(t *testing.T) {
	t.Parallel()
	l := newLedger()
	b := setup(t, l)
	l.away.Store(true)
	_, err := b.Follow(t.Context(), b.spec("a", nil, 10))
	require.ErrorIs(t, err, errAway)
	require.Zero(t, b.counts.following.Load())

	l.away.Store(false)
	f := b.follow(t, "a")
	_, err = f.Next(t.Context(), time.Millisecond)
	require.NoError(t, err)
	l.away.Store(true)
	l.write("s", note{box: "a"})
	b.Wake()
	notes, err := f.Next(t.Context(), 50*time.Millisecond)
	require.NoError(t, err)
	require.Empty(t, notes, "who follows waits for it to come back")
	l.away.Store(false)
	require.Equal(t, []int64{1}, b.next(t, f))
}

func TestStopEndsFollowing(t *testing.T) {
	t.Parallel()
	b := setup(t, newLedger())
	f := b.follow(t, "a")
	_, err := f.Next(t.Context(), time.Millisecond)
	require.NoError(t, err)
	go close(b.stop)
	_, err = f.Next(t.Context(), soon)
	require.ErrorIs(t, err, feed.ErrClosed)
	_, err = f.Next(t.Context(), soon)
	require.ErrorIs(t, err, feed.ErrClosed)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = setup(t, newLedger()).Follow(ctx, b.spec("a", nil, 10))
	if err != nil { // the tail may have been quicker
		require.ErrorIs(t, err, context.Canceled)
	}
}
