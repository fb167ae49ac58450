package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/api"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store"
)

const (
	post       = http.MethodPost
	get        = http.MethodGet
	tasksPath  = "/pools/llm/tasks"
	goodTask   = `{"taskId":"t-1","resourceCost":{"units":4}}`
	batchPath  = tasksPath + ":batch"
	settlePath = tasksPath + "/t-1/settle"
)

func TestSubmitHandsOverEveryField(t *testing.T) {
	t.Parallel()
	b := setup(t, &fake{})
	res := b.do(t, post, tasksPath, `{"taskId":"A.z_0:-","tenant":"acme","priority":"critical",
		"resourceCost":{"kind":"gpuVram","units":4},"deadline":"2026-03-01T14:00:00.1234567+02:00","timeoutSecs":1.5,
		"maxAttempts":3,"executor":"gpu","mailboxKey":{"tenant":"t","userId":"u","sessionId":"s"},
		"payload": {"big": 12345678901234567890, "a":1} ,"labels":{"run":"nightly: 1"}}`)
	require.Equal(t, http.StatusAccepted, res.status, res.body)
	require.JSONEq(t, `{"taskId":"A.z_0:-","poolId":"llm","status":"running","jobId":7,"submission":1}`, res.body)

	require.Len(t, b.submitted, 1)
	got := b.submitted[0]
	require.Len(t, got.BodyHash, 32)
	got.BodyHash = nil
	deadline := time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)
	require.Equal(t, plan.Submit{
		TaskID: "A.z_0:-", Tenant: "acme", Priority: domain.PriorityCritical, Kind: domain.KindGPUVRAM, Units: 4,
		Deadline: &deadline, Timeout: 1500 * time.Millisecond, MaxAttempts: 3, Executor: "gpu",
		Mailbox: &domain.MailboxKey{Tenant: "t", UserID: "u", SessionID: "s"},
		Payload: []byte(`{"big": 12345678901234567890, "a":1}`), Labels: map[string]string{"run": "nightly: 1"},
	}, got)
}

func TestSubmitFillsInTheTenant(t *testing.T) {
	t.Parallel()
	for body, tenant := range map[string]domain.Tenant{
		goodTask: "default",
		`{"taskId":"t","resourceCost":{"units":1},"mailboxKey":{"tenant":"box"}}`:                "box",
		`{"taskId":"t","resourceCost":{"units":1},"mailboxKey":{"tenant":"box"},"tenant":"own"}`: "own",
		`{"taskId":"t","resourceCost":{"units":1},"mailboxKey":null,"payload":null}`:             "default",
	} {
		b := setup(t, &fake{})
		require.Equal(t, http.StatusAccepted, b.do(t, post, tasksPath, body).status, body)
		require.Equal(t, tenant, b.submitted[0].Tenant, body)
		require.Nil(t, b.submitted[0].Payload)
		require.Equal(t, "default", b.submitted[0].Executor)
		require.Equal(t, domain.PriorityNormal, b.submitted[0].Priority)
	}
}

func TestSubmitHashesWhatWasMeant(t *testing.T) {
	t.Parallel()
	b := setup(t, &fake{})
	hash := func(body string) string {
		require.Equal(t, http.StatusAccepted, b.do(t, post, tasksPath, body).status, body)
		return string(b.submitted[len(b.submitted)-1].BodyHash)
	}
	base := hash(`{"taskId":"t-1","resourceCost":{"kind":"cpu","units":4},"payload":{"b":[1,2.0],"a":"x"}}`)
	require.Equal(t, base, hash(` {"payload" : {"a":"\u0078", "b":[1, 2.0]}, "resourceCost":{"units":4,"kind":"cpu"},`+"\n"+`"taskId":"\u0074-1"}`))
	for _, other := range []string{
		`{"taskId":"t-2","resourceCost":{"kind":"cpu","units":4},"payload":{"b":[1,2.0],"a":"x"}}`,
		`{"taskId":"t-1","resourceCost":{"kind":"cpu","units":4},"payload":{"b":[1,2],"a":"x"}}`,
		`{"taskId":"t-1","resourceCost":{"kind":"cpu","units":4},"payload":{"b":[2.0,1],"a":"x"}}`,
		`{"taskId":"t-1","resourceCost":{"kind":"cpu","units":4},"payload":{"b":[1,2.0],"a":"x"},"priority":"normal"}`,
		`{"taskId":"t-1","resourceCost":{"kind":"cpu","units":4},"payload":null}`,
		`{"taskId":"t-1","resourceCost":{"kind":"cpu","units":4}}`,
	} {
		require.NotEqual(t, base, hash(other), other)
	}
}

