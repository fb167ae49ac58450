package main

import (
	"fmt"
	"os"
	"runtime/pprof"
)

// startProfile begins the profile that was asked for; end writes it to its end. Without
// one both do nothing.
func (f *processFlags) startProfile() (end func() error, err error) {
	if f.profile == "" {
		return func() error { return nil }, nil
	}
	file, err := os.Create(f.profile)
	if err != nil {
		return nil, fmt.Errorf("--cpu-profile: %w", err)
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		_ = file.Close() // nothing is in it
		return nil, fmt.Errorf("--cpu-profile: %w", err)
	}
	return func() error {
		pprof.StopCPUProfile()
		if err := file.Close(); err != nil {
			return fmt.Errorf("--cpu-profile: %w", err)
		}
		return nil
	}, nil
}
