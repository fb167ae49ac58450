package workers

import "syscall"

// attributes puts a command into a process group of its own and lets it die with
// this process.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
