package config

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// contractJSON is the example that the contract at the edge shows.
const contractJSON = `{
  "database": {"url": "postgres://user:pass@localhost:5432/parking"},
  "defaults": {"default_timeout_secs": 60, "max_queue_depth": 1000, "queue_backend": "file",
               "mailbox_backend": "file", "runtime_adapter": "native", "priority_policy": "fair"},
  "pools": [
    {"pool_id": "llm", "name": "LLM inference", "max_units": 80, "max_queue_depth": 10000,
     "default_timeout_secs": 120, "queue_backend": "postgres", "mailbox_backend": "postgres",
     "runtime_adapter": "worker", "priority_policy": "fair", "resource_kind": "gpuVram",
     "max_overtakes": 16, "max_attempts": 1,
     "tenants": {"acme": {"weight": 3, "max_units": 60}},
     "executors": {"default": {"type": "http", "url": "http://127.0.0.1:8000/v1/completions"}}}
  ]
}`

func load(t *testing.T, name, text string, src Source) (*Config, error) {
	t.Helper()
	src.Path = filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(src.Path, []byte(text), 0o600))
	return Load(src)
}

func TestLoadContractExample(t *testing.T) {
	t.Parallel()
	cfg, err := load(t, "scheduler-config.json", contractJSON, Source{})
	require.NoError(t, err)
	require.Len(t, cfg.Pools, 1)
	require.Equal(t, domain.Pool{
		PoolID: "llm", Name: "LLM inference", State: domain.PoolActive, MaxUnits: 80, MaxQueueDepth: 10_000,
		DefaultTimeout: 2 * time.Minute, QueueBackend: domain.BackendPostgres, MailboxBackend: domain.BackendPostgres,
		Runtime: domain.RuntimeWorker, Policy: domain.PolicyFair, ResourceKind: domain.KindGPUVRAM,
		MaxOvertakes: 16, MaxAttempts: 1, RetryBackoff: domain.Backoff{Base: time.Second, Max: time.Minute},
		Tenants:   map[domain.Tenant]domain.TenantPolicy{"acme": {Weight: 3, MaxUnits: 60}},
		Executors: []string{"default"},
	}, cfg.Pools[0].Domain())
	require.Equal(t, []domain.Backend{domain.BackendPostgres}, cfg.Backends())
}

func TestLoadYAMLEqualsJSON(t *testing.T) {
	t.Parallel()
	fromJSON, err := load(t, "c.json", contractJSON, Source{})
	require.NoError(t, err)
	fromYAML, err := load(t, "c.yaml", contractJSON, Source{}) // JSON is YAML
	require.NoError(t, err)
	block, err := load(t, "c.yml", `
database: { url: "postgres://user:pass@localhost:5432/parking" }
defaults: { default_timeout_secs: 60, max_queue_depth: 1e3 }
pools:
  - pool_id: llm
    name: LLM inference
    max_units: 80
    max_queue_depth: 10000
    default_timeout_secs: 120
    queue_backend: postgres
    mailbox_backend: postgres
    runtime_adapter: worker
    resource_kind: gpuVram
    tenants: { acme: { weight: 3, max_units: 60 } }
    executors:
      default: { type: http, url: "http://127.0.0.1:8000/v1/completions" }
`, Source{})
	require.NoError(t, err)
	fromJSON.origin, fromYAML.origin, block.origin = "", "", ""
	require.Equal(t, fromJSON, fromYAML)
	require.Equal(t, fromJSON, block)
}

func TestDemo(t *testing.T) {
	t.Parallel()
	cfg, err := Load(Source{})
	require.NoError(t, err)
	require.Equal(t, []domain.Backend{domain.BackendFile}, cfg.Backends())
	require.Equal(t, "./data", cfg.DataDir)
	ids := map[string]int64{}
	for _, pool := range cfg.Pools {
		ids[pool.PoolID] = pool.MaxUnits
		require.Equal(t, int64(3), pool.MaxAttempts, "work cut off by a crash must run again")
	}
	require.Equal(t, map[string]int64{"demo": 8, "llm": 80}, ids)
}

func TestDemoMovesToPostgresWhenOneIsNamed(t *testing.T) {
	t.Parallel()
	const dsn = "postgres://u:p$w@localhost/db"
	for name, src := range map[string]Source{
		"environment": {Environ: []string{"PARKINGLOT_DATABASE_URL=" + dsn}},
		"flag":        {Flags: map[string]string{"database.url": dsn}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg, err := Load(src)
			require.NoError(t, err)
			require.Equal(t, dsn, cfg.Database.URL)
			require.Equal(t, []domain.Backend{domain.BackendPostgres}, cfg.Backends())
		})
	}
}

