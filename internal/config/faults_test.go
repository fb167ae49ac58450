package config

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
)

func locations(err error) []string {
	var paths []string
	for _, f := range Faults(err) {
		paths = append(paths, f.Location)
	}
	return paths
}

// TestEveryFaultAtOnce is the promise: a file with many faults reports each, with
// its path, whatever else is wrong.
func TestEveryFaultAtOnce(t *testing.T) {
	t.Parallel()
	_, err := load(t, "c.json", `{
		"databse": {},
		"defaults": {"max_attempts": 0},
		"limits": {"heartbeat_ms": "often"},
		"pools": [
			{"pool_id": "a", "max_units": -1, "queue_backend": "postgres"},
			{"pool_id": "a", "max_units": "eight", "maxQueueDepth": 3},
			{"pool_id": "b c", "max_units": 5, "default_timeout_secs": 0, "priority_policy": "lifo"},
			{"pool_id": "w", "max_units": 5, "runtime_adapter": "worker", "tenants": {"x": {"max_units": 6}}},
			{"pool_id": "v", "max_units": 5, "runtime_adapter": "web", "executors": {"e": {"type": "sleep"}}},
			{"max_units": 1, "executors": {"one": {"type": "ftp"}, "two": {"type": "http"}, "three": {"type": "command", "argv": []},
			                               "four": {"type": "sleep", "url": "http://x"}, "f/ve": {"type": "sleep"}}},
			"pool"
		]}`, Source{})
	require.Equal(t, domain.CodeInvalid, domain.CodeOf(err))
	got := map[string]string{}
	for _, f := range Faults(err) {
		got[f.Location] = f.Message
	}
	require.Equal(t, map[string]string{
		"databse":                       "unknown field; did you mean database?",
		"defaults.max_attempts":         "must be at least 1, not 0",
		"limits.heartbeat_ms":           `must be an integer, not the string "often"`,
		"pools[0].max_units":            "must be at least 0, not -1",
		"pools[1].pool_id":              `"a" is already the id of pools[0]`,
		"pools[1].max_units":            `must be an integer, not the string "eight"`,
		"pools[1].maxQueueDepth":        "unknown field; did you mean max_queue_depth?",
		"pools[2].pool_id":              "must be 1–200 of A–Z a–z 0–9 . _ : -",
		"pools[2].default_timeout_secs": "must be at least 1, not 0",
		"pools[2].priority_policy":      `must be one of fifo, priority, fair, deadline, not "lifo"`,
		"pools[3].runtime_adapter":      "worker needs queue_backend postgres, not file: its jobs are handed out by River, which lives in Postgres",
		"pools[3].tenants.x.max_units":  "must be at most the pool's max_units (5), not 6",
		"pools[4].executors":            "does not belong to a pool whose runtime_adapter is web: what a task's executor names is up to its remote workers",
		"pools[5].pool_id":              "is missing",
		"pools[5].executors.one.type":   `must be one of http, command, sleep, not "ftp"`,
		"pools[5].executors.two.url":    "is missing: an http executor needs one",
		"pools[5].executors.three.argv": "must name the program to run",
		"pools[5].executors.four.url":   "does not belong to an executor of type sleep",
		"pools[5].executors.f/ve":       "its name must be 1–200 of A–Z a–z 0–9 . _ : -",
		"pools[6]":                      `must be an object, not the string "pool"`,
		"database.url":                  "is missing: pools[0] (a) is on the postgres backend; set it, --database-url or PARKINGLOT_DATABASE_URL",
	}, got)
	require.ErrorContains(t, err, fmt.Sprintf("%d faults", len(got)))
}

