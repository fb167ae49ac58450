package replay_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/replay"
)

var update = flag.Bool("update", false, "write the shipped sample anew")

func rules() replay.Rules { return replay.Rules{MaxUnits: 80, Tenants: 2} }

func parse(t *testing.T, format replay.Format, text string) replay.Trace {
	t.Helper()
	trace, err := replay.Parse(format, strings.NewReader(text), rules())
	require.NoError(t, err)
	return trace
}

func TestParseCSV(t *testing.T) {
	t.Parallel()
	body := "10.5,3,250,acme,high,1000\n10,100,1.5,,,\n"
	want := []replay.Arrival{
		{At: 0, Units: 80, Duration: 1500 * time.Microsecond, Tenant: "default", Priority: domain.PriorityNormal},
		{
			At: 500 * time.Millisecond, Units: 3, Duration: 250 * time.Millisecond,
			Tenant: "acme", Priority: domain.PriorityHigh, Deadline: time.Second,
		},
	}
	for name, text := range map[string]string{
		"without header": body,
		"with header":    "at,units,durationMs,tenant,priority,deadlineMs\n" + body,
		"byte order":     "\ufeffat, units ,durationMs,tenant,priority,deadlineMs\n" + body,
		"other order":    "at,durationMs,units,deadlineMs,tenant,priority\n10.5,250,3,1000,acme,high\n10,1.5,100,,,\n",
		"times":          strings.NewReplacer("10.5", "2026-01-02T00:00:10.5Z", "10,", "2026-01-02T00:00:10Z,").Replace(body),
		"short rows":     "at,units,durationMs,tenant,priority,deadlineMs\n10.5,3,250,acme,high,1000\n10,100,1.5\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			trace := parse(t, replay.FormatCSV, text)
			require.Equal(t, want, trace.Arrivals)
			require.Equal(t, 1, trace.Clamped)
		})
	}
}

func TestParseAzure(t *testing.T) {
	t.Parallel()
	trace := parse(t, replay.FormatAzure, "TIMESTAMP,ContextTokens,GeneratedTokens\n"+
		"2023-11-16 18:17:03.9799600,4808,10\n2023-11-16 18:17:04.0319600,3,1\n2023-11-16 18:17:05.0319600,99999999999,0\n")
	require.Equal(t, replay.Arrival{
		Units: 19, Duration: 480800*time.Microsecond + 800*time.Millisecond, Tenant: "tenant-1", Priority: domain.PriorityNormal,
	}, trace.Arrivals[0])
	require.Equal(t, 52*time.Millisecond, trace.Arrivals[1].At)
	require.Equal(t, domain.Units(1), trace.Arrivals[1].Units)
	require.Equal(t, domain.Units(80), trace.Arrivals[2].Units)
}

func TestParseAlibaba(t *testing.T) {
	t.Parallel()
	trace := parse(t, replay.FormatAlibaba,
		"name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time\n"+
			"a,12000,16384,1,1000,,LS,Running,0,12537496,0\n"+ // runs for too long
			"b,6000,12288,1,460,,BE,Running,427061,427161,427091\n"+ // after a long pause
			"c,6000,12288,0,0,,Burstable,Pending,427062,427072,\n"+ // never scheduled, no GPU
			"d,6000,12288,8,1000,,Guaranteed,Running,427063,427064,427064\n")
	require.Equal(t, []replay.Arrival{
		{At: 0, Units: 10, Duration: 14400 * time.Millisecond, Tenant: "tenant-1", Priority: domain.PriorityHigh},
		{At: 1200 * time.Millisecond, Units: 5, Duration: 140 * time.Millisecond, Tenant: "tenant-1", Priority: domain.PriorityLow},
		{At: 1202 * time.Millisecond, Units: 1, Duration: 20 * time.Millisecond, Tenant: "tenant-1", Priority: domain.PriorityNormal},
		{At: 1204 * time.Millisecond, Units: 80, Duration: 0, Tenant: "tenant-2", Priority: domain.PriorityCritical},
	}, trace.Arrivals)
}

