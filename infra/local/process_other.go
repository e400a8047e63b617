//go:build !linux

package local

import "syscall"

// childAttributes puts a child in its own process group. Only Linux can end a child with its parent, so here a stack that
// is killed with SIGKILL leaves its DynamoDB running.
func childAttributes(bool) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
