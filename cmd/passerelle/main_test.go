package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// asHub makes this test binary the program itself: a process of its own that a
// test can kill.
const asHub = "PASSERELLE_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asHub) != "" {
		vars := slices.DeleteFunc(os.Environ(), func(v string) bool { // those of tests and benches are no settings
			return strings.HasPrefix(v, "PASSERELLE_TEST_") || strings.HasPrefix(v, "PASSERELLE_BENCH")
		})
		os.Exit(program(environment{vars: vars, stdout: os.Stdout, stderr: os.Stderr}))
	}
	if addresses := os.Getenv(asReceiver); addresses != "" {
		fmt.Fprintln(os.Stderr, receiverProcess(addresses))
		os.Exit(1)
	}
	if arguments := os.Getenv(asBare); arguments != "" {
		fmt.Fprintln(os.Stderr, bareProcess(arguments))
		os.Exit(1)
	}
	flag.Parse()
	// The tests that kill the hub mostly wait for River to find out: some side by side
	// take as long as one. Those with a browser do not: more would only slow all down.
	if err := flag.Set("test.parallel", "6"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

func TestTheStoryIsPlayedAndReportedAndLeavesNothing(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	report := filepath.Join(t.TempDir(), "out.json")
	var out bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if status := run(ctx, environment{stdout: &out, stderr: &out}, []string{"demo", "--once", "--report", report}); status != 0 {
		t.Errorf("status %d", status)
	}
	raw, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	var steps []step
	if err := json.Unmarshal(raw, &steps); err != nil {
		t.Fatal(err)
	}
	if len(steps) < 9 {
		t.Errorf("%d steps reported", len(steps))
	}
	for _, s := range steps {
		if s.Result != "passed" || s.Name == "" {
			t.Errorf("%s: %s %s", s.Name, s.Result, s.Error)
		}
	}
	if t.Failed() {
		t.Log(out.String())
	}
	left, err := os.ReadDir(os.Getenv("TMPDIR"))
	if err != nil || len(left) != 0 {
		t.Errorf("left on disk: %v %v", left, err)
	}
}

func TestAWrongFlagIsToldOnceAndHelpListsTheFlags(t *testing.T) {
	for _, args := range [][]string{{"serve", "--bogus"}, {"jobs", "--bogus"}, {"serve", "--only"}} {
		var out, stderr bytes.Buffer
		if status := run(t.Context(), environment{stdout: &out, stderr: &stderr}, args); status != 2 || strings.Count(stderr.String(), "\n") != 1 {
			t.Errorf("%q: status %d, said %q", args, status, stderr.String())
		}
		if out.Len() != 0 || strings.Count(stderr.String(), strings.TrimLeft(args[1], "-")) != 1 {
			t.Errorf("%q: said %q and %q", args, stderr.String(), out.String())
		}
	}
	var stderr bytes.Buffer
	if status := run(t.Context(), environment{stdout: &stderr, stderr: &stderr}, []string{"serve", "-h"}); status != 0 || !strings.Contains(stderr.String(), "-config") {
		t.Errorf("status %d, said %q", status, stderr.String())
	}
}

func TestWrongWordsAreToldWithStatusTwo(t *testing.T) {
	for _, args := range [][]string{{}, {"serv"}, {"serve", "--only=mail"}, {"jobs", "--what"}, {"serve", "--bogus"}} {
		var out bytes.Buffer
		if status := run(t.Context(), environment{stdout: &out, stderr: &out}, args); status != 2 || out.Len() == 0 {
			t.Errorf("%q: status %d, said %q", args, status, out.String())
		}
	}
}