func TestLayersInOrder(t *testing.T) {
	t.Parallel()
	const text = `{"data_dir": "/file", "limits": {"grace_secs": 1, "heartbeat_ms": 100},
		"pools": [{"pool_id": "a", "max_units": 1}]}`
	cfg, err := load(t, "c.json", text, Source{
		Environ: []string{
			"PARKINGLOT_DATA_DIR=/env", "PARKINGLOT_LIMITS_GRACE_SECS=2", "PARKINGLOT_LIMITS_SAFETY_POLL_MS=",
			"PARKINGLOT_DEFAULTS_PRIORITY_POLICY=fifo", "PARKINGLOT_LISTEN=ignored here", "OTHER=1",
		},
		Flags: map[string]string{"limits.grace_secs": "3"},
	})
	require.NoError(t, err)
	require.Equal(t, "/env", cfg.DataDir)
	require.Equal(t, 3*time.Second, cfg.Limits.Grace())
	require.Equal(t, 100*time.Millisecond, cfg.Limits.Heartbeat())
	require.Equal(t, time.Second, cfg.Limits.SafetyPoll(), "an empty variable is not set")
	require.Equal(t, "fifo", cfg.Pools[0].PriorityPolicy)
}

func TestFaultsNameTheVariableTheyCameFrom(t *testing.T) {
	t.Parallel()
	_, err := Load(Source{Environ: []string{"PARKINGLOT_LIMITS_GRACE_SECS=soon"}})
	faults := Faults(err)
	require.Len(t, faults, 1)
	require.Equal(t, "limits.grace_secs", faults[0].Location)
	require.Contains(t, faults[0].Message, `must be an integer, not the string "soon" (set by PARKINGLOT_LIMITS_GRACE_SECS)`)
}

func TestVariablesAreExpanded(t *testing.T) {
	t.Parallel()
	const text = `{"database": {"url": "postgres://app:${PW}@$HOST/db"},
		"pools": [{"pool_id": "a", "max_units": 1, "executors": {"default": {"type": "http",
			"url": "http://$HOST/x?a=$$1", "headers": {"Authorization": "Bearer $TOKEN"}}}}]}`
	cfg, err := load(t, "c.json", text, Source{Environ: []string{"PW=s$HOST", "HOST=db.example", "TOKEN=t"}})
	require.NoError(t, err)
	require.Equal(t, "postgres://app:s$HOST@db.example/db", cfg.Database.URL, "a value is not expanded again")
	require.Equal(t, "http://db.example/x?a=$1", cfg.Pools[0].Executors["default"].URL)
	require.Equal(t, "Bearer t", cfg.Pools[0].Executors["default"].Headers["Authorization"])

	_, err = load(t, "c.json", text, Source{Environ: []string{"HOST=db.example"}})
	require.Equal(t, []string{"database.url", "pools[0].executors.default.headers.Authorization"}, locations(err))
}

func TestExpand(t *testing.T) {
	t.Parallel()
	env := map[string]string{"A": "1", "B_2": "2", "EMPTY": ""}
	for in, want := range map[string]string{
		"":           "",
		"plain":      "plain",
		"$A":         "1",
		"${A}x$B_2.": "1x2.",
		"$$A":        "$A",
		"$$$A":       "$1",
		"$":          "$",
		"a$ b$-":     "a$ b$-",
		"${A":        "${A",
		"${A-x}":     "${A-x}",
		"[$EMPTY]":   "[]",
		"$9":         "$9",
	} {
		got, missing := expand(in, env)
		require.Equal(t, want, got, in)
		require.Empty(t, missing, in)
	}
	_, missing := expand("$NO ${NEITHER} $A", env)
	require.Equal(t, []string{"NO", "NEITHER"}, missing)
}

func TestSchemaDescribesEveryField(t *testing.T) {
	t.Parallel()
	text, err := Schema()
	require.NoError(t, err)
	var schema map[string]any
	require.NoError(t, json.Unmarshal(text, &schema))
	var paths []string
	walkSchema(t, schema, "", &paths)
	var fields []string
	for _, f := range Fields() {
		require.NotEmpty(t, f.Doc, f.Path)
		fields = append(fields, f.Path)
	}
	require.ElementsMatch(t, fields, paths)
}

func walkSchema(t *testing.T, schema map[string]any, path string, paths *[]string) {
	t.Helper()
	switch {
	case schema["properties"] != nil:
		require.Equal(t, false, schema["additionalProperties"], path)
		for key, property := range schema["properties"].(map[string]any) {
			require.NotEmpty(t, property.(map[string]any)["description"], key)
			*paths = append(*paths, join(path, key))
			walkSchema(t, property.(map[string]any), join(path, key), paths)
		}
	case schema["items"] != nil:
		walkSchema(t, schema["items"].(map[string]any), path+"[]", paths)
	case schema["additionalProperties"] != nil:
		walkSchema(t, schema["additionalProperties"].(map[string]any), path+".*", paths)
	}
}
