package localpg

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"
)

// childVar makes this test binary a process that starts a server and then does
// nothing until it is killed or told to stop; its value is the options as JSON.
const childVar = "LOCALPG_TEST_CHILD"

// childReport is what the child says on its standard output once it is ready.
type childReport struct {
	Postmaster int
	Home       string
	URL        string
}

func TestMain(m *testing.M) {
	if value := os.Getenv(childVar); value != "" {
		if err := child(value); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := m.Run()
	if err := os.RemoveAll(kept.dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// kept is a durable directory that several tests use one after the other: its
// initdb takes longer than all they do.
var kept struct {
	once sync.Once
	dir  string
	err  error
}

func keptDir(t *testing.T) string {
	t.Helper()
	kept.once.Do(func() {
		if kept.dir, kept.err = os.MkdirTemp(scratch(), "localpg-test-"); kept.err != nil {
			return
		}
		var srv *Server
		if srv, kept.err = Start(context.Background(), Options{Dir: kept.dir}); kept.err == nil {
			kept.err = srv.Stop(context.Background())
		}
	})
	if kept.err != nil {
		t.Fatal(kept.err)
	}
	return kept.dir
}

func child(value string) error {
	var opts Options
	if err := json.Unmarshal([]byte(value), &opts); err != nil {
		return err
	}
	srv, err := Start(context.Background(), opts)
	if err != nil {
		return err
	}
	report := childReport{Postmaster: srv.process.Pid, Home: srv.layout.home, URL: srv.URL(superuser)}
	if err := json.NewEncoder(os.Stdout).Encode(report); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	return srv.Stop(context.Background())
}