func TestSubmitRefusesWithTheFault(t *testing.T) {
	t.Parallel()
	b := setup(t, &fake{})
	with := func(fields string) string { return `{"taskId":"t","resourceCost":{"units":1},` + fields + `}` }
	for body, location := range map[string]string{
		`[]`:                           "body",
		`"x"`:                          "body",
		`null`:                         "body",
		`{"taskId":"t"}`:               "body.resourceCost",
		`{"resourceCost":{"units":1}}`: "body.taskId",
		`{"taskId":"","resourceCost":{"units":1}}`:                                 "body.taskId",
		`{"taskId":"a/b","resourceCost":{"units":1}}`:                              "body.taskId",
		`{"taskId":"ä","resourceCost":{"units":1}}`:                                "body.taskId",
		`{"taskId":7,"resourceCost":{"units":1}}`:                                  "body.taskId",
		`{"taskId":null,"resourceCost":{"units":1}}`:                               "body.taskId",
		`{"taskId":"` + strings.Repeat("x", 201) + `","resourceCost":{"units":1}}`: "body.taskId",
		`{"taskId":"t","taskId":"u","resourceCost":{"units":1}}`:                   "body.taskId",
		`{"taskId":"t","TaskId":"u","resourceCost":{"units":1}}`:                   "body.TaskId",
		`{"taskId":"t","resourceCost":4}`:                                          "body.resourceCost",
		`{"taskId":"t","resourceCost":{}}`:                                         "body.resourceCost.units",
		`{"taskId":"t","resourceCost":{"units":0}}`:                                "body.resourceCost.units",
		`{"taskId":"t","resourceCost":{"units":-1}}`:                               "body.resourceCost.units",
		`{"taskId":"t","resourceCost":{"units":1.5}}`:                              "body.resourceCost.units",
		`{"taskId":"t","resourceCost":{"units":"4"}}`:                              "body.resourceCost.units",
		`{"taskId":"t","resourceCost":{"units":1e300}}`:                            "body.resourceCost.units",
		`{"taskId":"t","resourceCost":{"units":1000000001}}`:                       "body.resourceCost.units",
		`{"taskId":"t","resourceCost":{"units":99999999999999999999}}`:             "body.resourceCost.units",
		`{"taskId":"t","resourceCost":{"units":1,"kind":"ram"}}`:                   "body.resourceCost.kind",
		`{"taskId":"t","resourceCost":{"units":1,"x":1}}`:                          "body.resourceCost.x",
		with(`"priority":"urgent"`):                                                "body.priority",
		with(`"priority":2`):                                                       "body.priority",
		with(`"tenant":""`):                                                        "body.tenant",
		with(`"tenant":"` + strings.Repeat("ä", 201) + `"`):                        "body.tenant",
		with(`"deadline":"tomorrow"`):                                              "body.deadline",
		with(`"deadline":"2026-02-30T00:00:00Z"`):                                  "body.deadline",
		with(`"deadline":1700000000`):                                              "body.deadline",
		with(`"timeoutSecs":0`):                                                    "body.timeoutSecs",
		with(`"timeoutSecs":-1`):                                                   "body.timeoutSecs",
		with(`"timeoutSecs":604801`):                                               "body.timeoutSecs",
		with(`"timeoutSecs":"60"`):                                                 "body.timeoutSecs",
		with(`"maxAttempts":0`):                                                    "body.maxAttempts",
		with(`"maxAttempts":101`):                                                  "body.maxAttempts",
		with(`"executor":"rm -rf"`):                                                "body.executor",
		with(`"mailboxKey":"acme"`):                                                "body.mailboxKey",
		with(`"mailboxKey":{}`):                                                    "body.mailboxKey.tenant",
		with(`"mailboxKey":{"tenant":"t","sessionId":"s"}`):                        "body.mailboxKey.sessionId",
		with(`"mailboxKey":{"tenant":"t","userId":""}`):                            "body.mailboxKey.userId",
		with(`"labels":["a"]`):                                                     "body.labels",
		with(`"labels":{"a":1}`):                                                   "body.labels.a",
		with(`"labels":{"a:b":"c"}`):                                               "body.labels.a:b",
		with(`"labels":{"a":"b","a":"c"}`):                                         "body.labels.a",
		with(`"unknown":1`):                                                        "body.unknown",
		with(`"payload":{"a":["x\u0000"]}`):                                        "body.payload.a[0]",
		with(`"payload":"\\\u0000"`):                                               "body.payload",
		with(`"payload":{"\u0000":1}`):                                             "body.payload.\x00",
		with(`"tenant":"a\u0000"`):                                                 "body.tenant",
		with(`"payload":` + strings.Repeat("[", 250) + strings.Repeat("]", 250)):   "body.payload" + strings.Repeat("[0]", 199),
	} {
		p := b.do(t, post, tasksPath, body).problem(t, http.StatusUnprocessableEntity, domain.CodeInvalid)
		require.NotEmpty(t, p.Errors, body)
		require.Equal(t, location, p.Errors[0].Location, body)
		require.NotEmpty(t, p.Errors[0].Message, body)
	}
	require.Empty(t, b.submitted, "nothing of a refused submission may get through")
}

func TestSubmitListsEveryFaultAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, &fake{})
	p := b.do(t, post, tasksPath, `{"taskId":"/","tenant":"","resourceCost":{"units":0,"kind":"x"},"priority":"x",
		"deadline":"x","payload":"\u0000","colour":"red"}`).problem(t, http.StatusUnprocessableEntity, domain.CodeInvalid)
	var locations []string
	for _, e := range p.Errors {
		locations = append(locations, e.Location)
	}
	require.ElementsMatch(t, []string{
		"body.payload", "body.taskId", "body.tenant", "body.resourceCost.units", "body.resourceCost.kind",
		"body.priority", "body.deadline", "body.colour",
	}, locations)
}

func TestSubmitListsWhatThePoolWouldRefuseAsWell(t *testing.T) {
	t.Parallel()
	b := setup(t, &fake{pools: []store.PoolView{{Pool: domain.Pool{
		PoolID: "llm", MaxUnits: 8, DefaultTimeout: time.Minute, Executors: []string{"default"},
	}}}})
	body := `{"taskId":"/","resourceCost":{"units":9},"deadline":"2026-03-01T12:00:00Z","executor":"gpu"}`
	p := b.do(t, post, tasksPath, body).problem(t, http.StatusUnprocessableEntity, domain.CodeInvalid)
	var locations []string
	for _, e := range p.Errors {
		locations = append(locations, e.Location)
	}
	require.Equal(t, []string{"body.taskId", "body.resourceCost.units", "body.deadline", "body.executor"}, locations)
	b.do(t, post, "/pools/none/tasks", body).problem(t, http.StatusNotFound, domain.CodeUnknownPool)
	b.err = domain.Errorf(domain.CodeUnavailable, "no database")
	p = b.do(t, post, tasksPath, body).problem(t, http.StatusUnprocessableEntity, domain.CodeInvalid)
	require.Len(t, p.Errors, 1)
}

func TestSubmitLimitsLabelsAndFaults(t *testing.T) {
	t.Parallel()
	b := setup(t, &fake{})
	var labels, nuls []string
	for i := range 200 {
		labels = append(labels, fmt.Sprintf(`"l%d":"x"`, i))
		nuls = append(nuls, `"\u0000"`)
	}
	p := b.do(t, post, tasksPath, `{"taskId":"t","resourceCost":{"units":1},"labels":{`+strings.Join(labels, ",")+`}}`).
		problem(t, http.StatusUnprocessableEntity, domain.CodeInvalid)
	require.Equal(t, "body.labels", p.Errors[0].Location)
	p = b.do(t, post, tasksPath, `{"taskId":"t","resourceCost":{"units":1},"payload":[`+strings.Join(nuls, ",")+`]}`).
		problem(t, http.StatusUnprocessableEntity, domain.CodeInvalid)
	require.Len(t, p.Errors, 100)
}

