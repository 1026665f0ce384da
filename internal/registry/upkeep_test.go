package registry_test

import (
	"errors"
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// noticed archives the key's request and tells it when each notice is over.
func noticed(t *testing.T, b bench, ends ...time.Duration) *registry.RevokeArchived {
	t.Helper()
	id := issuing(t, b)
	if _, err := b.pool.Exec(t.Context(), `update request set state = 'archived'`); err != nil {
		t.Fatal(err)
	}
	var request int64
	if err := b.pool.QueryRow(t.Context(), `select request_id from credential where id = $1`, id).Scan(&request); err != nil {
		t.Fatal(err)
	}
	for _, after := range ends {
		err := b.store.InTx(t.Context(), func(tx *store.Tx) error {
			return tx.AppendHistory(t.Context(), request, store.Line{
				At: time.Now(), Actor: "hub", Event: "token.archive_notice", EntityType: "credential", EntityID: id.String(),
				Detail: map[string]any{"at": time.Now().Add(after)},
			})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return &registry.RevokeArchived{CredentialID: id}
}

func TestAKeyOfARequestArchivedAgainLivesUntilTheLaterNotice(t *testing.T) {
	b := open(t, onePolicy{[]string{"m"}})
	end := noticed(t, b, -time.Hour, time.Hour)
	b.record(t, end)
	if state := b.credential(t, end.CredentialID).State; state != "issuing" && state != "requested" {
		t.Errorf("the first notice ended it: %s", state)
	}
	if n := b.count(t, `select count(*) from river_job where kind = 'revoke_archived' and scheduled_at > now() + interval '50 minutes'`); n != 1 {
		t.Errorf("%d jobs wait for the later notice, want 1", n)
	}
}

func TestAKeyOfAnArchivedRequestEndsWithItsNotice(t *testing.T) {
	b := open(t, onePolicy{[]string{"m"}})
	end := noticed(t, b, -2*time.Hour, -time.Minute)
	before := b.credential(t, end.CredentialID).State
	b.record(t, end)
	if state := b.credential(t, end.CredentialID).State; state == before {
		t.Errorf("it is still %s", state)
	}
}

func TestEveryAdministratorIsToldOfAChangeOfRolesOnce(t *testing.T) {
	b := open(t, onePolicy{})
	change := func(email string, grant, revoke []string) {
		b.record(t, &registry.ChangeRoles{Email: email, Grant: grant, Revoke: revoke})
	}
	told := func() int { return b.count(t, `select count(*) from mail where template = $1`, registry.LetterRoles) }
	change("nadia@dinum.example", []string{"admin"}, nil)
	change("omar@dinum.example", []string{"admin"}, nil)
	if n := told(); n != 1+2 {
		t.Fatalf("%d mails after two administrators, want 3", n)
	}
	change("ines@dinum.example", []string{"dinum:*:instructor"}, nil)
	change("ines@dinum.example", []string{"dinum:*:instructor"}, nil) // nothing changes
	if n := told(); n != 3+2 {
		t.Errorf("%d mails after an instructor, want 5", n)
	}
	change("omar@dinum.example", nil, []string{"admin"}) // he is told as well
	if n := told(); n != 5+2 {
		t.Errorf("%d mails after an administrator less, want 7", n)
	}
}

func TestAnOperatorPausesPartnersThatThereAreOnly(t *testing.T) {
	b := open(t, onePolicy{})
	r := registry.New(b.store, b.outbox, nil, onePolicy{}, registry.Settings{Partners: func() []string { return []string{"gravitee", "mail"} }}, time.Now)
	err := r.Record(t.Context(), &registry.PausePartner{Name: "gravite", For: time.Hour, By: "claire"})
	var unknown *registry.UnknownPartnerError
	if !errors.As(err, &unknown) || err.Error() != `no partner "gravite": there are gravitee, mail` {
		t.Errorf("an unknown partner: %v", err)
	}
	if n := b.count(t, `select count(*) from partner`); n != 0 {
		t.Errorf("%d partners", n)
	}
	if err := r.Record(t.Context(), &registry.PausePartner{Name: "mail", For: time.Hour, By: "claire"}); err != nil {
		t.Error(err)
	}
}
