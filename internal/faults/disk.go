package faults

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// disk is a small file system in memory under the file backend.
type disk struct{ path string }

// newDisk mounts it at path. It needs root.
func newDisk(ctx context.Context, path string, duration time.Duration) (*disk, error) {
	const mode = 0o700
	if err := os.MkdirAll(path, mode); err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	const base, each = 64, 8 // MiB, and for each minute
	size := base + each*int(duration.Minutes())
	out, err := exec.CommandContext(ctx, "mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%dm", size), "parkinglot-faults", path).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("mount a tmpfs: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return &disk{path: path}, nil
}

func (d *disk) filler() string { return filepath.Join(d.path, "filler") }

// fill leaves no byte free.
func (d *disk) fill() error {
	file, err := os.OpenFile(d.filler(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("fill the disk: %w", err)
	}
	defer file.Close() //nolint:errcheck // what it holds does not matter
	for zeros := make([]byte, 1<<20); ; {
		_, err := file.Write(zeros)
		switch {
		case errors.Is(err, syscall.ENOSPC) && len(zeros) > 1:
			zeros = zeros[:len(zeros)/2]
		case errors.Is(err, syscall.ENOSPC):
			return nil
		case err != nil:
			return fmt.Errorf("fill the disk: %w", err)
		}
	}
}

// free gives the room back.
func (d *disk) free() error {
	if err := os.Remove(d.filler()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("free the disk: %w", err)
	}
	return nil
}

func (d *disk) close() {
	if d != nil {
		_ = exec.CommandContext(context.Background(), "umount", "--lazy", d.path).Run() // nothing can be done about it
	}
}