func TestSubmitRefusesBodiesThatAreNone(t *testing.T) {
	t.Parallel()
	b := setup(t, &fake{})
	for _, body := range []string{`{`, `{"taskId":}`, `{} {}`, ` `, `{"taskId":"t",}`, "{\"taskId\":\"\xff\"}", "{\"a\":\"\x00\"}"} {
		b.do(t, post, tasksPath, body).problem(t, http.StatusBadRequest, domain.CodeMalformed)
	}
	b.do(t, post, tasksPath, "").problem(t, http.StatusBadRequest, domain.CodeMalformed)
	for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "application/xml", "nonsense/", "application/json; charset=latin1"} {
		b.do(t, post, tasksPath, goodTask, "Content-Type", kind).problem(t, http.StatusUnsupportedMediaType, domain.CodeUnsupported)
	}
	for _, kind := range []string{"application/json; charset=UTF-8", "application/vnd.parkinglot+json"} {
		require.Equal(t, http.StatusAccepted, b.do(t, post, tasksPath, goodTask, "Content-Type", kind).status)
	}
	require.Len(t, b.submitted, 2)
}

func TestSubmitLimitsThePayload(t *testing.T) {
	t.Parallel()
	b := setup(t, &fake{})
	body := func(n int) string {
		return `{"taskId":"t","resourceCost":{"units":1},"payload":"` + strings.Repeat("x", n-2) + `"}`
	}
	require.Equal(t, http.StatusAccepted, b.do(t, post, tasksPath, body(api.MaxPayloadBytes)).status)
	b.do(t, post, tasksPath, body(api.MaxPayloadBytes+1)).problem(t, http.StatusRequestEntityTooLarge, domain.CodeTooLarge)
	b.do(t, post, tasksPath, body(3*api.MaxPayloadBytes)).problem(t, http.StatusRequestEntityTooLarge, domain.CodeTooLarge)
	require.Len(t, b.submitted, 1)
}

func TestSubmitAnswersErrorsByTheTable(t *testing.T) {
	t.Parallel()
	for code, status := range map[domain.Code]int{
		domain.CodeQueueFull: 409, domain.CodeTenantQueueFull: 409, domain.CodeCapacityZero: 409,
		domain.CodePoolDraining: 409, domain.CodePoolDisabled: 409, domain.CodeTaskExists: 409, domain.CodeConflict: 409,
		domain.CodeTaskFinal: 409, domain.CodeUnknownPool: 404, domain.CodeUnknownTask: 404, domain.CodeInvalid: 422,
		domain.CodeUnavailable: 503, domain.CodeTooLarge: 413, domain.CodeMalformed: 400, domain.CodeUnsupported: 415,
	} {
		b := setup(t, &fake{answer: func(plan.Submit) plan.Answer {
			return plan.Answer{Err: &domain.Error{Code: code, Message: "because", Faults: []domain.Fault{
				{Location: "body.resourceCost.units", Message: "is more than the pool has", Value: 90},
				{Location: "body.deadline", Message: "is in the past"},
			}}}
		}})
		res := b.do(t, post, tasksPath, goodTask)
		p := res.problem(t, status, code)
		require.Equal(t, "because", p.Detail)
		require.Len(t, p.Errors, 2)
		require.Equal(t, "body.deadline", p.Errors[1].Location)
		switch code {
		case domain.CodeQueueFull, domain.CodeTenantQueueFull, domain.CodeUnavailable:
			require.Equal(t, "1", res.header.Get("Retry-After"), code)
		default:
			require.Empty(t, res.header.Get("Retry-After"), code)
		}
	}
}

func TestSubmitRoundsRetryAfterUp(t *testing.T) {
	t.Parallel()
	b := setup(t, &fake{err: fmt.Errorf("submit: %w", &domain.Error{
		Code: domain.CodeUnavailable, Message: "no database", RetryAfter: 1200 * time.Millisecond,
	})})
	res := b.do(t, post, tasksPath, goodTask)
	res.problem(t, http.StatusServiceUnavailable, domain.CodeUnavailable)
	require.Equal(t, "2", res.header.Get("Retry-After"))
}

