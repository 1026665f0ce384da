package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/passerelle-hub/passerelle/internal/localpg"
)

// bench skips unless PASSERELLE_BENCH names it (or all), and gives its scale.
func bench(t *testing.T, name string) float64 {
	t.Helper()
	if asked := os.Getenv("PASSERELLE_BENCH"); asked != name && asked != "all" {
		t.Skipf("a bench: make bench-%s", name)
	}
	scale, err := strconv.ParseFloat(os.Getenv("PASSERELLE_BENCH_SCALE"), 64)
	if err != nil || scale <= 0 || scale > 1 {
		scale = 1
	}
	spaceCollections() // the hub may run in this process
	return scale
}

// durablePostgres is a server with fsync on, as production has, and no longer new.
func durablePostgres(t *testing.T) *localpg.Server {
	t.Helper()
	s, err := localpg.Start(t.Context(), localpg.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	settle(t, s.URL("postgres"))
	return s
}

const hugePages = "/proc/sys/vm/nr_hugepages" // of 2 MB

// benchMemory gives a Postgres shared memory of so many megabytes, 1 GB at least,
// in huge pages where this process may reserve them: they are given back at the
// end. Elsewhere it has 1 GB in ordinary ones. What it says goes into the table.
func benchMemory(t *testing.T, megabytes int) (settings map[string]string, says string) {
	t.Helper()
	megabytes = max(megabytes, 1024)
	before, err := os.ReadFile(hugePages)
	ordinary := map[string]string{"shared_buffers": "1GB"}
	if err != nil {
		return ordinary, "1 GB of shared memory"
	}
	wanted := megabytes/2 + megabytes/16 // what it has beside its buffers
	if err := os.WriteFile(hugePages, []byte(strconv.Itoa(wanted)), 0o600); err != nil {
		return ordinary, "1 GB of shared memory in ordinary pages"
	}
	giveBack := func() {
		if err := os.WriteFile(hugePages, before, 0o600); err != nil {
			t.Error(err)
		}
	}
	if got, err := os.ReadFile(hugePages); err != nil || number(strings.TrimSpace(string(got))) < int64(wanted) {
		giveBack()
		return ordinary, "1 GB of shared memory in ordinary pages"
	}
	t.Cleanup(giveBack)
	return map[string]string{"shared_buffers": fmt.Sprintf("%dMB", megabytes), "huge_pages": "on"}, fmt.Sprintf("%d MB of shared memory in huge pages", megabytes)
}

var pgbenchTPS = regexp.MustCompile(`tps = ([0-9.]+) \(without`)

// pgbenchCommits is what the machine itself can commit: pgbench -N, 10 clients.
func pgbenchCommits(t *testing.T, url string, seconds int) float64 {
	t.Helper()
	pgbenchTables(t, url)
	return pgbenchRun(t, url, seconds)
}

func pgbenchProgram(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("pgbench")
	if err != nil {
		found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/pgbench")
		if len(found) == 0 {
			t.Fatal("pgbench is not installed")
		}
		program = found[len(found)-1]
	}
	return program
}

// pgbenchTables makes the tables that pgbenchRun writes to.
func pgbenchTables(t *testing.T, url string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), pgbenchProgram(t), "-i", "-q", "-s", "10", url).CombinedOutput(); err != nil {
		t.Fatalf("pgbench -i: %v\n%s", err, out)
	}
}

func pgbenchRun(t *testing.T, url string, seconds int) float64 {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), pgbenchProgram(t), "-N", "-c", "10", "-j", "2", "-T", strconv.Itoa(seconds), url).CombinedOutput()
	found := pgbenchTPS.FindSubmatch(out)
	if err != nil || found == nil {
		t.Fatalf("pgbench: %v\n%s", err, out)
	}
	tps, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil {
		t.Fatal(err)
	}
	return tps
}

// pgbenchPaced offers commits at a rate and gives their latencies, sorted, each
// counted from when it was due: what the machine itself makes of such a load.
func pgbenchPaced(t *testing.T, url string, rate float64, seconds int) []time.Duration {
	t.Helper()
	logs := filepath.Join(t.TempDir(), "paced")
	out, err := exec.CommandContext(t.Context(), pgbenchProgram(t), "-N", "-c", "10", "-j", "2", "-R", strconv.Itoa(int(rate)), "-T", strconv.Itoa(seconds),
		"-l", "--log-prefix="+logs, url).CombinedOutput()
	if err != nil {
		t.Fatalf("pgbench: %v\n%s", err, out)
	}
	files, err := filepath.Glob(logs + "*")
	if err != nil || len(files) == 0 {
		t.Fatal("pgbench wrote no log", err)
	}
	var took []time.Duration
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line) // client, number, microseconds, ...
			if len(fields) < 3 {
				continue
			}
			micros, err := strconv.Atoi(fields[2])
			if err != nil {
				t.Fatalf("pgbench's log: %q", line)
			}
			took = append(took, time.Duration(micros)*time.Microsecond)
		}
	}
	slices.Sort(took)
	return took
}

// settle brings a fresh server to where one is that has run for a while: enough
// files of WAL to write to again and again, and a checkpoint behind it. Before,
// every 16 MB of WAL hold up all commits while a file is made.
func settle(t *testing.T, url string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	for range 32 { // of 16 MB: min_wal_size
		if _, err := conn.Exec(t.Context(), `select pg_logical_emit_message(false, 'bench', ''), pg_switch_wal()`); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.Exec(t.Context(), `checkpoint`); err != nil {
		t.Fatal(err)
	}
}

func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

func median[T int | float64 | time.Duration](values []T) T {
	s := slices.Sorted(slices.Values(values))
	return s[len(s)/2]
}

// table prints figures, a header first.
func table(t *testing.T, title string, rows ...[]string) {
	t.Helper()
	var out bytes.Buffer
	w := tabwriter.NewWriter(&out, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "\n%s (%s)\n", title, machine())
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	_ = w.Flush()
	t.Log(out.String())
}

// machine names what the figures were measured on.
func machine() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return "unknown machine"
	}
	defer f.Close()
	cores, model := 0, ""
	for lines := bufio.NewScanner(f); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), ":")
		switch strings.TrimSpace(key) {
		case "processor":
			cores++
		case "model name":
			model = strings.TrimSpace(value)
		}
	}
	return fmt.Sprintf("%d cores, %s", cores, model)
}
