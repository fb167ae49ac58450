//go:build !unix

package sqlite

import "errors"

// fileLock needs flock; without it two processes could open one file.
type fileLock struct{}

func lockFile(string) (*fileLock, error) {
	return nil, errors.New("the file backend needs a Unix system; use memory or postgres")
}

func (*fileLock) release() error { return nil }