func TestSubmitAnswersAKnownTaskAsAtFirst(t *testing.T) {
	t.Parallel()
	later := now.Add(time.Second)
	for name, c := range map[string]struct {
		task   domain.Task
		starts []domain.Event // at the instant of its creation
		status string
	}{
		"started on arrival": {domain.Task{Status: domain.StatusCompleted, Attempt: 1, CreatedAt: now, StartedAt: &now}, nil, "running"},
		"queued, then ran":   {domain.Task{Status: domain.StatusCompleted, Attempt: 1, CreatedAt: now, StartedAt: &later}, nil, "queued"},
		"still queued":       {domain.Task{Status: domain.StatusQueued, CreatedAt: now}, nil, "queued"},
		"tried again after its start on arrival": {
			domain.Task{PoolID: "llm", TaskID: "t-1", Status: domain.StatusQueued, Attempt: 2, CreatedAt: now, StartedAt: &later},
			[]domain.Event{{Kind: domain.EventStart}}, "running",
		},
		"queued, then tried again": {domain.Task{PoolID: "llm", TaskID: "t-1", Status: domain.StatusRunning, Attempt: 2, CreatedAt: now, StartedAt: &later}, nil, "queued"},
	} {
		b := setup(t, &fake{events: c.starts, answer: func(plan.Submit) plan.Answer { return plan.Answer{Known: true, Task: &c.task} }})
		res := b.do(t, post, tasksPath, goodTask)
		require.Equal(t, http.StatusAccepted, res.status, name)
		var got api.Admission
		res.into(t, &got)
		require.Equal(t, c.status, got.Status, name)
		require.True(t, got.Known)
		if c.task.Attempt > 1 {
			require.Equal(t, store.EventFilter{
				Pool: "llm", TaskID: "t-1", Kind: domain.EventStart, From: now, To: now.Add(time.Microsecond), Limit: 1,
			}, b.eventsF, "of its first start only the trail tells")
		}
	}
}

func TestBatchAnswersEachTaskInOrder(t *testing.T) {
	t.Parallel()
	b := setup(t, &fake{answer: func(s plan.Submit) plan.Answer {
		if s.TaskID == "full" {
			return plan.Answer{Err: domain.Errorf(domain.CodeQueueFull, "full")}
		}
		if s.TaskID == "late" {
			return plan.Answer{Err: &domain.Error{Code: domain.CodeInvalid, Message: "late", Faults: []domain.Fault{{Location: "body.deadline"}}}}
		}
		return plan.Answer{Position: 3, Task: &domain.Task{TaskID: s.TaskID, PoolID: "llm", Status: domain.StatusQueued}}
	}})
	res := b.do(t, post, batchPath, `{"tasks":[
		{"taskId":"a","resourceCost":{"units":1}},
		{"taskId":"/","resourceCost":{"units":0},"deadline":"2020-01-01T00:00:00Z"},
		{"taskId":"full","resourceCost":{"units":1}},
		7,
		{"taskId":"late","resourceCost":{"units":1}},
		{"taskId":"big","resourceCost":{"units":1},"payload":"`+strings.Repeat("x", api.MaxPayloadBytes)+`"},
		{"taskId":"z","resourceCost":{"units":1}}]}`)
	require.Equal(t, http.StatusOK, res.status, res.body)
	var got api.BatchResults
	res.into(t, &got)
	require.Len(t, got.Results, 7)
	for i, want := range []struct {
		status int
		task   string
		code   domain.Code
		first  string
		faults int
	}{
		{status: 202, task: "a"},
		{status: 422, code: domain.CodeInvalid, first: "body.tasks[1].taskId", faults: 3},
		{status: 409, code: domain.CodeQueueFull},
		{status: 422, code: domain.CodeInvalid, first: "body.tasks[3]", faults: 1},
		{status: 422, code: domain.CodeInvalid, first: "body.tasks[4].deadline", faults: 1},
		{status: 413, code: domain.CodeTooLarge},
		{status: 202, task: "z"},
	} {
		r := got.Results[i]
		require.Equal(t, want.status, r.Status, i)
		if want.task != "" {
			require.Equal(t, want.task, r.Task.TaskID)
			require.EqualValues(t, 3, r.Task.Position)
			require.Nil(t, r.Problem)
			continue
		}
		require.Equal(t, string(want.code), r.Problem.Code, i)
		require.Len(t, r.Problem.Errors, want.faults, i)
		if want.faults > 0 {
			require.Equal(t, want.first, r.Problem.Errors[0].Location)
		}
	}
}