func TestParseNamesTheLineThatIsWrong(t *testing.T) {
	t.Parallel()
	const azure, alibaba = "TIMESTAMP,ContextTokens,GeneratedTokens\n", "num_gpu,gpu_milli,qos,creation_time,deletion_time,scheduled_time\n"
	tests := map[string]struct {
		format replay.Format
		text   string
		says   string
	}{
		"format":         {"vms", "", `unknown format "vms": use csv, azure-llm, alibaba-gpu`},
		"empty":          {replay.FormatCSV, "", "no tasks"},
		"header alone":   {replay.FormatAzure, azure, "no tasks"},
		"no header":      {replay.FormatAzure, "", "read the header"},
		"columns":        {replay.FormatAzure, "a,b\n", `no column "TIMESTAMP": its header is "a,b"`},
		"csv columns":    {replay.FormatCSV, "at,units\n", `no column "durationMs"`},
		"csv at":         {replay.FormatCSV, "0,1,1\nsoon,1,1\n", `line 2 of the trace: at "soon" must be seconds`},
		"csv NaN":        {replay.FormatCSV, "NaN,1,1\n", "must be seconds"},
		"csv units":      {replay.FormatCSV, "0,0,1\n", `units "0" must be a whole number of at least 1`},
		"csv duration":   {replay.FormatCSV, "0,1,-1\n", "durationMs"},
		"csv infinite":   {replay.FormatCSV, "0,1,Inf\n", "durationMs"},
		"csv priority":   {replay.FormatCSV, "0,1,1,a,urgent\n", "must be low, normal, high or critical"},
		"csv deadline":   {replay.FormatCSV, "0,1,1,a,low,x\n", "deadlineMs"},
		"csv quotes":     {replay.FormatCSV, "0,1,\"1\n", "read the trace"},
		"azure time":     {replay.FormatAzure, azure + "yesterday,1,1\n", "TIMESTAMP"},
		"azure tokens":   {replay.FormatAzure, azure + "2023-11-16 18:17:03.9799600,1,x\n", "GeneratedTokens"},
		"alibaba gpus":   {replay.FormatAlibaba, alibaba + "-1,0,LS,0,0,0\n", "num_gpu"},
		"alibaba milli":  {replay.FormatAlibaba, alibaba + "1,,LS,0,0,0\n", "gpu_milli"},
		"alibaba order":  {replay.FormatAlibaba, alibaba + "1,1,LS,5,4,0\n", "deletion_time"},
		"alibaba number": {replay.FormatAlibaba, alibaba + "1,1,LS,5,9,x\n", "scheduled_time"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := replay.Parse(test.format, strings.NewReader(test.text), rules())
			require.ErrorContains(t, err, test.says)
		})
	}
	_, err := replay.Parse(replay.FormatCSV, strings.NewReader("0,1,1\n"), replay.Rules{})
	require.ErrorContains(t, err, "nothing can be replayed")
}

func FuzzParse(f *testing.F) {
	f.Add("0,1,1,a,low,5\n")
	f.Add("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,4808,10\n")
	f.Add("num_gpu,gpu_milli,qos,creation_time,deletion_time,scheduled_time\n8,1000,LS,9223372036854775807,9223372036854775807,0\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, format := range replay.Formats() {
			trace, err := replay.Parse(format, strings.NewReader(text), rules())
			if err != nil {
				continue
			}
			for i, a := range trace.Scale(20).Arrivals {
				require.True(t, a.Units >= 1 && a.Units <= 80 && a.Duration > 0 && a.At >= 0 && a.Tenant != "", "%d: %+v", i, a)
			}
		}
	})
}

func TestScaleKeepsTheLoad(t *testing.T) {
	t.Parallel()
	trace := replay.Sample()
	fast := trace.Scale(20)
	require.InDelta(t, trace.Span().Seconds()/20, fast.Span().Seconds(), 1e-6)
	require.InDelta(t, trace.Load(80), fast.Load(80), 0.01)
	require.Len(t, trace.First(7).Arrivals, 7)
	require.Len(t, trace.First(0).Arrivals, len(trace.Arrivals))
}

// TestSampleIsTheOneThatIsMade also says that Synthetic makes the same trace on
// every machine. Run with -update to write it anew.
func TestSampleIsTheOneThatIsMade(t *testing.T) {
	t.Parallel()
	var made bytes.Buffer
	require.NoError(t, replay.WriteCSV(&made, replay.Sample()))
	path := filepath.Join("testdata", "llm-small.csv")
	if *update {
		require.NoError(t, os.WriteFile(path, made.Bytes(), 0o600))
		return // what is embedded is from before
	}
	shipped, err := os.ReadFile(path)
	require.NoError(t, err)
	require.True(t, bytes.Equal(shipped, made.Bytes()), "testdata/llm-small.csv is not what Sample makes: run go test -run Sample -update")

	demo, err := replay.Demo(rules())
	require.NoError(t, err)
	require.True(t, slices.Equal(replay.Sample().Arrivals, demo.Arrivals))
	require.InDelta(t, 0.85, demo.Load(80), 0.25)
	require.NotEqual(t, replay.Synthetic(50, 1, rules()), replay.Synthetic(50, 2, rules()))
}

// TestPublicTraces reads the real files where they are: in $PARKINGLOT_TRACES, or
// beside the repository. Without them the shipped sample stands for them.
func TestPublicTraces(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		format replay.Format
		file   string
		tasks  int
		span   time.Duration
		load   float64
	}{
		{replay.FormatAzure, "AzureLLMInferenceTrace_code.csv", 8819, 57 * time.Minute, 0.76},
		{replay.FormatAlibaba, "openb_pod_list_default.csv", 8152, 65 * time.Minute, 0.65},
	} {
		t.Run(string(test.format), func(t *testing.T) {
			t.Parallel()
			file, err := os.Open(filepath.Join(tracesDir(), test.file))
			if err != nil {
				trace, err := replay.Demo(rules())
				require.NoError(t, err)
				require.Len(t, trace.Arrivals, 600)
				return
			}
			defer file.Close()
			trace, err := replay.Parse(test.format, file, rules())
			require.NoError(t, err)
			require.Len(t, trace.Arrivals, test.tasks)
			require.InDelta(t, test.span.Minutes(), trace.Span().Minutes(), 1)
			require.InDelta(t, test.load, trace.Load(80), 0.02)
			require.Zero(t, trace.Clamped)
		})
	}
}

func tracesDir() string {
	if dir := os.Getenv("PARKINGLOT_TRACES"); dir != "" {
		return dir
	}
	return filepath.Join("..", "..", "..", "shared", "data")
}
