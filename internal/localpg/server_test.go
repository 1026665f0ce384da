package localpg

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// home gives a short directory: t.TempDir's are too long for a socket.
func home(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(scratch(), "localpg-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func mustStart(t *testing.T, opts Options) *Server {
	t.Helper()
	srv, err := Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Stop(context.Background()) })
	return srv
}

func mustStop(t *testing.T, srv *Server) {
	t.Helper()
	if err := srv.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func execute(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func one[T any](t *testing.T, conn *pgx.Conn, sql string) T {
	t.Helper()
	var value T
	if err := conn.QueryRow(t.Context(), sql).Scan(&value); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return value
}

func gone(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// eventually polls, for at most 20 s.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 1000 {
		if ok() {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("not so after 20 s: %s", what)
}

func TestThrowawayServerTradesDurabilityForSpeedAndLeavesNothing(t *testing.T) {
	t.Parallel()
	parent := home(t)
	var log tail
	srv := mustStart(t, Options{Throwaway: true, Dir: parent, Log: &log, Settings: map[string]string{
		"max_connections": "37", "listen_addresses": "127.0.0.1", // The second is not open to settings.
	}})
	conn := connect(t, srv.URL("postgres"))
	for name, want := range map[string]string{
		"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off",
		"max_connections": "37", "listen_addresses": "", "server_encoding": "UTF8",
	} {
		if got := one[string](t, conn, "SELECT current_setting('"+name+"')"); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if got := one[bool](t, conn, `SELECT 'Z' < 'a' AND 'z' < 'é'`); !got {
		t.Error("text is not ordered by code point")
	}
	info, err := os.Stat(srv.layout.socket)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o700 {
		t.Errorf("mode of the socket's directory is %o, want 700", got)
	}
	eventually(t, "the log says that the server is ready", func() bool {
		return strings.Contains(log.String(), "ready to accept connections")
	})

	mustStop(t, srv)
	mustStop(t, srv)
	entries, err := os.ReadDir(parent)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 0 {
		t.Errorf("%d entries are left, the first is %s", len(entries), entries[0])
	}
	if err := srv.process.Signal(syscall.Signal(0)); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("the process is still there: %v", err)
	}
}

func TestDurableServer(t *testing.T) {
	dir := keptDir(t)

	t.Run("keeps what it holds across a clean stop", func(t *testing.T) {
		srv := mustStart(t, Options{Dir: dir})
		for range 2 {
			if err := srv.EnsureDatabase(t.Context(), `pass"erelle`); err != nil {
				t.Fatal(err)
			}
		}
		conn := connect(t, srv.URL(`pass"erelle`))
		execute(t, conn, "DROP TABLE IF EXISTS commune; CREATE TABLE commune AS SELECT 'Clermont-Ferrand' AS name")
		if got := one[string](t, conn, "SELECT current_setting('fsync')"); got != "on" {
			t.Errorf("fsync is %q, want on", got)
		}
		if got := one[string](t, conn, "SELECT current_setting('min_wal_size')"); got != "512MB" {
			t.Errorf("min_wal_size is %q: commits would wait for files to be made", got)
		}
		mustStop(t, srv)
		if log := srv.output.String(); !strings.Contains(log, "database system is shut down") {
			t.Errorf("not a clean shutdown:\n%s", log)
		}

		srv = mustStart(t, Options{Dir: dir})
		conn = connect(t, srv.URL(`pass"erelle`))
		if got := one[string](t, conn, "SELECT name FROM commune"); got != "Clermont-Ferrand" {
			t.Errorf("read %q", got)
		}
		if log := srv.output.String(); strings.Contains(log, "recovery") {
			t.Errorf("a clean shutdown needs no recovery:\n%s", log)
		}
		mustStop(t, srv)
	})

	t.Run("refuses a second one in its directory", func(t *testing.T) {
		first := mustStart(t, Options{Dir: dir})
		_, err := Start(t.Context(), Options{Dir: dir})
		if !errors.Is(err, ErrRunning) || !strings.Contains(err.Error(), dir) {
			t.Fatalf("got %v, want ErrRunning that names %s", err, dir)
		}
		if got := one[int](t, connect(t, first.URL("postgres")), "SELECT 1"); got != 1 {
			t.Errorf("the first server reads %d", got)
		}
		mustStop(t, first)
	})

	// It holds postmaster.pid, and not our lock.
	t.Run("refuses a directory where a server was started by hand", func(t *testing.T) {
		first := mustStart(t, Options{Dir: dir})
		if err := os.Remove(filepath.Join(dir, "lock")); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err := Start(ctx, Options{Dir: dir})
		if !errors.Is(err, ErrRunning) || !strings.Contains(err.Error(), "PID") {
			t.Fatalf("got %v, want ErrRunning with the process id", err)
		}
		mustStop(t, first)
	})

	t.Run("recovers after it was killed", func(t *testing.T) {
		srv := mustStart(t, Options{Dir: dir})
		execute(t, connect(t, srv.URL("postgres")), "DROP TABLE IF EXISTS killed; CREATE TABLE killed AS SELECT 42 AS n")
		if err := srv.process.Kill(); err != nil {
			t.Fatal(err)
		}
		<-srv.Done()
		if err := srv.Stop(t.Context()); err == nil {
			t.Error("Stop of a server that died by itself reports nothing")
		}
		if gone(filepath.Join(dir, "data/postmaster.pid")) {
			t.Fatal("no stale postmaster.pid: the test proves nothing")
		}

		srv = mustStart(t, Options{Dir: dir})
		if got := one[int](t, connect(t, srv.URL("postgres")), "SELECT n FROM killed"); got != 42 {
			t.Errorf("read %d, want 42", got)
		}
		mustStop(t, srv)
	})

	t.Run("is killed when it does not stop in time, and starts again", func(t *testing.T) {
		srv := mustStart(t, Options{Dir: dir})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := srv.process.Signal(syscall.SIGSTOP); err != nil { // It cannot answer any signal but the kill.
			t.Fatal(err)
		}
		if err := srv.Stop(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		select {
		case <-srv.Done():
		default:
			t.Error("the server is still there")
		}
		mustStop(t, mustStart(t, Options{Dir: dir}))
	})

	t.Run("shows PostgreSQL's words when the data are of another version", func(t *testing.T) {
		path := filepath.Join(dir, "data/PG_VERSION")
		version, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("9.6\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Start(t.Context(), Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "9.6") {
			t.Errorf("got %v", err)
		}
		if err := os.WriteFile(path, version, 0o600); err != nil {
			t.Fatal(err)
		}
	})

	t.Run("refuses data of a user it cannot be, and names both", func(t *testing.T) {
		_, err := start(t.Context(), Options{Dir: dir}, []identity{{name: "user 4242", uid: 4242}})
		if err == nil || !strings.Contains(err.Error(), "user 4242") {
			t.Errorf("got %v", err)
		}
	})
}

// The path is too long for a socket, has a comma, which separates hosts in a
// URL, and what needs quotes; an earlier initdb was cut short.
func TestOddDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(home(t), `c'est "ici", `+strings.Repeat("long", 30))
	half := filepath.Join(dir, "data.new")
	if err := os.MkdirAll(half, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(half, "PG_VERSION"), []byte("15\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	srv := mustStart(t, Options{Dir: dir})
	if got := one[int](t, connect(t, srv.URL("postgres")), "SELECT 1"); got != 1 {
		t.Errorf("read %d", got)
	}
	mustStop(t, srv)
	if !gone(half) {
		t.Error("the half-made directory is left")
	}
	if !gone(srv.layout.socket) {
		t.Errorf("the socket's directory %s is left", srv.layout.socket)
	}
}

func TestLayoutPutsTheSocketWhereItFits(t *testing.T) {
	for name, tc := range map[string]struct {
		part      string
		elsewhere bool
	}{
		"beside the data":             {part: "short"},
		"elsewhere for a long path":   {part: strings.Repeat("x", maxSocketPath), elsewhere: true},
		"elsewhere for a comma":       {part: "a,b", elsewhere: true},
		"elsewhere for a double mark": {part: `a"b`, elsewhere: true},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := newLayout(filepath.Join(home(t), tc.part))
			if err != nil {
				t.Fatal(err)
			}
			if l.ownSocket() {
				defer os.Remove(l.socket)
			}
			if l.ownSocket() != tc.elsewhere {
				t.Errorf("socket in %s", l.socket)
			}
			if n := len(socketFile(l.socket)); n >= maxSocketPath {
				t.Errorf("the socket's path has %d bytes", n)
			}
			if info, err := os.Stat(l.socket); err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("socket directory: %v, %v", info.Mode(), err)
			}
		})
	}
}

func TestFaultsOfStartLeaveNothing(t *testing.T) {
	t.Parallel()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, tc := range map[string]struct {
		ctx  context.Context
		opts Options
		says string
	}{
		"a setting that PostgreSQL refuses, in its words": {
			ctx:  t.Context(),
			opts: Options{Throwaway: true, Settings: map[string]string{"max_connections": "many"}},
			says: "max_connections",
		},
		"a context that has ended": {ctx: ended, opts: Options{Throwaway: true}, says: context.Canceled.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			tc.opts.Dir = home(t)
			if _, err := Start(tc.ctx, tc.opts); err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %v, want an error with %q", err, tc.says)
			}
			if entries, err := os.ReadDir(tc.opts.Dir); err != nil || len(entries) != 0 {
				t.Errorf("left: %v, %v", entries, err)
			}
		})
	}
}

func TestDurableServerNeedsADirectory(t *testing.T) {
	if _, err := Start(t.Context(), Options{}); err == nil {
		t.Error("no error")
	}
}

func TestTailKeepsTheEnd(t *testing.T) {
	var kept tail
	for range 3 {
		if _, err := kept.Write([]byte(strings.Repeat("x", maxTail-1))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := kept.Write([]byte("end")); err != nil {
		t.Fatal(err)
	}
	if got := kept.String(); len(got) != maxTail || !strings.HasSuffix(got, "xend") {
		t.Errorf("kept %d bytes, ending in %q", len(got), got[len(got)-4:])
	}
}

// A child of another goroutine, forked and not yet begun, shares the lock's
// descriptor: here it is duplicated for as long as the test lasts.
func TestAStoppedServerGivesItsDirectoryBackAtOnce(t *testing.T) {
	t.Parallel()
	dir := home(t)
	srv := mustStart(t, Options{Dir: dir})
	copied, err := syscall.Dup(int(srv.lock.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(copied)
	mustStop(t, srv)
	mustStop(t, mustStart(t, Options{Dir: dir}))
}
