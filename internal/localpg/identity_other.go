//go:build unix && !linux

package localpg

import "syscall"

// namespaced is empty: user namespaces are Linux's.
func namespaced() []identity { return nil }

// signalOnParentDeath does nothing: parent-death signals are Linux's.
func signalOnParentDeath(*syscall.SysProcAttr, syscall.Signal) {}
