package registry_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/internal/registry"
)

// replica is one process's memory of tokens, over the bench's database.
func (b lifeBench) replica(t *testing.T, tokens registry.TokenReader, most int) (*registry.Introspector, func()) {
	t.Helper()
	i := registry.NewIntrospector(b.Registry, tokens, most, zerolog.Nop())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { i.Run(ctx); close(done) }()
	stop := sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	return i, stop
}

func says(t *testing.T, i *registry.Introspector, value string) registry.Introspection {
	t.Helper()
	answer, err := i.Introspect(t.Context(), value, []string{"*"})
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// kept waits until a replica answers from memory.
func kept(t *testing.T, i *registry.Introspector, value string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); i.Kept() == 0; {
		if says(t, i, value); time.Now().After(end) {
			t.Fatal("nothing is kept")
		}
	}
}

func TestWhatChangesOnOneReplicaIsObeyedByAnotherWithinASecond(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*testing.T, lifeBench, uuid.UUID)
		obeyed func(registry.Introspection) bool
	}{
		"a revocation": {
			func(t *testing.T, b lifeBench, id uuid.UUID) {
				b.record(t, &registry.RevokeCredential{CredentialID: id, Reason: "fuite"})
			},
			func(i registry.Introspection) bool { return !i.Active },
		},
		"a leak's rotation": {
			func(t *testing.T, b lifeBench, id uuid.UUID) {
				b.record(t, &registry.RotateCredential{CredentialID: id})
			},
			func(i registry.Introspection) bool { return !i.Active },
		},
		"allowed addresses": {
			func(t *testing.T, b lifeBench, id uuid.UUID) {
				b.record(t, &registry.SetAllowedIPs{CredentialID: id, Addresses: []string{"192.0.2.1"}})
			},
			func(i registry.Introspection) bool { return len(i.AllowedIPs) == 1 && i.AllowedIPs[0] == "192.0.2.1" },
		},
		"another SIRET": {
			func(t *testing.T, b lifeBench, _ uuid.UUID) {
				if _, err := b.pool.Exec(t.Context(), `update organization set siret = '21380999900021'`); err != nil {
					t.Fatal(err)
				}
			},
			func(i registry.Introspection) bool { return i.SIRET == "21380999900021" },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := openLife(t)
			id := b.granted(t)
			i, _ := b.replica(t, jti{}, 1000)
			kept(t, i, id.String())
			c.change(t, b, id)
			committed := time.Now()
			for !c.obeyed(says(t, i, id.String())) {
				// Not a measure of this machine: what is asked is what is believed at
				// the end of the second, whatever the load.
				if began := time.Now(); began.Sub(committed) > time.Second {
					if !c.obeyed(says(t, i, id.String())) {
						t.Fatal("a second later it is not obeyed")
					}
				}
			}
		})
	}
}

// The tail of a transaction that began earlier commits later: its number is
// lower than one already seen.
func TestAChangeThatCommitsLateIsSeenAllTheSame(t *testing.T) {
	t.Parallel()
	b := openLife(t)
	id := b.granted(t)
	i, _ := b.replica(t, jti{}, 1000)
	tx, err := b.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.WithoutCancel(t.Context()))
	if _, err := tx.Exec(t.Context(), `update credential set state = 'revoked_at_hub' where id = $1`, id); err != nil {
		t.Fatal(err)
	}
	kept(t, i, id.String())
	for range 20 { // others commit, the replica looks
		if _, err := b.pool.Exec(t.Context(), `insert into credential_change (credential_id) values (gen_random_uuid())`); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
		if !says(t, i, id.String()).Active {
			t.Fatal("what is not committed is obeyed")
		}
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	if says(t, i, id.String()).Active {
		t.Error("it was missed")
	}
}

func TestAReplicaThatCannotKnowRefusesToSay(t *testing.T) {
	t.Parallel()
	b := openLife(t)
	id := b.granted(t)
	i, _ := b.replica(t, jti{}, 1000)
	kept(t, i, id.String())
	config := b.pool.Config().ConnConfig.Copy()
	name := config.Database
	config.Database = "postgres"
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	allow := func(allowed bool) {
		t.Helper()
		text := fmt.Sprintf("alter database %s with allow_connections %t", pgx.Identifier{name}.Sanitize(), allowed)
		if _, err := conn.Exec(context.WithoutCancel(t.Context()), text); err != nil {
			t.Fatal(err)
		}
	}
	allow(false)
	defer allow(true)
	if _, err := conn.Exec(t.Context(), `select pg_terminate_backend(pid) from pg_stat_activity where datname = $1`, name); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	if answer, err := i.Introspect(t.Context(), id.String(), []string{"*"}); err == nil {
		t.Errorf("it says %+v", answer)
	}
}

func TestAReplicaThatNoLongerLooksAsksTheDatabaseEachTime(t *testing.T) {
	t.Parallel()
	b := openLife(t)
	id := b.granted(t)
	i, stop := b.replica(t, jti{}, 1000)
	kept(t, i, id.String())
	stop()
	time.Sleep(time.Second)
	if !says(t, i, id.String()).Active {
		t.Fatal("a live token is refused")
	}
	b.record(t, &registry.RevokeCredential{CredentialID: id})
	if says(t, i, id.String()).Active {
		t.Error("a revoked token passes")
	}
}

