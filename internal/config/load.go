package config

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/rawbytes"
	"github.com/knadh/koanf/v2"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// demo is the configuration of a program that was given none.
//
//go:embed demo.yaml
var demo []byte

// Demo returns the text of the built-in demo configuration, in YAML.
func Demo() string { return string(demo) }

// Source says where configuration comes from.
type Source struct {
	Path    string            // the file; empty: the built-in demo
	Environ []string          // like os.Environ(); $VAR and PARKINGLOT_… are looked up here
	Flags   map[string]string // path of a field → value given on the command line
}

// Load reads, merges and checks the configuration. The error is a *domain.Error
// of code CodeInvalid that lists every fault, or says why the file cannot be read.
func Load(src Source) (*Config, error) {
	if src.Path == "" {
		return parse(demo, parser{yaml: true}, src)
	}
	data, err := readFile(src.Path)
	if err != nil {
		return nil, &domain.Error{Code: domain.CodeInvalid, Message: "cannot read the configuration " + src.Path, Err: err}
	}
	return parse(data, parserFor(src.Path), src)
}

func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err //nolint:wrapcheck // the path is in it, and the caller adds what was tried
	}
	defer file.Close() //nolint:errcheck // only read from
	data, err := io.ReadAll(io.LimitReader(file, MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	return data, nil
}

// keyDelimiter separates the levels of koanf's flat keys. No key of ours holds
// it; tenants may well be called "acme.com".
const keyDelimiter = "\x1f"

func parse(data []byte, p parser, src Source) (*Config, error) {
	env := environ(src.Environ)
	merged := koanf.New(keyDelimiter)
	if err := merged.Load(rawbytes.Provider(data), p); err != nil {
		return nil, domain.Errorf(domain.CodeInvalid, "%s %v", (&Config{origin: src.Path}).Origin(), err)
	}
	origin := map[string]string{} // path → variable or flag that set it
	layers := []koanf.Provider{demoLayer(src, env), envLayer(src.Environ, origin), flagLayer(src.Flags, origin)}
	for _, layer := range layers {
		if err := merged.Load(layer, nil); err != nil {
			return nil, domain.Errorf(domain.CodeInternal, "merge configuration: %v", err)
		}
	}

	cfg := builtIn()
	cfg.origin = src.Path
	d := &decoder{seen: map[string]bool{}}
	d.preset = func(element reflect.Value) {
		if pool, ok := reflect.TypeAssert[*Pool](element.Addr()); ok {
			pool.Policy = cfg.Defaults
		}
	}
	d.structure("", merged.Raw(), reflect.ValueOf(cfg).Elem())
	c := checker{decoder: d, env: env}
	c.config(cfg)
	if len(d.faults) > 0 {
		return nil, &domain.Error{Code: domain.CodeInvalid, Message: summary(cfg, len(d.faults)), Faults: inOrder(withOrigin(d.faults, origin))}
	}
	return cfg, nil
}

func summary(cfg *Config, n int) string {
	if n == 1 {
		return cfg.Origin() + " has 1 fault"
	}
	return fmt.Sprintf("%s has %d faults", cfg.Origin(), n)
}

func withOrigin(faults []domain.Fault, origin map[string]string) []domain.Fault {
	for i, f := range faults {
		if from := origin[f.Location]; from != "" {
			faults[i].Message += " (set by " + from + ")"
		}
	}
	return faults
}

// inOrder sorts faults by path, pools[2] before pools[10].
func inOrder(faults []domain.Fault) []domain.Fault {
	slices.SortStableFunc(faults, func(a, b domain.Fault) int {
		return strings.Compare(padded(a.Location), padded(b.Location))
	})
	return faults
}

// padded makes every index of a path ten digits long.
func padded(path string) string {
	return index.ReplaceAllStringFunc(path, func(s string) string {
		return fmt.Sprintf("[%10s", s[1:])
	})
}

var index = regexp.MustCompile(`\[\d{1,9}\]`)

// demoLayer moves the demo to Postgres when the environment or a flag names one.
func demoLayer(src Source, env map[string]string) koanf.Provider {
	layer := map[string]any{}
	if src.Path == "" && (src.Flags["database.url"] != "" || env[envName("database.url")] != "") {
		layer["defaults"] = map[string]any{
			"queue_backend":   string(domain.BackendPostgres),
			"mailbox_backend": string(domain.BackendPostgres),
		}
	}
	return confmap.Provider(layer, "")
}

// envLayer reads the PARKINGLOT_… variables that name a field; an empty one
// counts as not set.
func envLayer(environ []string, origin map[string]string) koanf.Provider {
	paths := map[string]Field{}
	for _, f := range Fields() {
		if f.Env != "" {
			paths[f.Env] = f
		}
	}
	return env.Provider(".", env.Opt{
		Prefix:      envPrefix,
		EnvironFunc: func() []string { return environ },
		TransformFunc: func(name, value string) (string, any) {
			f, ok := paths[name]
			if !ok || value == "" {
				return "", nil
			}
			origin[f.Path] = name
			return f.Path, scalar(f, value)
		},
	})
}

func flagLayer(flags map[string]string, origin map[string]string) koanf.Provider {
	fields := map[string]Field{}
	for _, f := range Fields() {
		fields[f.Path] = f
	}
	layer := map[string]any{}
	for path, value := range flags {
		layer[path] = scalar(fields[path], value)
		origin[path] = "a flag"
	}
	return confmap.Provider(layer, ".")
}

// scalar makes a number of a number field's text; text that is none stays, and
// the decoder complains. A "$" is meant literally: the shell or whoever made the
// variable has expanded it already.
func scalar(f Field, value string) any {
	if n, err := strconv.ParseInt(value, 10, 64); f.Integer && err == nil {
		return n
	}
	return strings.ReplaceAll(value, "$", "$$")
}

func environ(list []string) map[string]string {
	env := make(map[string]string, len(list))
	for _, entry := range list {
		if name, value, ok := strings.Cut(entry, "="); ok {
			env[name] = value
		}
	}
	return env
}

// Faults returns the faults in an error of Load, at least one.
func Faults(err error) []domain.Fault {
	var e *domain.Error
	if errors.As(err, &e) && len(e.Faults) > 0 {
		return e.Faults
	}
	return []domain.Fault{{Message: err.Error()}}
}
