package store_test

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/jose"
	"github.com/passerelle-hub/passerelle/internal/pgtest"
	"github.com/passerelle-hub/passerelle/internal/store"
	"github.com/passerelle-hub/passerelle/internal/store/seal"
)

// clearColumns are the columns of bytes that hold nothing sealed.
var clearColumns = []string{
	"access_token.sha256", "api_client.secret_sha256", "audit_head.hash", "audit_seal.hash", "audit_seal.mac", "audit_seal.prev_hash", "audit_seal.root",
	"connector_record.value", // ids and dates of the built-in issuer, no secret
	"folder_content.body",    // under a key of its own, key_sealed
	"journey_trace.sub_hash", "journey_trace.prev_hash", "journey_trace.hash", "journey_trace_purged.hash",
	"journey.body", // under a key that only a citizen's browser holds
	"journey.key_hash", "journey.state_hash",
	"key_envelope.check_sum", // of a key that only its recipient reads
	"credential.fingerprint", "definition_set.bundle", "handover_link.recipient_hash", "handover_link.token_hash", "history.hash", "history.prev_hash",
	"idempotent_answer.hash", "inbound_event.body_sha256", "mail.recipient_hash",
}

// A column that nobody lists would be lost with the key that sealed it.
func TestEveryColumnOfBytesIsListedAsSealedOrAsClear(t *testing.T) {
	pool := pgtest.New(t, store.Migrate)
	rows, err := pool.Query(t.Context(), `
		select c.table_name || '.' || c.column_name from information_schema.columns c
		join information_schema.tables t using (table_schema, table_name)
		where c.table_schema = 'public' and t.table_type = 'BASE TABLE' and (c.data_type = 'bytea' or c.column_name like '%\_sealed')
		  and c.table_name not like 'river%'`)
	if err != nil {
		t.Fatal(err)
	}
	columns, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	var sealed []string
	for _, c := range store.SealedColumns() {
		sealed = append(sealed, c.Table+"."+c.Column)
		if !slices.Contains(columns, c.Table+"."+c.Column) {
			t.Errorf("%s.%s is listed and does not exist", c.Table, c.Column)
		}
	}
	for _, c := range columns {
		if slices.Contains(sealed, c) == slices.Contains(clearColumns, c) {
			t.Errorf("%s must be in store.SealedColumns, or in clearColumns of this test", c)
		}
	}
}

