package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/passerelle-hub/passerelle/config"
	"github.com/passerelle-hub/passerelle/connectors/datapass/datapasstest"
	"github.com/passerelle-hub/passerelle/internal/store"
	"github.com/passerelle-hub/passerelle/internal/store/seal"
)

// seals writes the sealing section of the settings anew.
func (w *world) seals(t *testing.T, section string) {
	t.Helper()
	raw, err := os.ReadFile(w.settings)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(raw), "sealing:")
	_, after, found := strings.Cut(rest, "datapass:")
	if !ok || !found {
		t.Fatalf("the demo's settings have no sealing section:\n%s", raw)
	}
	if err := os.WriteFile(w.settings, []byte(before+"sealing:\n"+section+"datapass:"+after), 0o600); err != nil {
		t.Fatal(err)
	}
}

// says runs a command that succeeds, or not, and gives what it says.
func (w *world) says(t *testing.T, status int, words ...string) string {
	t.Helper()
	got, out := w.command(t, words...)
	if got != status {
		t.Fatalf("%s ends with %d, want %d\n%s", strings.Join(words, " "), got, status, out)
	}
	return out
}

// sealedValues are all sealed values of the database, as a backup has them.
func (w *world) sealedValues(t *testing.T) (values [][]byte) {
	t.Helper()
	for _, c := range store.SealedColumns() {
		where := c.Column + " is not null"
		if c.Where != "" {
			where += " and " + c.Where
		}
		rows, err := w.hub.pool.Query(t.Context(), `select `+c.Column+` from `+c.Table+` where `+where)
		if err != nil {
			t.Fatal(err)
		}
		list, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, list...)
	}
	return values
}

// A sealing key is replaced by an operator's commands, while the hub serves; one
// run is killed midway. Once the old key is destroyed, all that the hub holds is
// still read, and a backup sealed with the old key by nobody.
func TestASealingKeyIsReplacedByCommandsWhileTheHubServes(t *testing.T) {
	t.Parallel()
	w := openPartnersOnly(t)
	old, renewed := newSealingKey().Reveal(), newSealingKey().Reveal()
	two := fmt.Sprintf("  keys: [{id: old, key: %s}, {id: new, key: %s}]\n  fingerprints: old\n", old, renewed)
	w.seals(t, fmt.Sprintf("  keys: [{id: old, key: %s}]\n", old))
	w.startHub(t, io.Discard)
	if err := w.join(t.Context()); err != nil {
		t.Fatal(err)
	}
	grantKey := func(filing datapasstest.Filing) granted {
		t.Helper()
		g, err := w.file(t.Context(), filing)
		if err != nil {
			t.Fatal(err)
		}
		id, err := g.token()
		if err != nil {
			t.Fatal(err)
		}
		w.live(t, id)
		return g
	}
	first := grantKey(datapasstest.APIParticulier())
	backup := w.sealedValues(t)
	if out := w.says(t, 0, "keys", "status"); !strings.Contains(out, "old: ") || !strings.Contains(out, "active: it seals") {
		t.Errorf("keys status says:\n%s", out)
	}

	// An operator who is too quick is told what comes first; nothing is sealed anew.
	w.seals(t, two+"  active: new\n")
	await(t, func() error { // the hub tells which keys it holds
		var n int
		err := w.hub.pool.QueryRow(t.Context(), `select count(*) from sealing_process`).Scan(&n)
		if err == nil && n == 0 {
			err = errors.New("nobody says which keys he holds")
		}
		return err
	})
	if out := w.says(t, 1, "keys", "rotate"); !strings.Contains(out, "the key new is not held by") {
		t.Errorf("keys rotate says:\n%s", out)
	}
	w.restart(t)
	if out := w.says(t, 0, "keys", "status"); !strings.Contains(out, "new: ") || !strings.Contains(out, "keep it: they are lost without it (keys rotate); it makes the fingerprints") {
		t.Errorf("keys status says:\n%s", out)
	}

	// While the hub grants keys and shows them, the run is killed midway, then run again.
	serving, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	var granted atomic.Int64
	go func() { served <- w.serveKeys(serving, &granted) }()
	more := func() {
		t.Helper()
		before := granted.Load()
		await(t, func() error {
			if granted.Load() == before {
				return errors.New("the hub grants no key")
			}
			return nil
		})
	}
	more()
	w.killMidway(t)
	more()
	if out := w.says(t, 0, "keys", "status"); !strings.Contains(out, "they are lost without it") {
		t.Errorf("after the kill keys status says:\n%s", out)
	}
	if out := w.says(t, 0, "keys", "rotate"); !strings.Contains(out, "mail.recipient_sealed: ") || !strings.Contains(out, "0 cannot be opened") {
		t.Errorf("keys rotate says:\n%s", out)
	}
	more()
	stop()
	if err := <-served; err != nil {
		t.Errorf("while the key was replaced, the hub failed: %v", err)
	}
	out := w.says(t, 0, "keys", "status")
	if !strings.Contains(out, "old: 0 values; keep it: it makes the fingerprints: set sealing.fingerprint_key") {
		t.Errorf("keys status says:\n%s", out)
	}

	// The fingerprints get a key of their own, and the old one is destroyed.
	fingerprints := strings.TrimSpace(w.says(t, 0, "keys", "fingerprint-key"))
	w.seals(t, two+"  active: new\n  fingerprint_key: "+fingerprints+"\n")
	if out := w.says(t, 0, "keys", "status"); !strings.Contains(out, "old: 0 values; safe to destroy") {
		t.Errorf("keys status says:\n%s", out)
	}
	w.seals(t, fmt.Sprintf("  keys: [{id: new, key: %s}]\n  fingerprint_key: %s\n", renewed, fingerprints))
	w.restart(t)
	key := w.lastKey(t, first, 1) // sealed with the old key, handed over with the new one
	w.answers(t, first, key, http.StatusOK)
	later := grantKey(datapasstest.APIEntreprise())
	w.answers(t, later, w.lastKey(t, later, 1), http.StatusOK)

	// What a thief has of before: the backup, and the settings of today.
	c, err := config.Load(w.settings, nil)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := openRing(c.Sealing)
	if err != nil {
		t.Fatal(err)
	}
	if len(backup) < 10 {
		t.Errorf("the backup has %d sealed values", len(backup))
	}
	for _, value := range backup {
		if _, err := ring.Open(value, nil); !errors.Is(err, seal.ErrUnknownKey) {
			t.Fatalf("a value of the backup: %v", err)
		}
	}
}

