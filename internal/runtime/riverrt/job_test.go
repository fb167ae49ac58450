package riverrt_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/runtime/riverrt"
)

// riversRule is what River takes as a queue's name, up to 64 characters.
var riversRule = regexp.MustCompile(`^(?:[a-z0-9])+(?:[_|\-]?[a-z0-9]+)*$`)

func TestQueueName(t *testing.T) {
	t.Parallel()

	require.Equal(t, "p_llm", riverrt.QueueName("llm"))
	require.Equal(t, "p_gpu-a100_1", riverrt.QueueName("gpu-a100_1"))
	for _, pool := range []domain.PoolID{"LLM", "a.b", "a:b", "a__b", "-a", "_", "p_", domain.PoolID(strings.Repeat("x", 63))} {
		require.Regexp(t, "^h_[0-9a-f]{40}$", riverrt.QueueName(pool))
	}
}

func TestQueueNamesAreRiversAndDiffer(t *testing.T) {
	t.Parallel()

	rapid.Check(t, func(t *rapid.T) {
		id := rapid.StringMatching(`[A-Za-z0-9._:\-]{1,80}`)
		a, b := domain.PoolID(id.Draw(t, "a")), domain.PoolID(id.Draw(t, "b"))
		for _, pool := range []domain.PoolID{a, b} {
			name := riverrt.QueueName(pool)
			require.LessOrEqual(t, len(name), 64)
			require.Regexp(t, riversRule, name)
		}
		if a != b {
			require.NotEqual(t, riverrt.QueueName(a), riverrt.QueueName(b))
		}
	})
}
