package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// A hub whose own Postgres is gone cannot work: it ends, and whoever keeps it
// running starts both again, on the same data.
func TestAHubEndsWithItsPrivatePostgresAndStartsAgain(t *testing.T) {
	t.Parallel()
	dir, public, ops := t.TempDir(), listenAddress(t), listenAddress(t)
	vars := []string{"PASSERELLE_HUB_PUBLIC_URL=http://" + public, "PASSERELLE_DATABASE_DATA_DIR=" + dir, "PASSERELLE_HTTP_LISTEN=" + public, "PASSERELLE_OPS_LISTEN=" + ops}
	for range 2 {
		var log lockedBuffer
		ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
		t.Cleanup(stop)
		ended := make(chan int, 1)
		go func() { ended <- run(ctx, environment{stdout: &log, stderr: &log, vars: vars}, []string{"serve"}) }()
		await(t, func() error {
			if len(ended) > 0 {
				t.Fatalf("serve ended: %s", log.String())
			}
			resp, err := http.Get("http://" + public + "/readyz")
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				return fmt.Errorf("not ready: %d", resp.StatusCode)
			}
			return nil
		})
		command := func(args ...string) (int, string) {
			var out bytes.Buffer
			status := run(t.Context(), environment{stdout: &out, stderr: &out, vars: vars}, args)
			return status, out.String()
		}
		for _, args := range [][]string{{"roles", "grant", "ines@dinum.example", "dinum:*:instructor"}, {"audit", "verify"}} {
			if status, out := command(args...); status != 0 {
				t.Errorf("%q beside it: %d %s", args, status, out)
			}
		}
		raw, err := os.ReadFile(filepath.Join(dir, "data", "postmaster.pid"))
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(string(raw), "\n")
		pid, err := strconv.Atoi(first)
		if err != nil || pid <= 1 {
			t.Fatalf("postmaster.pid: %q %v", raw, err)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if status := <-ended; status != 1 || !strings.Contains(log.String(), "the private Postgres ended") {
			t.Errorf("status %d: %s", status, log.String())
		}
		if status, out := command("audit", "verify"); status != 1 || !strings.Contains(out, "let `passerelle serve` run in "+dir) {
			t.Errorf("without it: %d %s", status, out)
		}
	}
}

func listenAddress(t *testing.T) string {
	t.Helper()
	address, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	return address
}
