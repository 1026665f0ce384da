package localpg

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// startChild runs this test binary, or a copy of it, as a process that holds a
// server.
func startChild(t *testing.T, binary string, opts Options, as *syscall.SysProcAttr) (*exec.Cmd, io.Closer, childReport) {
	t.Helper()
	encoded, err := json.Marshal(opts)
	if err != nil {
		t.Fatal(err)
	}
	var stderr tail
	cmd := exec.CommandContext(t.Context(), binary)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), childVar+"="+string(encoded))
	cmd.Stderr = &stderr
	cmd.SysProcAttr = as
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		_ = cmd.Wait()
		t.Fatalf("the child did not start its server: %v\n%s", err, stderr.String())
	}
	var report childReport
	if err := json.Unmarshal(line, &report); err != nil {
		t.Fatal(err)
	}
	return cmd, stdin, report
}

func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// processEnded tells whether a process is gone, or a zombie that its new parent has
// yet to collect.
func processEnded(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return errors.Is(err, os.ErrNotExist) && runtime.GOOS == "linux"
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(after, "Z")
}

func kill(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
}

func TestKilledParentLeavesNoProcessAndNoThrowawayDirectory(t *testing.T) {
	t.Parallel()
	cmd, _, child := startChild(t, self(t), Options{Throwaway: true}, nil)
	if processEnded(child.Postmaster) || gone(child.Home) {
		t.Fatal("nothing runs: the test proves nothing")
	}
	kill(t, cmd)
	eventually(t, "postgres is gone", func() bool { return processEnded(child.Postmaster) })
	eventually(t, "the directory is gone", func() bool { return gone(child.Home) })
}

func TestKilledParentLeavesADurableDirectoryThatStartsAtOnce(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("parent-death signals are Linux's")
	}
	dir := keptDir(t)
	cmd, _, child := startChild(t, self(t), Options{Dir: dir}, nil)
	execute(t, connect(t, child.URL), "DROP TABLE IF EXISTS orphaned; CREATE TABLE orphaned AS SELECT 42 AS n")
	kill(t, cmd)

	srv := mustStart(t, Options{Dir: dir}) // While the first server may still be on its way out.
	if !processEnded(child.Postmaster) {
		t.Error("the first server still runs")
	}
	if got := one[int](t, connect(t, srv.URL("postgres")), "SELECT n FROM orphaned"); got != 42 {
		t.Errorf("read %d, want 42", got)
	}
	mustStop(t, srv)
}

func TestLockOfAnotherProcessIsRespected(t *testing.T) {
	dir := keptDir(t)
	cmd, stdin, child := startChild(t, self(t), Options{Dir: dir}, nil)
	if _, err := Start(t.Context(), Options{Dir: dir}); !errors.Is(err, ErrRunning) {
		t.Errorf("got %v, want ErrRunning", err)
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
}
