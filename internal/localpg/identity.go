package localpg

import (
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// identity is one way to run PostgreSQL's programs: as whom, and who then owns
// their files as this process sees them.
type identity struct {
	name  string // for errors
	uid   int
	gid   int
	apply func(*syscall.SysProcAttr)
}

// attr gives the attributes of a child under this identity. The child leads a
// session of its own, so that Ctrl-C in a terminal reaches only the hub, which
// then stops its server in order.
func (id identity) attr(parentDeath syscall.Signal) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setsid: true}
	signalOnParentDeath(attr, parentDeath)
	if id.apply != nil {
		id.apply(attr)
	}
	return attr
}

// own gives path to the identity's user, for a process that runs as root.
func (id identity) own(paths ...string) error {
	if os.Geteuid() != 0 || id.uid == 0 {
		return nil
	}
	for _, path := range paths {
		if err := os.Chown(path, id.uid, id.gid); err != nil {
			return err
		}
	}
	return nil
}

// identities lists the ways to try, best first.
func identities() []identity {
	if euid := os.Geteuid(); euid != 0 {
		return []identity{{name: "user " + strconv.Itoa(euid), uid: euid, gid: os.Getegid()}}
	}
	return append(namespaced(), credentials("postgres", "nobody")...)
}

// credentials run the child as one of the named users, where they exist.
func credentials(names ...string) []identity {
	var out []identity
	for _, name := range names {
		uid, gid, ok := lookup(user.Lookup(name))
		if !ok {
			continue
		}
		out = append(out, identity{
			name: "user " + name, uid: uid, gid: gid,
			apply: func(attr *syscall.SysProcAttr) {
				attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
			},
		})
	}
	return out
}

func lookup(account *user.User, err error) (uid, gid int, ok bool) {
	if err != nil {
		return 0, 0, false
	}
	uid, uidErr := strconv.Atoi(account.Uid)
	gid, gidErr := strconv.Atoi(account.Gid)
	return uid, gid, uidErr == nil && gidErr == nil && uid > 0
}
