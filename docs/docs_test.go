// Package docs_test checks that the documentation agrees with the code.
package docs_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/config"
)

var update = flag.Bool("update", false, "write the generated parts of the documentation anew")

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

func TestConfigurationNamesEveryField(t *testing.T) {
	t.Parallel()
	const file, begin, end = "configuration.md", "<!-- fields: written by go test ./docs -update -->\n", "<!-- end of fields -->"
	var table strings.Builder
	table.WriteString("| field | meaning | environment |\n|---|---|---|\n")
	for _, f := range config.Fields() {
		env := ""
		if f.Env != "" {
			env = "`" + f.Env + "`"
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", f.Path, strings.ReplaceAll(f.Doc, "|", `\|`), env)
	}
	text := read(t, file)
	head, rest, found := strings.Cut(text, begin)
	require.True(t, found)
	_, tail, found := strings.Cut(rest, end)
	require.True(t, found)
	want := head + begin + table.String() + end + tail
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(want), 0o600))
		return
	}
	require.Equal(t, want, text, "stale: go test ./docs -update")
}

func TestDependenciesHaveTheirReasons(t *testing.T) {
	t.Parallel()
	documented := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| \\S").FindAllStringSubmatch(read(t, "dependencies.md"), -1) {
		documented[m[1]] = true
	}
	direct := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\t(\S+) v\S+$`).FindAllStringSubmatch(read(t, "../go.mod"), -1) {
		direct[m[1]] = true
		require.True(t, covered(documented, m[1]), "%s has no reason in dependencies.md", m[1])
	}
	require.NotEmpty(t, direct)
	for module := range documented {
		require.True(t, direct[module], "%s is documented, but not required by go.mod", module)
	}
}

// covered: the module, or the one it is a part of, is in the list.
func covered(documented map[string]bool, module string) bool {
	for name := range documented {
		if module == name || strings.HasPrefix(module, strings.TrimSuffix(name, "/v2")+"/") {
			return true
		}
	}
	return false
}

func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	var pages []string
	for _, pattern := range []string{"../*.md", "*.md", "adr/*.md"} {
		found, err := filepath.Glob(pattern)
		require.NoError(t, err)
		pages = append(pages, found...)
	}
	links := regexp.MustCompile(`\]\(([^)#]+)(#[^)]*)?\)`)
	for _, page := range pages {
		for _, m := range links.FindAllStringSubmatch(read(t, page), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			_, err := os.Stat(filepath.Join(filepath.Dir(page), m[1]))
			require.NoError(t, err, "%s links to %s", page, m[1])
		}
	}
}

func TestEveryDecisionIsListed(t *testing.T) {
	t.Parallel()
	index := read(t, "adr/README.md")
	files, err := filepath.Glob("adr/0*.md")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		title, _, _ := strings.Cut(read(t, file), "\n")
		_, title, found := strings.Cut(title, ": ")
		require.True(t, found, file)
		require.Contains(t, index, "("+filepath.Base(file)+") | "+title)
	}
}

func TestChangelogHasItsShape(t *testing.T) {
	t.Parallel()
	text := read(t, "../CHANGELOG.md")
	require.Contains(t, text, "## [Unreleased]\n")
	require.Regexp(t, `(?m)^### (Added|Changed|Fixed|Removed)$`, text)
}

func TestOperationsNameEveryMetric(t *testing.T) {
	t.Parallel()
	page := read(t, "operations.md")
	sources, err := filepath.Glob("../internal/telemetry/*.go")
	require.NoError(t, err)
	names := regexp.MustCompile(`(?:histogram|counter|gauge|desc)\("([a-z_]+)"`)
	found := 0
	for _, source := range sources {
		if strings.HasSuffix(source, "_test.go") {
			continue
		}
		for _, m := range names.FindAllStringSubmatch(read(t, source), -1) {
			found++
			require.Contains(t, page, "`parkinglot_"+m[1]+"`")
		}
	}
	require.Greater(t, found, 10)
}
