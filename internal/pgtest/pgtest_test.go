package pgtest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/passerelle-hub/passerelle/internal/localpg"
)

var migrations atomic.Int64

func migrate(ctx context.Context, url string) error {
	migrations.Add(1)
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "CREATE TABLE commune (name text); INSERT INTO commune VALUES ('Thiers')")
	return errors.Join(err, conn.Close(ctx))
}

func TestEachTestHasAMigratedDatabaseOfItsOwn(t *testing.T) {
	for _, name := range []string{"Ambert", "Issoire", "Riom"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := New(t, migrate)
			if _, err := pool.Exec(t.Context(), "INSERT INTO commune VALUES ($1)", name); err != nil {
				t.Fatal(err)
			}
			rows, err := pool.Query(t.Context(), "SELECT name FROM commune ORDER BY name")
			if err != nil {
				t.Fatal(err)
			}
			got, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{name, "Thiers"}, got); diff != "" {
				t.Error(diff)
			}
			if n := migrations.Load(); n != 1 {
				t.Errorf("migrated %d times", n)
			}
		})
	}
}

func databases(t *testing.T, url string) []string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	rows, err := conn.Query(t.Context(), "SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY datname")
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func contains(names []string, name string) bool {
	return strings.Contains(strings.Join(names, " ")+" ", name+" ")
}

func TestDatabaseIsGoneAfterItsTestEvenWhenConnected(t *testing.T) {
	var address string
	t.Run("one that leaves a connection open", func(t *testing.T) {
		address = URL(t, nil)
		conn, err := pgx.Connect(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	s, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	if name := strings.TrimPrefix(u.Path, "/"); name == "" || contains(databases(t, s.base), name) {
		t.Errorf("database %q is left", name)
	}
}

func TestFailedMigrationFailsEveryTestThatAsks(t *testing.T) {
	s, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	fault := errors.New("no such column")
	broken := func(context.Context, string) error { return fault }
	for range 2 {
		if _, _, err := s.database(t.Context(), broken); !errors.Is(err, fault) {
			t.Errorf("got %v, want the migration's error", err)
		}
	}
}

// external starts a server that stands for the one of TEST_DATABASE_URL.
func external(t *testing.T) string {
	t.Helper()
	srv, err := localpg.Start(t.Context(), localpg.Options{Throwaway: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return srv.URL("postgres")
}

func TestGivenServerIsUsedAndKeptClean(t *testing.T) {
	base := external(t)
	first, err := start(t.Context(), base)
	if err != nil {
		t.Fatal(err)
	}
	address, drop, err := first.database(t.Context(), migrate)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	var name string
	if err := conn.QueryRow(t.Context(), "SELECT name FROM commune").Scan(&name); err != nil || name != "Thiers" {
		t.Errorf("read %q, %v", name, err)
	}
	for _, database := range []string{"passerelle_test_dead_1", "passerelle_test_dead_2", "passerelle_testimony", "passerelle"} {
		if err := first.maintain(t.Context(), "CREATE DATABASE "+database); err != nil {
			t.Fatal(err)
		}
	}

	second, err := start(t.Context(), base) // While the first run is alive.
	if err != nil {
		t.Fatal(err)
	}
	template, one := fmt.Sprintf("%s%s_1", prefix, first.run), fmt.Sprintf("%s%s_2", prefix, first.run)
	got := databases(t, base)
	for _, kept := range []string{template, one, "passerelle", "passerelle_testimony", "postgres"} {
		if !contains(got, kept) {
			t.Errorf("%s was dropped: %v", kept, got)
		}
	}
	if len(got) != 5 {
		t.Errorf("the dead run's databases are left: %v", got)
	}

	if err := drop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := databases(t, base); contains(got, one) || !contains(got, template) {
		t.Errorf("after the drop: %v", got)
	}
	for _, run := range []*server{first, second} {
		if err := run.keeper.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	// The server needs a moment to see that the connection is closed.
	for range 500 {
		third, err := start(t.Context(), base)
		if err != nil {
			t.Fatal(err)
		}
		if err := third.keeper.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !contains(databases(t, base), template) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("the template of a run that ended is left")
}

func TestUnusableServerIsToldWithoutItsPassword(t *testing.T) {
	for name, address := range map[string]string{
		"not a URL":            "postgres://hub:s3cret@127.0.0.1:port/hub",
		"a keyword string":     "host=/nonexistent password=s3cret",
		"a server not running": "postgres://hub:s3cret@/hub?host=/nonexistent",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := start(t.Context(), address)
			if err == nil || !strings.Contains(err.Error(), urlVar) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// childVar makes TestChild hold a database and say where its server is.
const childVar = "PGTEST_TEST_CHILD"

func TestChild(t *testing.T) {
	if os.Getenv(childVar) == "" {
		return // Only a part of the next test.
	}
	fmt.Println("URL " + URL(t, migrate))
}

func TestServerEndsWithItsTestBinary(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestChild$")
	cmd.Env = append(os.Environ(), childVar+"=1", urlVar+"=")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	_, rest, ok := strings.Cut(string(out), "URL ")
	address, _, _ := strings.Cut(rest, "\n")
	u, err := url.Parse(address)
	if err != nil || !ok {
		t.Fatalf("no URL in %s", out)
	}
	socket := u.Query().Get("host")
	for range 1000 {
		_, dirErr := os.Stat(socket)
		if errors.Is(dirErr, fs.ErrNotExist) {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("%s is still there 20 s after the test binary ended", socket)
}
