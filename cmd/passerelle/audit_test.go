package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/config"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/pgtest"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// livedIn makes a request in the database of the settings and seals its history.
func livedIn(t *testing.T, c *config.Config) {
	t.Helper()
	h, err := build(t.Context(), c, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	defer h.close()
	var viewer habilitation.Viewer
	err = h.store.InTx(t.Context(), func(tx *store.Tx) error {
		person, err := tx.UpsertPerson(t.Context(), habilitation.Applicant{Email: "jeanne@valbrise.example"})
		if err != nil {
			return err
		}
		organization, err := tx.EnsureOrganization(t.Context(), "21380999900013")
		viewer.Actor = habilitation.Actor{Person: person.ID, Organization: organization.ID}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	create := &registry.CreateRequest{Caller: viewer, Definition: "api_entreprise"}
	if err := h.registry.Record(t.Context(), create); err != nil {
		t.Fatal(err)
	}
	update := &registry.UpdateRequest{Target: registry.Target{ID: create.Request.ID, Caller: viewer}, Answers: []byte(`{"intitule":"Cantine"}`)}
	if err := h.registry.Record(t.Context(), update); err != nil {
		t.Fatal(err)
	}
	if err := h.registry.Record(t.Context(), &registry.SealHistory{}); err != nil {
		t.Fatal(err)
	}
}

func TestTheAuditFindsAPlantedChangeAndTheHubsRoleCannotPlantOne(t *testing.T) {
	admin := pgtest.URL(t, nil)
	if err := store.EnsureRoles(t.Context(), admin, store.Login{Name: store.OwnerRole}, store.Login{Name: store.AppRole}); err != nil {
		t.Skipf("this server lets no role be made: %v", err)
	}
	ownerURL, err := store.WithUser(admin, store.OwnerRole)
	if err != nil {
		t.Fatal(err)
	}
	appURL, err := store.WithUser(admin, store.AppRole)
	if err != nil {
		t.Fatal(err)
	}
	vars := []string{
		"PASSERELLE_HUB_PUBLIC_URL=https://hub.example", "DATABASE_URL=" + appURL, "PASSERELLE_DATABASE_OWNER_URL=" + ownerURL,
		"PASSERELLE_SEALING_KEYS_0_ID=a", "PASSERELLE_SEALING_KEYS_0_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
	}
	passerelle := func(args ...string) (int, string) {
		t.Helper()
		var out bytes.Buffer
		status := run(t.Context(), environment{vars: vars, stdout: &out, stderr: &out}, args)
		return status, out.String()
	}
	if status, out := passerelle("migrate"); status != 0 {
		t.Fatalf("migrate: %d %s", status, out)
	}
	c, err := config.Load("", vars)
	if err != nil {
		t.Fatal(err)
	}
	livedIn(t, c)
	if status, out := passerelle("audit", "verify"); status != 0 || !strings.Contains(out, "1 requests, 2 lines") || !strings.Contains(out, "the history is whole") || strings.Contains(out, "warning") {
		t.Errorf("%d %s", status, out)
	}
	plant := func(url string) error {
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			return err
		}
		defer conn.Close(context.WithoutCancel(t.Context()))
		_, err = conn.Exec(t.Context(), `update history set reason = 'autre' where seq = 1`)
		return err
	}
	if err := plant(appURL); err == nil {
		t.Error("the hub's role changes history")
	}
	if err := plant(ownerURL); err != nil {
		t.Fatal(err)
	}
	if status, out := passerelle("audit", "verify"); status != 1 || !strings.Contains(out, "line 1: was changed") || !strings.Contains(out, "not what was written") {
		t.Errorf("%d %s", status, out)
	}
	if status, out := passerelle("audit", "verify", strings.Repeat("ab", 32)); status != 1 || !strings.Contains(out, "is not in the chain") {
		t.Errorf("a seal that was never made: %d %s", status, out)
	}
	for _, wrong := range [][]string{{"audit"}, {"audit", "check"}, {"audit", "verify", "zz"}} {
		if status, out := passerelle(wrong...); status != 2 {
			t.Errorf("%v: %d %s", wrong, status, out)
		}
	}
}

func TestAPrivatePostgresHasBothRoles(t *testing.T) {
	c, err := config.Load("", []string{
		"PASSERELLE_HUB_PUBLIC_URL=https://hub.example", "PASSERELLE_DATABASE_DATA_DIR=" + t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
	server, err := startPrivate(t.Context(), c, zerolog.Nop())
	if err != nil {
		t.Skipf("no private Postgres here: %v", err)
	}
	defer stopPrivate(server, zerolog.Nop())
	for range 2 { // and again, as at the next start
		if err := prepareSchema(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	livedIn(t, c)
	pool, err := openPool(t.Context(), c.Database)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if apart, err := store.New(pool, nil).AppendOnly(t.Context()); err != nil || !apart {
		t.Errorf("append-only: %t, %v", apart, err)
	}
}
