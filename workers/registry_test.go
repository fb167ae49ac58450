package workers_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/workers"
)

func TestRegistryPrefersThePoolsOwn(t *testing.T) {
	t.Parallel()

	r := workers.NewRegistry()
	require.NoError(t, r.Register("default", returns(`"all"`, nil)))
	require.NoError(t, r.RegisterFor("llm", "default", returns(`"llm"`, nil)))
	require.NoError(t, r.RegisterFor("llm", "embed", returns(`"embed"`, nil)))

	run := func(pool, name string) string {
		e, ok := r.Lookup(pool, name)
		require.True(t, ok)
		return string(workers.Run(t.Context(), e, workers.Task{}, workers.Limits{}).Result)
	}
	require.Equal(t, `"llm"`, run("llm", "default"))
	require.Equal(t, `"all"`, run("garage", "default"))
	require.Equal(t, `"embed"`, run("llm", "embed"))
	_, ok := r.Lookup("garage", "embed")
	require.False(t, ok)
	require.Equal(t, []string{"default", "embed"}, r.Names("llm"))
	require.Equal(t, []string{"default"}, r.Names("garage"))
}

func TestRegistryRefuses(t *testing.T) {
	t.Parallel()

	r := workers.NewRegistry()
	require.NoError(t, r.Register("a", workers.Sleep()))
	require.NoError(t, r.RegisterFor("p", "a", workers.Sleep()))
	require.ErrorContains(t, r.Register("a", workers.Sleep()), `executor "a" is already registered`)
	require.ErrorContains(t, r.RegisterFor("p", "a", workers.Sleep()), `executor "a" of pool "p" is already registered`)
	require.ErrorContains(t, r.Register("", workers.Sleep()), "needs a name")
	require.ErrorContains(t, r.Register("b c", workers.Sleep()), "only A–Z")
	require.ErrorContains(t, r.Register(strings.Repeat("x", 201), workers.Sleep()), "at most 200")
	require.ErrorContains(t, r.Register("b", nil), "is nil")
}

func TestRegistryCloneIsApart(t *testing.T) {
	t.Parallel()

	r := workers.NewRegistry()
	require.NoError(t, r.Register("a", workers.Sleep()))
	c := r.Clone()
	require.NoError(t, c.Register("b", workers.Sleep()))
	require.Equal(t, []string{"a"}, r.Names(""))
	require.Equal(t, []string{"a", "b"}, c.Names(""))
}
