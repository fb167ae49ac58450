package domain_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
)

func TestIDsSortAsTextInCommitOrder(t *testing.T) {
	t.Parallel()
	var ids []string
	for _, seq := range []int64{1, 2, 9, 10, 99, 1000, 1 << 40} {
		e := domain.Event{Source: "llm", Seq: seq}
		m := domain.Message{Source: "llm", Seq: seq}
		require.Equal(t, e.ID(), m.ID())
		ids = append(ids, e.ID())
	}
	require.True(t, slices.IsSorted(ids))
	require.Equal(t, "0000000000000001.llm", ids[0])
	largest := domain.Event{Source: "llm", Seq: math.MaxInt64}
	require.NotEmpty(t, largest.ID())
}

func TestErrors(t *testing.T) {
	t.Parallel()
	cause := errors.New("disk full")
	err := &domain.Error{
		Code: domain.CodeInvalid, Message: "two faults",
		Faults: []domain.Fault{{Location: "body.a", Message: "too big"}, {Location: "body.b", Message: "unknown"}}, Err: cause,
	}
	require.Equal(t, "invalid: two faults; body.a: too big; body.b: unknown: disk full", err.Error())
	require.ErrorIs(t, err, cause)

	require.Equal(t, domain.CodeInvalid, domain.CodeOf(fmt.Errorf("submitting: %w", err)))
	require.Equal(t, domain.CodeInternal, domain.CodeOf(cause))
	require.Empty(t, domain.CodeOf(nil))
	require.Equal(t, "conflict: attempt 3 is gone", domain.Errorf(domain.CodeConflict, "attempt %d is gone", 3).Error())
}
