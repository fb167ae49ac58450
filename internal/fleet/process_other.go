//go:build !linux

package fleet

import "syscall"

// dieWithParent changes nothing: this system has no such promise.
func dieWithParent() *syscall.SysProcAttr { return nil }
