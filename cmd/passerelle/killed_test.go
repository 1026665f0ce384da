package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/config"
	"github.com/passerelle-hub/passerelle/connectors/datapass/datapasstest"
	"github.com/passerelle-hub/passerelle/connectors/mail/mailtest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/internal/pgtest"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// quickRescue lets a dead process's jobs run again as soon as River can: its
// leader's 15 s and its rescuer's 30 s are no settings.
const quickRescue = `jobs: {timeout: 4s, rescue_after: 5s}
webhooks: {timeout: 1s, claim_for: 2s, lease: 6s}`

// child is the hub as a process of its own, that can be killed and started again.
type child struct {
	t        *testing.T
	settings string   // a file, or
	env      []string // variables
	mu       sync.Mutex
	cmd      *exec.Cmd
	log      lockedBuffer
}

func (c *child) start(args ...string) {
	c.t.Helper()
	self, err := os.Executable()
	if err != nil {
		c.t.Fatal(err)
	}
	command := []string{"serve"}
	if c.settings != "" {
		command = append(command, "--config", c.settings)
	}
	cmd := exec.Command(self, append(command, args...)...)
	cmd.Env = append(append(os.Environ(), asHub+"=1"), c.env...)
	cmd.Stdout, cmd.Stderr = &c.log, &c.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.mu.Lock()
	c.cmd = cmd
	c.mu.Unlock()
}

// kill ends the process at once, as a power cut would; true when this call did it.
func (c *child) kill() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cmd == nil {
		return false
	}
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
	c.cmd = nil
	return true
}

// terminate asks the process to stop and gives how it ended.
func (c *child) terminate() error {
	c.mu.Lock()
	cmd := c.cmd
	c.cmd = nil
	c.mu.Unlock()
	if cmd == nil {
		return errors.New("not running")
	}
	return errors.Join(cmd.Process.Signal(syscall.SIGTERM), cmd.Wait())
}

