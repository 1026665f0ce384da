package store

import (
	"encoding/json"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/passerelle-hub/passerelle/internal/pgtest"
)

// Receivers that were there before get their kind from the answer of INSEE that
// is kept of their organization.
func TestTheMigrationGivesKnownReceiversTheirLegalCategory(t *testing.T) {
	t.Parallel()
	pool, err := pgxpool.New(t.Context(), pgtest.URL(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	provider, err := gooseProvider(pool)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = provider.Close() })
	if _, err := provider.UpTo(t.Context(), 19); err != nil {
		t.Fatal(err)
	}
	insee := func(category string) any {
		payload, err := json.Marshal(map[string]any{"etablissement": map[string]any{"uniteLegale": map[string]any{"categorieJuridiqueUniteLegale": category}}})
		if err != nil {
			t.Fatal(err)
		}
		return payload
	}
	for n, r := range []struct {
		siret, name string
		payload     any
	}{{"21040107100019", "ACTION SOCIALE", insee("7361")}, {"26040107100018", "CAISSE DES ECOLES", nil}, {"21420218100017", "CCAS DE LA COMMUNE", insee("7210")}} {
		_, err := pool.Exec(t.Context(), `with o as (
				insert into organization (siret, name, insee_payload) values ($1, $2, $3) returning id
			), p as (
				insert into person (email) values ($1 || '@commune.example') returning id
			), q as (
				insert into request (origin, public_id, definition, form, state, organization_id, applicant_id, created_at)
				select 'native', gen_random_uuid(), 'formulaire_qf', 'formulaire-qf', 'validated', o.id, p.id, now() from o, p returning id
			), r as (
				insert into receiver (process, siret, cog, name, state, state_since, approved_at, updated_at)
				values ('FormulaireQF', $1, '04107', $2, 'active', now(), now(), now()) returning id
			)
			insert into receiver_right (request_id, receiver_id, process, habilitation_id, definition, scopes, granted_at)
			select q.id, r.id, 'FormulaireQF', $4::bigint, 'formulaire_qf', '{}', now() from q, r`, r.siret, r.name, r.payload, n+1)
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := provider.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	for siret, want := range map[string][2]string{
		"21040107100019": {"7361", KindCCAS}, "26040107100018": {"", KindCaisseDesEcoles}, "21420218100017": {"7210", KindCommune},
	} {
		var got [2]string
		if err := pool.QueryRow(t.Context(), `select legal_category, kind from receiver where siret = $1`, siret).Scan(&got[0], &got[1]); err != nil || got != want {
			t.Errorf("%s is %v, want %v: %v", siret, got, want, err)
		}
	}
}
