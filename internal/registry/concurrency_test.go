package registry_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

func (b bench) record(t *testing.T, commands ...registry.Command) {
	t.Helper()
	for _, cmd := range commands {
		if err := b.Record(t.Context(), cmd); err != nil {
			t.Fatalf("%T: %v", cmd, err)
		}
	}
}

func (b bench) credential(t *testing.T, id uuid.UUID) store.Credential {
	t.Helper()
	c, err := b.store.Credential(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// issuing brings the credential of the approve sample to the step before "issue".
func issuing(t *testing.T, b bench) uuid.UUID {
	t.Helper()
	receipt := b.receive(t, sample(t, "webhook-approve.json"))
	b.apply(t, entreprise)
	id := receipt.TokenID
	b.record(
		t, &registry.PrepareCredential{CredentialID: id, Secret: connectors.NewSecret("clear"), Hint: "cl…"},
		&registry.StartStep{CredentialID: id, Step: "subject"}, &registry.SubjectEnsured{CredentialID: id, SubjectID: "s1"},
		&registry.StartStep{CredentialID: id, Step: "grants"}, &registry.GrantsEnsured{CredentialID: id, Scopes: b.credential(t, id).Scopes},
	)
	return id
}

// reopened is the approve sample a day later, with fewer scopes granted by a new habilitation.
func reopened(t *testing.T) []byte {
	t.Helper()
	body := string(sample(t, "webhook-approve.json"))
	for _, change := range [][2]string{
		{`"fired_at":1774346718`, `"fired_at":1774433118`},
		{`"open_data_actes_bilans_inpi",`, ``},
		{`\"open_data_actes_bilans_inpi\",`, ``},
	} {
		if !strings.Contains(body, change[0]) {
			t.Fatalf("the sample has no %s", change[0])
		}
		body = strings.ReplaceAll(body, change[0], change[1])
	}
	return []byte(strings.ReplaceAll(body, `"id":51877`, `"id":51999`))
}

func TestRightsThatChangeWhileAKeyIsIssuedReachItsManager(t *testing.T) {
	b := open(t, onePolicy{[]string{"m"}})
	id := issuing(t, b)
	before := b.credential(t, id).Scopes
	b.receive(t, reopened(t))
	b.apply(t, entreprise)
	b.record(
		t, &registry.StartStep{CredentialID: id, Step: "issue"},
		&registry.CredentialIssued{CredentialID: id, Handle: connectors.Handle{ID: "h1"}},
		&registry.CredentialVerified{CredentialID: id},
	)
	c := b.credential(t, id)
	if len(c.Scopes) == len(before) {
		t.Fatalf("scopes %v did not change", c.Scopes)
	}
	if !c.GrantsPending {
		t.Error("nobody knows that the manager holds the old rights")
	}
	b.record(t, &registry.GrantsEnsured{CredentialID: id, Scopes: before})
	if !b.credential(t, id).GrantsPending {
		t.Error("the old rights were taken for the new ones")
	}
	b.record(t, &registry.GrantsEnsured{CredentialID: id, Scopes: c.Scopes})
	if b.credential(t, id).GrantsPending {
		t.Error("the new rights are set and still pending")
	}
}

func TestARevocationDuringTheIssueKeepsTheManagersHandle(t *testing.T) {
	b := open(t, onePolicy{[]string{"m"}})
	id := issuing(t, b)
	// A worker holds the row while it records the handle; the revocation comes meanwhile.
	tx, err := b.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `update credential set handle = '{"ID":"h1"}' where id = $1`, id); err != nil {
		t.Fatal(err)
	}
	b.receive(t, sample(t, "webhook-revoke.json"))
	done := make(chan error, 1)
	go func() {
		done <- b.Record(t.Context(), &registry.ApplyInbound{Key: store.InboundKey{Source: "datapass", ExternalID: entreprise}})
	}()
	waitUntil(t, func() bool { return b.count(t, `select count(*) from pg_locks where not granted`) > 0 })
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	c := b.credential(t, id)
	if !habilitation.CredentialState(c.State).Revoking() || len(c.Handle) == 0 {
		t.Errorf("state %s, handle %q: the revocation forgot what the manager answered", c.State, c.Handle)
	}
}

func waitUntil(t *testing.T, ok func() bool) {
	t.Helper()
	for range 500 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("waited for nothing")
}

func TestAnApproveAfterAKeyEndedHereGetsANewToken(t *testing.T) {
	b := open(t, onePolicy{[]string{"m"}})
	first := issuing(t, b)
	if _, err := b.pool.Exec(t.Context(), `update request set state = 'archived'`); err != nil {
		t.Fatal(err)
	}
	b.record(t, &registry.RevokeArchived{CredentialID: first})
	second := b.receive(t, reopened(t)).TokenID
	if second == first {
		t.Error("the answer names a key that is over")
	}
	b.apply(t, entreprise)
	if n := b.count(t, `select count(*) from credential where id = $1 and state = 'requested'`, second); n != 1 {
		t.Errorf("%d keys with the token_id that was answered, want 1", n)
	}
}

func TestPausesEndByWhoeverMadeThem(t *testing.T) {
	b := open(t, onePolicy{[]string{"m"}})
	id := issuing(t, b)
	if _, err := b.pool.Exec(t.Context(), `insert into river_queue (name, created_at, updated_at) values ('partner_m', now(), now())`); err != nil {
		t.Fatal(err)
	}
	paused := func() bool { return b.count(t, `select count(*) from river_queue where paused_at is not null`) == 1 }
	hub := &registry.PausePartner{Name: "m", For: time.Minute, Class: connectors.Temporary}
	b.record(t, hub, &registry.CredentialIssued{CredentialID: id, Handle: connectors.Handle{ID: "h1"}})
	if !paused() {
		t.Fatal("the hub's pause pauses nothing")
	}
	b.record(t, &registry.CredentialVerified{CredentialID: id})
	if paused() {
		t.Error("the partner answered and its queue rests for ever")
	}
	b.record(t, &registry.PausePartner{Name: "m", For: time.Hour, By: "camille"}, hub, &registry.PartnerAnswered{Name: "m"})
	p, err := b.store.Partner(t.Context(), "m")
	if err != nil {
		t.Fatal(err)
	}
	if p.PausedBy != "camille" || !paused() {
		t.Errorf("the hub ended an operator's pause: %+v", p)
	}
	b.record(t, &registry.PausedBySettings{Name: "m"})
	if !paused() {
		t.Error("settings that say nothing ended an operator's pause")
	}
	b.record(t, &registry.ResumePartner{Name: "m"})
	if p, _ = b.store.Partner(t.Context(), "m"); p.PausedUntil != nil || paused() {
		t.Errorf("an operator cannot end her pause: %+v", p)
	}
	b.record(t, &registry.PausedBySettings{Name: "m", Paused: true}, &registry.PartnerAnswered{Name: "m"})
	if !paused() {
		t.Error("the settings' pause pauses nothing, or ends by itself")
	}
	b.record(t, &registry.PausedBySettings{Name: "m"})
	if paused() {
		t.Error("the pause outlives the settings that asked for it")
	}
}

func TestAWaitingJobIsNotQueuedAgain(t *testing.T) {
	b := open(t, onePolicy{[]string{"m"}})
	b.receive(t, sample(t, "webhook-approve.json"))
	stale := func() int {
		keys, err := b.store.StaleInbound(t.Context(), time.Now().Add(time.Minute), 10)
		if err != nil {
			t.Fatal(err)
		}
		return len(keys)
	}
	if n := stale(); n != 0 {
		t.Errorf("%d requests queued again although their job waits", n)
	}
	if _, err := b.pool.Exec(t.Context(), `update river_job set state = 'discarded', finalized_at = now()`); err != nil {
		t.Fatal(err)
	}
	if n := stale(); n != 1 {
		t.Errorf("%d requests taken up after their job was given up, want 1", n)
	}
}

func TestTextThatPostgresCannotHoldIsApplied(t *testing.T) {
	for name, change := range map[string][2]string{
		"a NUL in the form":                  {`"form_uid":"`, `"form_uid":"\u0000`},
		"a NUL in the organisation's name":   {`"name":"`, `"name":"\u0000`},
		"a NUL in INSEE's answer":            {`"insee_payload":{`, `"insee_payload":{"x":"a\u0000b\\u0000",`},
		"bytes that are no UTF-8 in INSEE's": {`"insee_payload":{`, "\"insee_payload\":{\"x\":\"\xff\","},
		"INSEE's answer of 900 kB":           {`"insee_payload":{`, `"insee_payload":{"x":"` + strings.Repeat("é", 450_000) + `",`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := open(t, onePolicy{[]string{"m"}})
			body := string(sample(t, "webhook-approve.json"))
			if !strings.Contains(body, change[0]) {
				t.Fatalf("the sample has no %s", change[0])
			}
			b.receive(t, []byte(strings.ReplaceAll(body, change[0], change[1])))
			b.apply(t, entreprise)
			if n := b.count(t, `select count(*) from inbound_event where state = 'applied'`); n != 1 {
				t.Errorf("%d events applied, want 1", n)
			}
		})
	}
}

