package faults

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
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