// serveKeys grants keys and has them shown, one after the other, until ctx ends.
func (w *world) serveKeys(ctx context.Context, n *atomic.Int64) error {
	for ctx.Err() == nil {
		g, err := w.file(ctx, datapasstest.Invented(int(n.Load())+1))
		if err != nil {
			return ignoreEnd(ctx, err)
		}
		id, err := g.token()
		if err != nil {
			return ignoreEnd(ctx, err)
		}
		limited, cancel := context.WithTimeout(ctx, time.Minute)
		_, err = eventually(limited, func() (any, error) {
			c, err := w.hub.store.Credential(limited, id)
			if err == nil && c.State != "active" {
				err = fmt.Errorf("%s is %s", c.Ref, c.State)
			}
			return nil, err
		})
		cancel()
		if err != nil {
			return ignoreEnd(ctx, err)
		}
		n.Add(1)
	}
	return nil
}

func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil //nolint:nilerr // it was told to stop
	}
	return err
}

// killMidway starts `keys rotate` as a process, holds it at one value by a lock,
// and kills it there.
func (w *world) killMidway(t *testing.T) {
	t.Helper()
	tx, err := w.hub.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	tag, err := tx.Exec(t.Context(), `select 1 from inbound_event where substring(body_sealed from 3 for 3) = 'old'::bytea order by id limit 1 for update`)
	if err != nil || tag.RowsAffected() != 1 {
		t.Fatal(tag, err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "keys", "--config", w.settings, "rotate")
	cmd.Env = append(os.Environ(), asHub+"=1")
	var out lockedBuffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	await(t, func() error {
		var waits int
		err := w.hub.pool.QueryRow(t.Context(), `select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%inbound_event%'`).Scan(&waits)
		if err == nil && (waits == 0 || !strings.Contains(out.String(), "sealed anew")) {
			err = fmt.Errorf("it is not midway: %d wait, it says %q", waits, out.String())
		}
		return err
	})
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if !strings.Contains(out.String(), "credential.secret_sealed: ") || strings.Contains(out.String(), "hand_task") {
		t.Errorf("it was not killed midway: %s", out.String())
	}
}
