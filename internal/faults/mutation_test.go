package faults

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// TestNormalBuildsHaveEveryDefence: the files that leave one out belong to a build tag each, which
// no normal build has, and each has a counterpart that goes with the same tag.
func TestNormalBuildsHaveEveryDefence(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	var mutated []string
	require.NoError(t, filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
		if strings.HasSuffix(path, "_mutated.go") {
			mutated = append(mutated, path)
		}
		return err
	}))
	tagged := map[string]string{} // by tag: the folder
	for _, path := range mutated {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		found := regexp.MustCompile(`^//go:build (mutate_[a-z]+)\n`).FindSubmatch(text)
		require.NotNil(t, found, "%s needs a build tag of its own", path)
		counterpart, err := os.ReadFile(strings.Replace(path, "_mutated.go", ".go", 1))
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(string(counterpart), "//go:build !"+string(found[1])+"\n"), "the counterpart of %s", path)
		tagged[string(found[1])] = filepath.Dir(path)
	}
	for _, trial := range trials() {
		for _, tag := range trial.tags {
			require.NotEmpty(t, tagged[tag], "trial %s: nothing has the tag %s", trial.name, tag)
		}
	}
	out, err := exec.CommandContext(t.Context(), "go", "list", "-f", `{{range .GoFiles}}{{.}} {{end}}`, "github.com/parkinglot/parkinglot/...").Output()
	require.NoError(t, err)
	require.NotContains(t, string(out), "_mutated.go")
	for tag, dir := range tagged {
		out, err := exec.CommandContext(t.Context(), "go", "build", "-tags", tag, dir).CombinedOutput()
		require.NoError(t, err, "%s does not build:\n%s", tag, out)
	}
}

// TestOnlyAStandstillIsForgiven: in the one trial that may stand still, and only if something held.
func TestOnlyAStandstillIsForgiven(t *testing.T) {
	t.Parallel()
	held := map[string]int{"guard": 1}
	tests := map[string]struct {
		trial   trial
		found   []What
		turns   map[string]int
		verdict string // what it begins with
	}{
		"nothing found":        {trial{still: true, held: "guard"}, nil, held, "holds, "},
		"a standstill":         {trial{still: true, held: "guard"}, []What{Stuck, Stuck}, held, "holds and stands still, "},
		"more than that":       {trial{still: true, held: "guard"}, []What{Stuck, Answers}, held, "VIOLATED, "},
		"not ended, not stuck": {trial{still: true, held: "guard"}, []What{Unended}, held, "VIOLATED, "},
		"nothing held":         {trial{still: true, held: "guard"}, []What{Stuck}, nil, "NOTHING HELD, "},
		"where none is to be":  {trial{held: "guard"}, []What{Stuck}, held, "VIOLATED, "},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &Result{Turns: test.turns}
			for _, what := range test.found {
				r.addf(what, "found")
			}
			verdict, err := test.trial.judge(r, "")
			require.True(t, strings.HasPrefix(verdict, test.verdict), verdict)
			require.Equal(t, strings.HasPrefix(test.verdict, "holds"), err == nil)
		})
	}
}

// TestAProcessOfAStuckPoolMayLeaveAttempts: by the status it says so with, and by no other end.
func TestAProcessOfAStuckPoolMayLeaveAttempts(t *testing.T) {
	t.Parallel()
	left := "work-1: asked to stop: it ended with 1:\n{}\nparkinglot: 1 attempts could not be settled before the end\n"
	stuck := map[domain.PoolID]bool{poolFleet: true}
	for name, test := range map[string]struct {
		behind  map[domain.PoolID]bool
		message string
		what    What
	}{
		"stuck":      {stuck, left, Stuck},
		"not stuck":  {nil, left, Exits},
		"by itself":  {stuck, "work-1: it ended by itself with 1 (<nil>):\n{}\nparkinglot: 1 attempts could not be settled before the end\n", Exits},
		"a panic":    {stuck, "work-1: asked to stop: it ended with 2:\npanic: x\n", Exits},
		"other ends": {stuck, "serve-1: asked to stop: it ended with 1:\nparkinglot: no such file\n", Exits},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &Result{behind: test.behind}
			r.exits([]string{test.message})
			require.Equal(t, []Violation{{What: test.what, Message: test.message}}, r.Violations)
		})
	}
}