// withdrawable signs with a key that may be withdrawn.
type withdrawable struct {
	jti
	gone atomic.Bool
}

func (w *withdrawable) ReadToken(ctx context.Context, value string) (registry.TokenRef, error) {
	if w.gone.Load() {
		return registry.TokenRef{}, registry.ErrNotOurs
	}
	return w.jti.ReadToken(ctx, value)
}

func TestAWithdrawnSigningKeyEndsWhatItSigned(t *testing.T) {
	t.Parallel()
	b := openLife(t)
	id := b.granted(t)
	if _, err := b.pool.Exec(t.Context(), `
		insert into signing_key (kid, purpose, alg, public_jwk, private_sealed, created_at, sign_from, retire_at, remove_at)
		values ('k1', 'access-token', 'ES256', '{}', '', now(), now(), now(), now())`); err != nil {
		t.Fatal(err)
	}
	tokens := &withdrawable{}
	i, _ := b.replica(t, tokens, 1000)
	kept(t, i, id.String())
	time.Sleep(500 * time.Millisecond) // it has seen the key
	tokens.gone.Store(true)
	if _, err := b.pool.Exec(t.Context(), `delete from signing_key where kid = 'k1'`); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	if says(t, i, id.String()).Active {
		t.Error("a token of a withdrawn key passes")
	}
}

func TestAReplicaKeepsNoMoreTokensThanItMay(t *testing.T) {
	t.Parallel()
	b := openLife(t)
	id := b.granted(t)
	i, _ := b.replica(t, manyTexts{id}, 1000)
	kept(t, i, "x")
	for n := range 3000 {
		says(t, i, fmt.Sprint(n))
	}
	if n := i.Kept(); n > 1000 {
		t.Errorf("%d are kept", n)
	}
	if !says(t, i, "7").Active {
		t.Error("a token that was dropped is refused")
	}
}

// manyTexts are tokens of one credential: each text is one.
type manyTexts struct{ id uuid.UUID }

func (m manyTexts) ReadToken(context.Context, string) (registry.TokenRef, error) {
	return registry.TokenRef{ID: m.id}, nil
}
func (manyTexts) Refresh(context.Context, time.Duration) error { return nil }

func TestATokenIsNothingToACallerOfAnotherDefinitionOrAfterItsOwnEnd(t *testing.T) {
	t.Parallel()
	b := openLife(t)
	id := b.granted(t)
	i, _ := b.replica(t, jti{}, 1000)
	kept(t, i, id.String())
	for _, definitions := range [][]string{nil, {"api_particulier"}} {
		answer, err := i.Introspect(t.Context(), id.String(), definitions)
		if err != nil || answer.Active || answer.Scope != "" || answer.SIRET != "" {
			t.Errorf("%v: %+v, %v", definitions, answer, err)
		}
	}
	*b.clock = b.clock.AddDate(2, 0, 0)
	if says(t, i, id.String()).Active {
		t.Error("it outlives its end")
	}
}

// Hammered while it is revoked, a token is never believed again once a read has
// seen it dead: no late read puts it back.
func TestNoLateReadBringsARevokedTokenBack(t *testing.T) {
	t.Parallel()
	b := openLife(t)
	id := b.granted(t)
	i, _ := b.replica(t, jti{}, 1000)
	kept(t, i, id.String())
	var all sync.WaitGroup
	var dead, back atomic.Bool
	stop := make(chan struct{})
	for range 8 {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				wasDead := dead.Load()
				answer, err := i.Introspect(context.Background(), id.String(), []string{"*"})
				if err != nil {
					continue
				}
				if wasDead && answer.Active {
					back.Store(true)
				}
			}
		})
	}
	b.record(t, &registry.RevokeCredential{CredentialID: id})
	i.Forget(id)
	time.Sleep(time.Second)
	dead.Store(true)
	time.Sleep(300 * time.Millisecond)
	close(stop)
	all.Wait()
	if back.Load() {
		t.Error("a revoked token is believed again")
	}
}

func TestAMachineRevokesOnlyWhatIsOfItsDefinitions(t *testing.T) {
	t.Parallel()
	b := openLife(t)
	id := b.granted(t)
	if err := b.Record(t.Context(), &registry.RevokeCredential{CredentialID: id, Definitions: []string{"api_particulier"}}); err == nil {
		t.Error("another definition's key is ended")
	}
	if err := b.Record(t.Context(), &registry.RevokeCredential{CredentialID: id, Definitions: []string{}}); err == nil {
		t.Error("a machine of no definition ends a key")
	}
	c, err := b.TokenCredential(t.Context(), jti{}, id.String())
	if err != nil || c.ID != id {
		t.Fatal(c.ID, err)
	}
	b.record(t, &registry.RevokeCredential{CredentialID: id, Definitions: []string{c.Definition}})
	if _, err := b.TokenCredential(t.Context(), jti{}, "unknown"); err == nil || errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