type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// openKillable gives a world whose hub is a process of its own.
func openKillable(t *testing.T, timing string) (*world, *child) {
	t.Helper()
	w := &world{secret: strings.Repeat("0123456789abcdef", 4)}
	database := pgtest.URL(t, store.Migrate) // dropped after the hub has stopped
	t.Cleanup(func() {
		if err := w.close(); err != nil {
			t.Error(err)
		}
	})
	if err := w.openPartners(database, timing); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(w.settings, nil)
	if err != nil {
		t.Fatal(err)
	}
	// A hub of the test's own reads the state and makes the endpoints; it runs nothing.
	if w.hub, err = build(t.Context(), c, zerolog.Nop()); err != nil {
		t.Fatal(err)
	}
	hub := &child{t: t, settings: w.settings}
	t.Cleanup(func() {
		hub.kill()
		if t.Failed() {
			t.Log(hub.log.String())
		}
	})
	hub.start()
	if err := w.join(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w, hub
}

// externalCall is one call the hub makes to a partner, in the order of the story.
type externalCall struct {
	partner string
	nth     int // of this partner's calls
	label   string
}

// recordCalls plays the provisioning undisturbed and lists its external calls.
func recordCalls(t *testing.T) []externalCall {
	w, _ := openKillable(t, quickRescue)
	g := provision(t, w)
	settled(t, w, g)
	var calls []externalCall
	for i, c := range w.gravitee.Calls("") {
		calls = append(calls, externalCall{"gravitee", i + 1, c.Method + " " + c.Route})
	}
	if len(calls) < 4 {
		t.Fatalf("the provisioning made %d calls to Gravitee", len(calls))
	}
	return append(calls, externalCall{"mail", 1, "SMTP"}, externalCall{"receiver", 1, "token.issued"})
}

func provision(t *testing.T, w *world) granted {
	t.Helper()
	g, err := w.approve(t.Context(), "api_particulier")
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// settled waits until the key is live, its mail and its event have arrived.
func settled(t *testing.T, w *world, g granted) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	_, err := eventually(ctx, func() (any, error) {
		if _, err := w.provisioned(ctx, g); err != nil {
			return nil, err
		}
		if len(w.linksMailedTo(g.Contact, "Particulier")) == 0 {
			return nil, errors.New("no mail")
		}
		if _, err := w.told("token.issued", 1); err != nil {
			return nil, err
		}
		waiting, err := w.hub.store.Waiting(ctx, waitingLimit)
		if err == nil && len(waiting.Credentials)+len(waiting.Mails) > 0 {
			err = fmt.Errorf("%d keys and %d mails wait", len(waiting.Credentials), len(waiting.Mails))
		}
		return nil, err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// killAfter kills the hub once the partner has done the work of its nth call
// and before it answers.
func killAfter(w *world, call externalCall, kill func() bool) (happened func() bool) {
	var mu sync.Mutex
	n, done := 0, false
	strike := func() {
		mu.Lock()
		n++
		hit := n == call.nth
		mu.Unlock()
		if hit {
			kill()
			mu.Lock() // not before: a late kill would strike the process that is started next
			done = true
			mu.Unlock()
		}
	}
	switch call.partner {
	case "gravitee":
		w.gravitee.AfterWork("", func(partnertest.Call) { strike() })
	case "mail":
		w.mailbox.AfterAccept(func(mailtest.Message) { strike() })
	case "receiver":
		w.receiver.AfterWork("", func(partnertest.Call) {
			if all := w.receiver.Deliveries(); len(all) > 0 && all[len(all)-1].Event == "token.issued" {
				strike()
			}
		})
	}
	return func() bool { mu.Lock(); defer mu.Unlock(); return done }
}

func TestKilledAfterAnyExternalCallNothingIsLostAndNothingIsMadeTwice(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute: River's rescuer runs every 30 s")
	}
	calls := recordCalls(t)
	for _, call := range calls {
		t.Run(fmt.Sprintf("%s call %d %s", call.partner, call.nth, strings.ReplaceAll(call.label, "/", "_")), func(t *testing.T) {
			t.Parallel()
			w, hub := openKillable(t, quickRescue)
			happened := killAfter(w, call, hub.kill)
			g := provision(t, w)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if _, err := eventually(ctx, func() (any, error) {
				if !happened() {
					return nil, errors.New("the hub was not killed")
				}
				return nil, nil
			}); err != nil {
				t.Fatal(err)
			}
			hub.kill() // wait for its end
			hub.start()
			if err := w.awaitReady(ctx); err != nil { // what was done before the kill may be all there is to do
				t.Fatal(err)
			}
			settled(t, w, g)
			madeOnce(t, w, g)
		})
	}
}

// madeOnce checks that everything exists exactly once; only a repeat under the
// same id is allowed, where the answer of SMTP or of a receiver was lost.
func madeOnce(t *testing.T, w *world, g granted) {
	t.Helper()
	n := w.gravitee.Counts()
	if n.Applications != 1 || n.Subscriptions != 1 || n.LiveKeys != 1 {
		t.Errorf("Gravitee holds %+v", n)
	}
	var ids []string
	for _, m := range w.mailbox.To(g.Contact) {
		if !slices.Contains(ids, m.MessageID) {
			ids = append(ids, m.MessageID)
		}
	}
	if len(ids) != 1 {
		t.Errorf("%d mails with ids of their own: %v", len(ids), ids)
	}
	if _, err := w.told("token.issued", 1); err != nil {
		t.Error(err)
	}
	key, err := w.revealOnce(t.Context(), g)
	if err != nil {
		t.Fatal(err)
	}
	if status, err := w.callGravitee(t.Context(), key); err != nil || status != http.StatusOK {
		t.Errorf("the key answers %d %v", status, err)
	}
}

func TestSIGTERMFinishesWhatIsUnderWay(t *testing.T) {
	w, hub := openKillable(t, quickRescue)
	w.gravitee.Inject(partnertest.Delay("", 300*time.Millisecond))
	g := provision(t, w)
	if _, err := eventually(t.Context(), func() (any, error) {
		if len(w.gravitee.Calls("")) == 0 {
			return nil, errors.New("no call yet")
		}
		return nil, nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := hub.terminate(); err != nil {
		t.Fatalf("SIGTERM: %v", err)
	}
	var doing int
	err := w.hub.pool.QueryRow(t.Context(), `select count(*) from river_job where state = 'running'`).Scan(&doing)
	if err != nil || doing != 0 {
		t.Errorf("%d jobs left running: %v", doing, err)
	}
	w.gravitee.ClearFaults()
	hub.start()
	if err := w.awaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	settled(t, w, g)
	madeOnce(t, w, g)
}

func TestTwoProcessesAndTwoHalvesWorkSideBySide(t *testing.T) {
	w, hub := openKillable(t, quickRescue)
	if err := hub.terminate(); err != nil {
		t.Fatal(err)
	}
	hub.start("--only=http")
	if err := w.awaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	ids, err := w.datapass.FileInvented(t.Context(), 1, 20)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if _, err := w.datapass.Approve(t.Context(), id, datapasstest.Approval{}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(w.gravitee.Calls("")); n != 0 {
		t.Errorf("--only=http made %d calls", n)
	}
	// Two processes work the jobs of one database, on listeners of their own.
	for range 2 {
		worker := &child{t: t, settings: w.withListeners(t)}
		worker.start("--only=jobs")
		t.Cleanup(func() {
			worker.kill()
			if t.Failed() {
				t.Log(worker.log.String())
			}
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if _, err := eventually(ctx, func() (any, error) {
		n := w.gravitee.Counts()
		if n.LiveKeys != 20 || n.Applications != 20 || n.Subscriptions != 20 {
			return nil, fmt.Errorf("Gravitee holds %+v", n)
		}
		return w.told("token.issued", 20)
	}); err != nil {
		t.Fatal(err)
	}
}

// withListeners copies the settings with free addresses for the ops pages.
func (w *world) withListeners(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile(w.settings)
	if err != nil {
		t.Fatal(err)
	}
	address, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	file := t.TempDir() + "/passerelle.yml"
	changed := strings.Replace(string(raw), strings.TrimPrefix(w.opsURL, "http://"), address, 1)
	if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
