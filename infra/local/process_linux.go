package local

import "syscall"

// childAttributes puts a child in its own process group and, unless it watches its standard input, has the kernel kill
// it when this process dies.
func childAttributes(killWithParent bool) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: true}
	if killWithParent {
		a.Pdeathsig = syscall.SIGKILL
	}
	return a
}
