package scheduler_test

import (
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails when a goroutine of the scheduler is left after its processes have
// stopped. What the shared test server leaves running is not ours.
func TestMain(m *testing.M) {
	code := m.Run()
	if err := goleak.Find(); code == 0 && err != nil && strings.Contains(err.Error(), "internal/scheduler.(") {
		_, _ = os.Stderr.WriteString("goroutines leaked: " + err.Error() + "\n") // nothing to do about a failure
		code = 1
	}
	os.Exit(code)
}