func TestBatchNeedsAPool(t *testing.T) {
	t.Parallel()
	b := setup(t, &fake{})
	b.do(t, post, "/pools/none/tasks:batch", `{"tasks":[{"taskId":"/"}]}`).problem(t, http.StatusNotFound, domain.CodeUnknownPool)
	res := b.do(t, post, batchPath, `{"tasks":[{"taskId":"/"}]}`)
	require.Equal(t, http.StatusOK, res.status)
	require.Contains(t, res.body, `"status":422`)
	b.err = domain.Errorf(domain.CodeUnavailable, "no database")
	b.do(t, post, batchPath, `{"tasks":[`+goodTask+`]}`).problem(t, http.StatusServiceUnavailable, domain.CodeUnavailable)
}

func TestBatchIsBounded(t *testing.T) {
	t.Parallel()
	b := setup(t, &fake{})
	many := func(n int) string {
		tasks := make([]string, n)
		for i := range tasks {
			tasks[i] = fmt.Sprintf(`{"taskId":"t%d","resourceCost":{"units":1}}`, i)
		}
		return `{"tasks":[` + strings.Join(tasks, ",") + `]}`
	}
	require.Equal(t, http.StatusOK, b.do(t, post, batchPath, many(1000)).status)
	require.Len(t, b.submitted, 1000)
	for _, body := range []string{many(1001), many(0), `{"tasks":{}}`, `{}`, `{"tasks":[],"x":1}`} {
		b.do(t, post, batchPath, body).problem(t, http.StatusUnprocessableEntity, domain.CodeInvalid)
	}
	b.do(t, post, batchPath, strings.Repeat(" ", api.MaxBatchBytes)+"{}").problem(t, http.StatusRequestEntityTooLarge, domain.CodeTooLarge)
	require.Len(t, b.submitted, 1000)
}

func TestTaskShowsEverything(t *testing.T) {
	t.Parallel()
	at := func(s int) *time.Time { v := now.Add(time.Duration(s) * time.Second); return &v }
	b := setup(t, &fake{task: api.TaskView{Position: 2, Task: domain.Task{
		PoolID: "llm", TaskID: "t-1", JobID: 9, Submission: 2, Tenant: "acme", Requested: domain.PriorityHigh,
		Priority: domain.PriorityNormal, Kind: domain.KindIO, Units: 3, Status: domain.StatusRunning, Attempt: 2, MaxAttempts: 3,
		Executor: "default", Timeout: 1500 * time.Millisecond, Deadline: at(9), CreatedAt: now, StartedAt: at(1), CancelAsked: at(2),
		Holder: "w-1", Mailbox: &domain.MailboxKey{Tenant: "acme", UserID: "ada"}, Labels: map[string]string{"a": "b"},
		Reason: domain.Reason{Code: domain.ReasonWorkerLost, Message: "the worker went away"}, Result: []byte(`{"n":12345678901234567890}`),
	}}})
	res := b.do(t, get, tasksPath+"/t-1", "")
	require.Equal(t, http.StatusOK, res.status, res.body)
	require.JSONEq(t, `{"taskId":"t-1","poolId":"llm","jobId":9,"submission":2,"tenant":"acme","status":"running",
		"reason":{"code":"worker_lost","message":"the worker went away"},"attempt":2,"maxAttempts":3,"position":2,"priority":"high",
		"resourceCost":{"kind":"io","units":3},"executor":"default","timeoutSecs":1.5,"deadline":"2026-03-01T12:00:09Z",
		"createdAt":"2026-03-01T12:00:00Z","startedAt":"2026-03-01T12:00:01Z","cancelRequestedAt":"2026-03-01T12:00:02Z",
		"holder":"w-1","mailboxKey":{"tenant":"acme","userId":"ada"},"labels":{"a":"b"},"result":{"n":12345678901234567890}}`, res.body)
	require.Contains(t, res.body, "12345678901234567890")
}

func TestTaskWaits(t *testing.T) {
	t.Parallel()
	b := setup(t, &fake{})
	for text, wait := range map[string]time.Duration{
		"": 0, "?wait=30s": 30 * time.Second, "?wait=30": 30 * time.Second, "?wait=0.5": 500 * time.Millisecond,
		"?wait=1m30s": 90 * time.Second, "?wait=300": 5 * time.Minute, "?wait=0": 0,
	} {
		require.Equal(t, http.StatusOK, b.do(t, get, tasksPath+"/t"+text, "").status, text)
		require.Equal(t, wait, b.wait, text)
	}
	for _, text := range []string{"-1s", "5m1s", "soon", "NaN", "Inf", "1e99", "9999999999h"} {
		p := b.do(t, get, tasksPath+"/t?wait="+text, "").problem(t, http.StatusUnprocessableEntity, domain.CodeInvalid)
		require.Equal(t, "query.wait", p.Errors[0].Location)
	}
}

