package localpg

import (
	"fmt"
	"os/user"
	"syscall"
)

// namespaced runs the child in a user namespace where root appears as an
// ordinary user: the server finds itself not to be root, and its files belong
// to root outside. The user is the conventional first one, 1000, or another
// that the machine knows: initdb looks its own user up by number.
func namespaced() []identity {
	uid, gid, ok := lookup(user.LookupId("1000"))
	for _, name := range []string{"postgres", "nobody"} {
		if ok {
			break
		}
		uid, gid, ok = lookup(user.Lookup(name))
	}
	if !ok {
		return nil
	}
	return []identity{{
		name: fmt.Sprintf("root as user %d of a user namespace", uid),
		apply: func(attr *syscall.SysProcAttr) {
			attr.Cloneflags = syscall.CLONE_NEWUSER
			attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: 0, Size: 1}}
			attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: 0, Size: 1}}
		},
	}}
}

// signalOnParentDeath has the kernel send sig when the thread that starts the
// child ends: its goroutine must stay locked to it (runtime.LockOSThread).
func signalOnParentDeath(attr *syscall.SysProcAttr, sig syscall.Signal) {
	attr.Pdeathsig = sig
}
