package localpg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

const (
	// superuser is the one role, trusted: who can reach the socket is the owner.
	superuser = "postgres"
	// port only names the socket file; nothing listens on it.
	port = "5432"
	// maxSocketPath bounds the socket's path in bytes: sockaddr_un holds 104 on
	// macOS and 108 on Linux.
	maxSocketPath = 100
)

// dataOf is where a server of a directory has PostgreSQL's own.
func dataOf(home string) string { return filepath.Join(home, "data") }

// layout is where a server keeps its things.
type layout struct {
	home   string // the directory of Options.Dir, or a temporary one
	data   string // PostgreSQL's data directory
	socket string // directory of the socket, mode 0700
}

// newLayout makes the directories of home that are missing. A socket path that
// would be too long, or that a connection URL cannot carry, goes to a short
// temporary directory. On an error the layout holds what was made.
func newLayout(home string) (layout, error) {
	home, err := filepath.Abs(home)
	if err != nil {
		return layout{}, err
	}
	l := layout{home: home, data: dataOf(home)}
	if err := os.MkdirAll(home, 0o700); err != nil {
		return l, err
	}
	socket := filepath.Join(home, "run")
	if fitsSocket(socket) && !strings.ContainsAny(socket, `,"`) {
		l.socket = socket
		if err := os.MkdirAll(socket, 0o700); err != nil {
			return l, err
		}
		return l, os.Chmod(socket, 0o700)
	}
	if l.socket, err = os.MkdirTemp("", "passerelle-pg-"); err != nil {
		return l, err
	}
	if !fitsSocket(l.socket) {
		return l, fmt.Errorf("the socket's path %s has %d bytes or more: set TMPDIR to a shorter directory",
			socketFile(l.socket), maxSocketPath)
	}
	return l, nil
}

func fitsSocket(dir string) bool { return len(socketFile(dir)) < maxSocketPath }

func socketFile(dir string) string { return filepath.Join(dir, ".s.PGSQL."+port) }

// ownSocket tells whether the socket's directory is a temporary one of its own.
func (l layout) ownSocket() bool { return filepath.Dir(l.socket) != l.home }

// initialised tells whether the data directory is there. It is made under
// another name and renamed when complete: what is there is whole.
func (l layout) initialised() (bool, error) {
	_, err := os.Stat(filepath.Join(l.data, "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// owner picks, for a data directory that exists, the identity that owns it.
func (l layout) owner(among []identity) (identity, error) {
	info, err := os.Stat(l.data)
	if err != nil {
		return identity{}, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return identity{}, fmt.Errorf("owner of %s is unknown", l.data)
	}
	var names []string
	for _, id := range among {
		if uint32(id.uid) == stat.Uid {
			return id, nil
		}
		names = append(names, id.name)
	}
	return identity{}, fmt.Errorf("%s belongs to user %d, and this process can only run PostgreSQL as %s",
		l.data, stat.Uid, strings.Join(names, ", "))
}

// initdb makes the data directory under the first identity that can, and says
// under which.
func (l layout) initdb(ctx context.Context, bin programs, among []identity, throwaway bool) (identity, error) {
	var faults []error
	for _, id := range among {
		err := l.initdbAs(ctx, bin, id, throwaway)
		if err == nil {
			return id, nil
		}
		faults = append(faults, fmt.Errorf("initdb as %s: %w", id.name, err))
		if ctx.Err() != nil {
			break
		}
	}
	return identity{}, errors.Join(faults...)
}

func (l layout) initdbAs(ctx context.Context, bin programs, id identity, throwaway bool) error {
	fresh := l.data + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	if err := id.own(l.home, l.socket); err != nil {
		return err
	}
	args := append([]string{"-D", fresh, "-U", superuser, "-A", "trust", "-E", "UTF8"}, localeArgs()...)
	if throwaway {
		args = append(args, "--no-sync")
	}
	var output tail
	cmd := exec.CommandContext(ctx, bin.initdb, args...)
	cmd.Dir = l.home
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.SysProcAttr = id.attr(syscall.SIGKILL)

	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w\n%s", err, output.String())
	}
	return os.Rename(fresh, l.data)
}

// arguments of the postgres program. Later ones win: the socket, and that there
// is no port, are not open to settings.
func (l layout) arguments(settings map[string]string, throwaway bool) []string {
	args := []string{"-D", l.data}
	set := func(name, value string) { args = append(args, "-c", name+"="+value) }
	if throwaway {
		set("fsync", "off")
		set("synchronous_commit", "off")
		set("full_page_writes", "off")
		set("max_wal_size", "128MB") // It may be memory.
	} else {
		// WAL files are used again rather than removed: making one holds up every
		// commit for 50 ms.
		set("min_wal_size", "512MB")
	}
	for name, value := range settings {
		set(name, value)
	}
	set("listen_addresses", "")
	set("port", port)
	set("unix_socket_directories", l.socket)
	set("unix_socket_permissions", "0700")
	set("log_destination", "stderr")
	set("logging_collector", "off")
	return args
}