func TestFaults(t *testing.T) {
	t.Parallel()
	const pool = `"pools": [{"pool_id": "a", "max_units": 1}]`
	for name, test := range map[string]struct{ text, location, message string }{
		"no pools":            {`{}`, "pools", "is missing"},
		"empty pools":         {`{"pools": []}`, "pools", "at least one pool is needed"},
		"pools null":          {`{"pools": null}`, "pools", "must be a list, not null"},
		"pools object":        {`{"pools": {}}`, "pools", "must be a list, not an object"},
		"null number":         {`{"pools": [{"pool_id": "a", "max_units": null}]}`, "pools[0].max_units", "must be an integer, not null"},
		"fraction":            {`{"pools": [{"pool_id": "a", "max_units": 1.5}]}`, "pools[0].max_units", "must be an integer, not the number 1.5"},
		"huge":                {`{"pools": [{"pool_id": "a", "max_units": 1e300}]}`, "pools[0].max_units", "must be at most 1000000000"},
		"beyond float":        {`{"pools": [{"pool_id": "a", "max_units": 1e999}]}`, "pools[0].max_units", "must be an integer"},
		"boolean":             {`{"pools": [{"pool_id": true, "max_units": 1}]}`, "pools[0].pool_id", "must be a string, not true"},
		"NUL":                 {`{"data_dir": "a\u0000b", ` + pool + `}`, "data_dir", "must not contain NUL characters"},
		"defaults in pools":   {`{"defaults": {"runtime_adapter": "worker"}, ` + pool + `}`, "defaults.runtime_adapter", "worker needs queue_backend postgres"},
		"weight zero":         {`{"pools": [{"pool_id": "a", "max_units": 1, "tenants": {"t": {"weight": 0}}}]}`, "pools[0].tenants.t.weight", "must be at least 1"},
		"tenant null":         {`{"pools": [{"pool_id": "a", "max_units": 1, "tenants": {"t": null}}]}`, "pools[0].tenants.t", "must be an object, not null"},
		"backoff":             {`{"pools": [{"pool_id": "a", "max_units": 1, "retry_base_ms": 10, "retry_max_ms": 5}]}`, "pools[0].retry_max_ms", "must be at least retry_base_ms (10), not 5"},
		"time to live":        {`{"limits": {"heartbeat_ms": 2000, "worker_ttl_ms": 5000}, ` + pool + `}`, "limits.worker_ttl_ms", "three times heartbeat_ms (6000)"},
		"DSN":                 {`{"database": {"url": "postgres://u:secret@h:port/db"}, ` + pool + `}`, "database.url", "is no Postgres DSN"},
		"schema":              {`{"database": {"schema": "My Schema"}, ` + pool + `}`, "database.schema", "must be a plain SQL identifier"},
		"data_dir":            {`{"data_dir": "", ` + pool + `}`, "data_dir", "must not be empty"},
		"executor URL":        {`{"pools": [{"pool_id": "a", "max_units": 1, "executors": {"d": {"type": "http", "url": "ftp://x"}}}]}`, "pools[0].executors.d.url", "must be an http:// or https:// URL"},
		"executor header":     {`{"pools": [{"pool_id": "a", "max_units": 1, "executors": {"d": {"type": "http", "url": "http://x", "headers": {"a b": "c"}}}}]}`, "pools[0].executors.d.headers.a b", "no name of an HTTP header field"},
		"executor argv types": {`{"pools": [{"pool_id": "a", "max_units": 1, "executors": {"d": {"type": "command", "argv": [1]}}}]}`, "pools[0].executors.d.argv[0]", "must be a string, not the number 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := load(t, "c.json", test.text, Source{})
			faults := Faults(err)
			require.Len(t, faults, 1, "%v", faults)
			require.Equal(t, test.location, faults[0].Location)
			require.Contains(t, faults[0].Message, test.message)
			require.NotContains(t, err.Error(), "secret")
		})
	}
}

func TestUnreadableFiles(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ file, text, message string }{
		"empty":           {"c.json", "", "is not JSON: unexpected EOF (near line 1)"},
		"cut off":         {"c.json", "{\n\"pools\": [", "is not JSON: unexpected EOF (near line 2)"},
		"comma":           {"c.json", "{\"pools\": [],\n}", "is not JSON"},
		"list":            {"c.json", "[]", "must hold an object, not a list"},
		"two objects":     {"c.json", "{} {}", "there is more after the object"},
		"same key twice":  {"c.json", `{"pools": [{"pool_id": "a", "pool_id": "b"}]}`, "pools[0].pool_id is there twice"},
		"deep":            {"c.json", strings.Repeat("[", 1_000_000), "nested deeper than 32"},
		"large":           {"c.json", strings.Repeat(" ", MaxBytes+1), "is larger than"},
		"empty YAML":      {"c.yaml", "", "must hold an object, not null"},
		"broken YAML":     {"c.yaml", "pools: [", "is not YAML: line 1"},
		"YAML key twice":  {"c.yaml", "data_dir: a\ndata_dir: b\n", "already defined"},
		"two documents":   {"c.yaml", "pools: []\n---\npools: []\n", "more than one YAML document"},
		"deep YAML":       {"c.yaml", strings.Repeat("[", 100) + strings.Repeat("]", 100), "nested deeper than 32"},
		"alias of itself": {"c.yaml", "pools: &a [*a]", "is not YAML"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := load(t, test.file, test.text, Source{})
			require.ErrorContains(t, err, test.message)
			require.Equal(t, domain.CodeInvalid, domain.CodeOf(err))
		})
	}
	_, err := Load(Source{Path: filepath.Join(t.TempDir(), "none.json")})
	require.ErrorContains(t, err, "none.json")
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(contractJSON), false)
	f.Add(demo, true)
	f.Add([]byte(`{"pools": [{"pool_id": "a", "max_units": 1e30, "tenants": {"a.b": null}, "executors": {"x": {"type": "http", "url": "$A"}}}]}`), false)
	f.Add([]byte("? [a]\n: b\npools: [{1: 2}, ~, .nan, 2001-01-01, !!binary aGk=]"), true)
	f.Fuzz(func(t *testing.T, data []byte, yaml bool) {
		cfg, err := parse(data, parser{yaml: yaml}, Source{Path: "fuzz"})
		if err != nil {
			require.Equal(t, domain.CodeInvalid, domain.CodeOf(err), "%v", err)
			return
		}
		require.NotEmpty(t, cfg.Pools)
		seen := map[domain.PoolID]bool{}
		for i := range cfg.Pools {
			pool := cfg.Pools[i].Domain()
			require.Empty(t, checkFormat("id", string(pool.PoolID)))
			require.False(t, seen[pool.PoolID])
			seen[pool.PoolID] = true
			require.True(t, pool.MaxUnits >= 0 && pool.MaxUnits <= domain.MaxPoolUnits)
			require.Positive(t, pool.DefaultTimeout)
			require.GreaterOrEqual(t, pool.MaxAttempts, 1)
			require.True(t, pool.Runtime != domain.RuntimeWorker || pool.QueueBackend == domain.BackendPostgres)
		}
	})
}