func TestTasksArePaged(t *testing.T) {
	t.Parallel()
	f := &fake{}
	for i := range 3 {
		f.tasks = append(f.tasks, domain.Task{TaskID: domain.TaskID(fmt.Sprint("t", i)), JobID: domain.JobID(30 - i), CreatedAt: now})
	}
	b := setup(t, f)
	var page api.TaskPage
	b.do(t, get, tasksPath+"?status=queued&tenant=acme&label=run:a:b&limit=2", "").into(t, &page)
	require.Len(t, page.Tasks, 2)
	require.Equal(t, domain.StatusQueued, f.tasksF.Status)
	require.Equal(t, domain.Tenant("acme"), f.tasksF.Tenant)
	require.Equal(t, [2]string{"run", "a:b"}, f.tasksF.Label)
	require.NotEmpty(t, page.NextCursor)

	cursor := page.NextCursor
	page = api.TaskPage{}
	b.do(t, get, tasksPath+"?limit=3&cursor="+cursor, "").into(t, &page)
	require.Equal(t, domain.JobID(29), f.tasksF.Before)
	require.Empty(t, page.NextCursor)
	b.do(t, get, "/pools/other/tasks?cursor="+cursor, "").problem(t, http.StatusUnprocessableEntity, domain.CodeInvalid)
	for _, query := range []string{"limit=0", "limit=501", "limit=x", "status=done", "status=submitted", "label=x", "label=:x", "cursor=!", "cursor=e30", "statsu=queued"} {
		b.do(t, get, tasksPath+"?"+query, "").problem(t, http.StatusUnprocessableEntity, domain.CodeInvalid)
	}
	p := b.do(t, get, tasksPath+"?limit=0&status=done&label=x&cursor=!", "").problem(t, http.StatusUnprocessableEntity, domain.CodeInvalid)
	require.Len(t, p.Errors, 4)

	f.tasks = nil
	require.JSONEq(t, `{"tasks":[]}`, b.do(t, get, tasksPath, "").body)
}

func TestCancelSettleAndBulkCancelNameTheActor(t *testing.T) {
	t.Parallel()
	b := setup(t, &fake{})
	require.Equal(t, http.StatusOK, b.do(t, http.MethodDelete, tasksPath+"/t-1", "", "X-Actor", " ada ").status)
	require.Equal(t, "ada", b.actor)
	require.JSONEq(t, `{"cancelled":3}`, b.do(t, http.MethodDelete, tasksPath+"?label=run:a:b", "").body)
	require.Equal(t, "127.0.0.1", b.actor)
	require.Equal(t, [2]string{"run", "a:b"}, b.label)
	b.do(t, http.MethodDelete, tasksPath, "").problem(t, http.StatusUnprocessableEntity, domain.CodeInvalid)

	require.Equal(t, http.StatusOK, b.do(t, post, settlePath, `{"status":"failed","reason":"stuck"}`, "X-Actor", "ops").status)
	require.Equal(t, plan.Force{TaskID: "t-1", Status: domain.StatusFailed, Actor: "ops",
		Reason: domain.Reason{Code: domain.ReasonForced, Message: "stuck"}}, b.force)
	require.Equal(t, http.StatusOK, b.do(t, post, settlePath, `{"status":"dropped","reason":{"code":"evicted","message":"m"}}`).status)
	require.Equal(t, domain.Reason{Code: domain.ReasonEvicted, Message: "m"}, b.force.Reason)
	for _, body := range []string{`{}`, `{"status":"running"}`, `{"status":"failed","reason":7}`, `{"status":"failed","actor":"x"}`, `{"status":"failed","reason":"\u0000"}`} {
		b.do(t, post, settlePath, body).problem(t, http.StatusUnprocessableEntity, domain.CodeInvalid)
	}
	b.do(t, post, settlePath, `{"reason":"`+strings.Repeat("x", 1<<17)+`"}`).problem(t, http.StatusRequestEntityTooLarge, domain.CodeTooLarge)
}
