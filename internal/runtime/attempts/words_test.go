package attempts_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/runtime/attempts"
	"github.com/parkinglot/parkinglot/workers"
)

// The public package names no internal type, so its words are its own; they must
// be those of the scheduler.
func TestWordsAreTheSame(t *testing.T) {
	t.Parallel()

	for verdict, want := range map[workers.Verdict]plan.Verdict{
		workers.Completed: plan.VerdictCompleted,
		workers.Failed:    plan.VerdictFailed,
		workers.TimedOut:  plan.VerdictTimedOut,
		workers.Cancelled: plan.VerdictCancelled,
		workers.HandBack:  plan.VerdictHandBack,
	} {
		require.Equal(t, want, plan.Verdict(verdict))
	}
	for code, want := range map[string]domain.ReasonCode{
		workers.CodeFailed:         domain.ReasonExecutorFailed,
		workers.CodePanicked:       domain.ReasonExecutorPanicked,
		workers.CodeUnknown:        domain.ReasonExecutorUnknown,
		workers.CodeTimeout:        domain.ReasonTimeout,
		workers.CodeCancelled:      domain.ReasonCancelled,
		workers.CodeLost:           domain.ReasonWorkerLost,
		workers.CodeResultTooLarge: domain.ReasonResultTooLarge,
		workers.CodeResultInvalid:  domain.ReasonResultInvalid,
	} {
		require.Equal(t, want, domain.ReasonCode(code))
	}
}

func TestReadRecord(t *testing.T) {
	t.Parallel()

	const line = `{"pid":7,"pool":"p","task":"t","job":1,"attempt":2,"units":3,"kind":"enter","wallTime":4,"mono":5}` + "\n"
	entries, err := attempts.ReadRecord(strings.NewReader(line + `{"pid":7,"po`))
	require.NoError(t, err)
	require.Equal(t, []attempts.RecordEntry{{
		PID: 7, Pool: "p", Task: "t", Job: 1, Attempt: 2, Units: 3, Kind: attempts.RecordEnter, WallUS: 4, MonoNS: 5,
	}}, entries, "what its writer did not finish is left out")

	_, err = attempts.ReadRecord(strings.NewReader(line + "nonsense\n" + line))
	require.ErrorContains(t, err, "line 2")
	_, err = attempts.OpenRecord(t.TempDir()+"/no/such/folder/record", nil)
	require.ErrorContains(t, err, attempts.RecordVariable)
}
