package localpg

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestEveryIdentityServes starts a server in each way that this process has,
// not only the best: a container may forbid user namespaces.
func TestEveryIdentityServes(t *testing.T) {
	among := identities()
	if len(among) == 0 {
		t.Fatal("no way to run PostgreSQL")
	}
	for _, id := range among {
		t.Run(id.name, func(t *testing.T) {
			t.Parallel()
			dir := home(t)
			srv, err := start(t.Context(), Options{Dir: dir}, []identity{id})
			if err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(filepath.Join(dir, "data/PG_VERSION"))
			if err != nil {
				t.Fatal(err)
			}
			if stat, ok := info.Sys().(*syscall.Stat_t); !ok || int(stat.Uid) != id.uid {
				t.Errorf("the data belongs to %+v, want user %d", info.Sys(), id.uid)
			}
			execute(t, connect(t, srv.URL("postgres")), "CREATE TABLE kept AS SELECT 42 AS n")
			mustStop(t, srv)

			srv = mustStart(t, Options{Dir: dir}) // It finds the owner among all.
			if got := one[int](t, connect(t, srv.URL("postgres")), "SELECT n FROM kept"); got != 42 {
				t.Errorf("read %d, want 42", got)
			}
			mustStop(t, srv)
		})
	}
}

func TestTheNextIdentityIsTriedWhenOneFails(t *testing.T) {
	t.Parallel()
	impossible := identity{name: "nobody at all", apply: func(attr *syscall.SysProcAttr) { attr.Chroot = "/nonexistent" }}
	srv, err := start(t.Context(), Options{Throwaway: true}, append([]identity{impossible}, identities()...))
	if err != nil {
		t.Fatal(err)
	}
	mustStop(t, srv)

	_, err = start(t.Context(), Options{Dir: home(t)}, []identity{impossible})
	if err == nil || !strings.Contains(err.Error(), "nobody at all") {
		t.Errorf("got %v, want an error that names the identity", err)
	}
}

// TestOrdinaryUser runs a copy of this test binary as nobody, the way a
// developer runs it: plainly.
func TestOrdinaryUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("every test of this package already runs as an ordinary user")
	}
	nobody := credentials("nobody")
	if len(nobody) == 0 {
		t.Fatal("this machine has no user nobody")
	}
	dir := home(t)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "localpg.test")
	copyProgram(t, self(t), binary)
	as := &syscall.SysProcAttr{}
	nobody[0].apply(as)
	cmd, stdin, child := startChild(t, binary, Options{Throwaway: true}, as)
	info, err := os.Stat(filepath.Join(child.Home, "data/PG_VERSION"))
	if err != nil {
		t.Fatal(err)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); !ok || int(stat.Uid) != nobody[0].uid {
		t.Errorf("the data belongs to %+v, want nobody", info.Sys())
	}
	if err := stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the child did not stop cleanly: %v", err)
	}
	if !processEnded(child.Postmaster) {
		t.Error("postgres outlives its clean stop")
	}
	if !gone(child.Home) {
		t.Errorf("%s is left", child.Home)
	}
}

// copyProgram copies in another process: a file that this one has open for
// writing could be inherited by a child of a parallel test, and then not run.
func copyProgram(t *testing.T, from, to string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "cp", from, to).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v\n%s", err, out)
	}
}