func TestWorkWhoseJobWasGivenUpIsQueuedAgain(t *testing.T) {
	b := open(t, onePolicy{[]string{"m"}})
	issuing(t, b)
	later := time.Now().Add(time.Hour)
	found := func() int {
		keys, err := b.store.AbandonedCredentials(t.Context(), later, 10)
		if err != nil {
			t.Fatal(err)
		}
		return len(keys)
	}
	if n := found(); n != 0 {
		t.Errorf("%d keys queued again although their job waits", n)
	}
	if _, err := b.pool.Exec(t.Context(), `update river_job set state = 'discarded', finalized_at = now()`); err != nil {
		t.Fatal(err)
	}
	if n := found(); n != 1 {
		t.Fatalf("%d keys without a job found, want 1", n)
	}
	keys, err := b.store.AbandonedCredentials(t.Context(), later, 10)
	if err != nil {
		t.Fatal(err)
	}
	b.record(t, &registry.Wake{Credentials: keys})
	if n := b.count(t, `select count(*) from river_job where kind = 'provision_credential' and state = 'available' and queue = 'partner_m'`); n != 1 {
		t.Errorf("%d jobs queued, want 1", n)
	}
	if n := found(); n != 0 {
		t.Error("it is queued again and again")
	}
}

func TestOnlyDefinitionsWithSettingsAreTakenUp(t *testing.T) {
	policies := &settable{}
	b := open(t, policies)
	receipt := b.receive(t, sample(t, "webhook-approve.json"))
	b.apply(t, entreprise)
	if list, err := b.Assignable(t.Context(), 10); err != nil || len(list) != 0 {
		t.Errorf("%v %v: taken up without settings", list, err)
	}
	policies.set(onePolicy{[]string{"m"}})
	if list, err := b.Assignable(t.Context(), 10); err != nil || len(list) != 1 || list[0] != receipt.TokenID {
		t.Errorf("%v %v, want the key that waits", list, err)
	}
}