func sealingKey(t *testing.T, id string) seal.Key {
	t.Helper()
	k, err := seal.ParseKey(id, base64.StdEncoding.EncodeToString([]byte(fmt.Sprintf("%-32s", "key "+id+" 0123456789abcdef"))[:32]))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// process is a store as a process of the hub has it: with some keys, one active.
func process(t *testing.T, pool *pgxpool.Pool, active string, fingerprints []byte, ids ...string) (*store.Store, *seal.Keyring) {
	t.Helper()
	c := seal.Config{Active: active, Fingerprints: "old", FingerprintKey: fingerprints}
	for _, id := range ids {
		c.Keys = append(c.Keys, sealingKey(t, id))
	}
	ring, err := seal.NewKeyring(c)
	if err != nil {
		t.Fatal(err)
	}
	return store.New(pool, ring), ring
}

// fill puts one sealed value, or more, into every sealed column.
func fillSealed(t *testing.T, s *store.Store, n int) (mails []uuid.UUID) {
	t.Helper()
	ctx, now := t.Context(), time.Now()
	key, err := jose.GenerateKey(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	kid := fmt.Sprint("k-", uuid.NewString())
	if ok, err := s.InsertSigningKey(ctx, jose.SigningKey{
		KID: kid, Purpose: kid, Alg: jose.ES256, Public: key.Public(), Private: key, CreatedAt: now, SignFrom: now, RetireAt: now, RemoveAt: now,
	}, nil); err != nil || !ok {
		t.Fatal(ok, err)
	}
	err = s.InTx(ctx, func(tx *store.Tx) error {
		for range n {
			id := uuid.New()
			mails = append(mails, id)
			_, err := tx.QueueMails(ctx, store.NewMail{
				ID: id, Template: "t", To: connectors.NewSecret("samir@commune.example"), Params: map[string]string{"link": "value"}, Dedup: id.String(), Now: now,
			})
			if err != nil {
				return err
			}
		}
		if err := tx.PublishEvent(ctx, store.Event{
			ID: store.EventID(now), Type: "t", Definition: "d", Subject: kid, Body: []byte(`{}`), DataPass: []byte(`{"a":1}`), OccurredAt: now,
		}, func([]int64) {}); err != nil {
			return err
		}
		_, err := tx.InsertEndpoint(ctx, store.NewEndpoint{
			Definition: "d", URL: "https://recu.example/a", Events: []string{"*"}, Format: store.FormatStandard, MaxInFlight: 1,
			Secrets: []store.EndpointSecret{{Value: "whsec"}}, Headers: map[string]string{"X-Cle": "valeur"}, Now: now,
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return mails
}

func rewrap(t *testing.T, s *store.Store) (done, lost int64) {
	t.Helper()
	if err := s.Rewrap(t.Context(), func(r store.Rewrapped) { done, lost = done+r.Done, lost+r.Lost }); err != nil {
		t.Fatal(err)
	}
	return done, lost
}

func TestAKeyIsReplacedWithoutDowntimeAndNothingItSealedIsReadableAfterItIsDestroyed(t *testing.T) {
	pool := pgtest.New(t, store.Migrate)
	old, oldRing := process(t, pool, "old", nil, "old", "new")
	mails := fillSealed(t, old, 1200) // more than two batches
	dump := sealedBytes(t, pool)

	// One process seals with the new key while another still seals with the old one.
	renewed, ring := process(t, pool, "new", nil, "old", "new")
	if done, lost := rewrap(t, renewed); done < 2400 || lost != 0 {
		t.Errorf("%d sealed anew, %d lost", done, lost)
	}
	for _, s := range []*store.Store{old, renewed} {
		if m, err := s.Mail(t.Context(), mails[0]); err != nil || m.To.Reveal() != "samir@commune.example" || m.Params["link"] != "value" {
			t.Errorf("%v %v", m.Params, err)
		}
	}
	late := fillSealed(t, old, 1) // the other one goes on
	state := sealingState(t, renewed)
	if state.Left("old") == 0 {
		t.Error("what the other process sealed meanwhile is not counted")
	}
	if done, _ := rewrap(t, renewed); done == 0 {
		t.Error("a second run has nothing to do")
	}
	if state = sealingState(t, renewed); state.Left("old") != 0 || state.Left("new") == 0 {
		t.Errorf("%+v", state.Uses)
	}
	if done, lost := rewrap(t, renewed); done != 0 || lost != 0 {
		t.Errorf("a run with nothing to do sealed %d, lost %d", done, lost)
	}

	// The old key is destroyed; fingerprints go on with a key of their own.
	alone, aloneRing := process(t, pool, "new", ring.FingerprintKey(), "new")
	if string(aloneRing.Fingerprint([]byte("x"))) != string(ring.Fingerprint([]byte("x"))) {
		t.Error("fingerprints changed")
	}
	for _, id := range append(mails[:1], late...) {
		if _, err := alone.Mail(t.Context(), id); err != nil {
			t.Error(err)
		}
	}
	for _, sealed := range dump {
		if _, err := aloneRing.Open(sealed, nil); !errors.Is(err, seal.ErrUnknownKey) {
			t.Fatalf("a value of the old key, from a backup: %v", err)
		}
	}
	if id, err := seal.KeyID(dump[0]); err != nil || id != "old" || oldRing.Active() != "old" {
		t.Error("the dump is not of the old key")
	}
	var left int
	if err := pool.QueryRow(t.Context(), `select count(*) from mail where position('\x01036f6c64'::bytea in recipient_sealed) = 1`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d values of the old key, %v", left, err)
	}
}

func sealingState(t *testing.T, s *store.Store) store.SealingState {
	t.Helper()
	state, err := s.SealingState(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func sealedBytes(t *testing.T, pool *pgxpool.Pool) (all [][]byte) {
	t.Helper()
	for _, c := range store.SealedColumns() {
		rows, err := pool.Query(t.Context(), fmt.Sprintf(`select %[1]s from %[2]s where %[1]s is not null and (%[3]s)`, c.Column, c.Table, cmp.Or(c.Where, "true")))
		if err != nil {
			t.Fatal(err)
		}
		values, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, values...)
	}
	return all
}

func TestRewrappingStopsAndGoesOn(t *testing.T) {
	pool := pgtest.New(t, store.Migrate)
	old, _ := process(t, pool, "old", nil, "old", "new")
	mails := fillSealed(t, old, 1200)
	renewed, _ := process(t, pool, "new", nil, "old", "new")
	ctx, cancel := context.WithCancel(t.Context())
	err := renewed.Rewrap(ctx, func(r store.Rewrapped) {
		if r.Table == "endpoint" { // some columns are done, the large ones are not
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("it was not stopped: %v", err)
	}
	if m, err := renewed.Mail(t.Context(), mails[7]); err != nil || m.To.IsZero() {
		t.Errorf("half way, a value is lost: %v", err)
	}
	if _, lost := rewrap(t, renewed); lost != 0 || sealingState(t, renewed).Left("old") != 0 {
		t.Errorf("%d lost, %+v", lost, sealingState(t, renewed).Uses)
	}
}

func TestWhoRunsWithWhichKeysIsKnown(t *testing.T) {
	pool := pgtest.New(t, store.Migrate)
	old, _ := process(t, pool, "old", nil, "old")
	renewed, _ := process(t, pool, "new", nil, "old", "new")
	id := uuid.New()
	for _, seen := range []error{old.SealingSeen(t.Context(), id, "a/1"), old.SealingSeen(t.Context(), id, "a/1"), renewed.SealingSeen(t.Context(), uuid.New(), "b/2")} {
		if seen != nil {
			t.Fatal(seen)
		}
	}
	state := sealingState(t, renewed)
	if blind, with := strings.Join(state.Without("new"), " "), strings.Join(state.SealingWith("old"), " "); blind != "a/1" || with != "a/1" {
		t.Errorf("without the new key: %q, sealing with the old one: %q", blind, with)
	}
	if err := old.SealingGone(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(t.Context(), `update sealing_process set seen_at = now() - interval '2 minutes'`); err != nil {
		t.Fatal(err)
	}
	if state := sealingState(t, renewed); len(state.Processes) != 0 {
		t.Errorf("those that are over still count: %+v", state.Processes)
	}
}
