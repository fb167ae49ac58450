package workers

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Registry holds executors by name, for all pools or for one. It is safe for
// concurrent use. The zero value is not usable; see NewRegistry.
type Registry struct {
	mu        sync.RWMutex
	executors map[registered]Executor
}

// registered is the key of an executor; pool is empty for all pools.
type registered struct{ pool, name string }

// NewRegistry returns an empty registry.
func NewRegistry() *Registry {
	return &Registry{executors: make(map[registered]Executor)}
}

// Register adds an executor that every pool offers under name. It is an error to
// register a name twice, an empty name, one with characters outside of
// A–Z a–z 0–9 . _ : -, or a nil executor.
func (r *Registry) Register(name string, e Executor) error {
	return r.RegisterFor("", name, e)
}

// RegisterFor adds an executor that one pool offers under name, in front of one
// registered for all pools. The empty pool means all. Errors as of Register.
func (r *Registry) RegisterFor(pool, name string, e Executor) error {
	if err := checkName(name); err != nil {
		return err
	}
	if e == nil {
		return fmt.Errorf("executor %q is nil", name)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	key := registered{pool, name}
	if _, taken := r.executors[key]; taken {
		if pool == "" {
			return fmt.Errorf("executor %q is already registered", name)
		}
		return fmt.Errorf("executor %q of pool %q is already registered", name, pool)
	}
	r.executors[key] = e
	return nil
}

// Lookup returns the pool's own executor of that name, or else the one that is
// there for all pools.
func (r *Registry) Lookup(pool, name string) (Executor, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if e, ok := r.executors[registered{pool, name}]; ok {
		return e, true
	}
	e, ok := r.executors[registered{"", name}]
	return e, ok
}

// Names returns the names that a task of pool may choose, sorted.
func (r *Registry) Names(pool string) []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	names := make(map[string]struct{})
	for key := range r.executors {
		if key.pool == "" || key.pool == pool {
			names[key.name] = struct{}{}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// Clone returns a copy to which more can be added without changing r.
func (r *Registry) Clone() *Registry {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return &Registry{executors: maps.Clone(r.executors)}
}

const maxName = 200

func checkName(name string) error {
	if name == "" {
		return errors.New("an executor needs a name")
	}
	if len(name) > maxName {
		return fmt.Errorf("executor name %.20q… has %d characters, at most %d are allowed", name, len(name), maxName)
	}
	for _, c := range []byte(name) {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && !strings.ContainsRune("._:-", rune(c)) {
			return fmt.Errorf("executor name %q: only A–Z a–z 0–9 . _ : - are allowed", name)
		}
	}
	return nil
}
