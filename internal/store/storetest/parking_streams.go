package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
)

var streamTests = map[string]func(*testing.T, *house){
	"events are numbered without a gap": testStreamEvents,
	"messages reach the mailbox":        testStreamMessages,
	"days to come":                      testStreamDays,
}

func testStreamEvents(t *testing.T, h *house) {
	h.facility(t, garage, nil)
	h.facility(t, "other", nil)
	for i := range 6 {
		id := []parking.FacilityID{garage, "other"}[i%2]
		err := h.InFacility(t.Context(), id, func(ctx context.Context, tx store.FacilityTx) error {
			for range 2 {
				e := event("parking.gate_open", fmt.Sprint("ticket:", i))
				e.Detail, e.Actor = []byte(`{"x" : "é"}`), "gate"
				require.NoError(t, tx.Record(ctx, e))
				require.Equal(t, id.Source(), e.Source)
				require.Equal(t, tx.Facility().Sequences.Event, e.Seq)
				require.Equal(t, tx.Now(), e.At)
			}
			if i == 2 {
				return errGaveUp
			}
			return nil
		})
		require.Equal(t, i == 2, err != nil)
		h.clock.Advance(time.Second)
	}
	events, err := h.Events(t.Context(), store.EventFilter{Kind: "parking.gate_open", Limit: 100})
	require.NoError(t, err)
	require.Len(t, events, 10)
	last := map[domain.Source]int64{}
	for _, e := range events {
		last[e.Source]++
		require.Equal(t, last[e.Source], e.Seq)
		require.JSONEq(t, `{"x":"é"}`, string(e.Detail))
	}
	found, err := h.Events(t.Context(), store.EventFilter{Subject: "ticket:4", Limit: 100})
	require.NoError(t, err)
	require.Len(t, found, 2)
}

func testStreamMessages(t *testing.T, h *house) {
	h.facility(t, garage, nil)
	key := domain.MailboxKey{Tenant: "acme", UserID: "zoë", SessionID: "s"}
	for i := range 3 {
		h.in(t, garage, func(ctx context.Context, tx store.FacilityTx) error {
			m := &domain.Message{Mailbox: key, Status: "offered", Payload: fmt.Appendf(nil, `{"n": %d}`, i)}
			err := tx.Post(ctx, m)
			require.Equal(t, garage.Source(), m.Source)
			require.Equal(t, int64(i+1), m.Seq)
			return firstOf(err, tx.Record(ctx, event("parking.offer")))
		})
	}
	messages, err := h.Messages(t.Context(), store.MailboxFilter{Tenant: "acme", UserID: "zoë", SessionID: &key.SessionID, Limit: 10})
	require.NoError(t, err)
	require.Len(t, messages, 3)
	for i, m := range messages {
		require.Equal(t, int64(i+1), m.Seq)
		require.Equal(t, key, m.Mailbox)
		require.Equal(t, domain.Status("offered"), m.Status)
		require.Equal(t, fmt.Sprintf(`{"n": %d}`, i), string(m.Payload))
	}
}

// testStreamDays changes a facility on a day that nobody has made room for.
func testStreamDays(t *testing.T, h *house) {
	h.facility(t, garage, row("a", parking.KindRegular, 1, 1, 3))
	h.vehicle(t, "v", parking.SizeMedium)
	h.clock.Advance(400 * 24 * time.Hour)
	enter := func() error {
		return h.InFacility(t.Context(), garage, func(ctx context.Context, tx store.FacilityTx) error {
			_, err := park(ctx, tx, "k", "v", "", "a01")
			return err
		})
	}
	if err := enter(); err != nil { // asked again, there is room
		require.ErrorIs(t, err, store.ErrUnavailable)
		h.agrees(t, garage)
		require.NoError(t, enter())
	}
	h.agrees(t, garage)
}
