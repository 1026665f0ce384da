package habilitation_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/passerelle-hub/passerelle/connectors/partnertest/contracts"
	hab "github.com/passerelle-hub/passerelle/internal/habilitation"
)

// sample reads one of the contract's webhook bodies, and skips where the
// contracts are not at hand.
func sample(t *testing.T, name string) body {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(contracts.Dir(t), "datapass", name))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("no %s", name)
	} else if err != nil {
		t.Fatal(err)
	}
	var hook struct {
		Event     string `json:"event"`
		FiredAt   int64  `json:"fired_at"`
		ModelType string `json:"model_type"`
		ModelID   int64  `json:"model_id"`
		Data      struct {
			State         hab.State       `json:"state"`
			FormUID       string          `json:"form_uid"`
			Data          json.RawMessage `json:"data"`
			CreatedAt     time.Time       `json:"created_at"`
			LastSubmitted *time.Time      `json:"last_submitted_at"`
			LastValidated *time.Time      `json:"last_validated_at"`
			Organization  struct {
				ID          int64
				SIRET, Name string
			} `json:"organization"`
			Applicant struct {
				ID    int64
				Email string
			} `json:"applicant"`
			Authorizations []struct {
				ID           int64           `json:"id"`
				State        hab.GrantState  `json:"state"`
				DefinitionID string          `json:"definition_id"`
				Data         json.RawMessage `json:"data"`
				CreatedAt    time.Time       `json:"created_at"`
			} `json:"authorizations"`
		} `json:"data"`
	}
	if err := json.Unmarshal(raw, &hook); err != nil {
		t.Fatal(err)
	}
	d := hook.Data
	r := hab.Request{
		Source: "datapass", ExternalID: hook.ModelID, Definition: strings.TrimPrefix(hook.ModelType, "authorization_request/"),
		Form: d.FormUID, State: d.State, Data: decoded(t, d.Data), CreatedAt: d.CreatedAt,
		Organization: hab.Organization{ID: d.Organization.ID, SIRET: d.Organization.SIRET, Name: d.Organization.Name},
		Applicant:    hab.Applicant{ID: d.Applicant.ID, Email: d.Applicant.Email},
	}
	if d.LastSubmitted != nil {
		r.LastSubmittedAt = *d.LastSubmitted
	}
	if d.LastValidated != nil {
		r.LastValidatedAt = *d.LastValidated
	}
	for _, a := range d.Authorizations {
		r.Habilitations = append(r.Habilitations, hab.Habilitation{
			ExternalID: a.ID, Definition: a.DefinitionID, State: a.State, Data: decoded(t, a.Data), CreatedAt: a.CreatedAt,
		})
	}
	return body{event: hook.Event, firedAt: time.Unix(hook.FiredAt, 0), request: r}
}

func decoded(t *testing.T, raw json.RawMessage) hab.Data {
	t.Helper()
	data, err := hab.DecodeData(raw)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestTheContractsOwnBodies(t *testing.T) {
	submitted, approved, revoked := sample(t, "webhook-submit.json"), sample(t, "webhook-approve.json"), sample(t, "webhook-revoke.json")
	t.Run("in order", func(t *testing.T) {
		m := newMirror()
		for _, step := range []struct {
			body body
			want string
		}{
			{submitted, "tell submit to api_entreprise"},
			{approved, "issue api_entreprise " + approved.request.Data["scopes"] + "; tell approve to api_entreprise"},
			{revoked, "revoke api_entreprise; tell revoke to api_entreprise"},
		} {
			if v := m.receive(step.body); v.Outcome != hab.Applied {
				t.Fatalf("%s: %+v", step.body.event, v)
			}
			if diff := cmp.Diff(step.want, strings.Join(kinds(m.change.Consequences), "; ")); diff != "" {
				t.Errorf("%s: %s", step.body.event, diff)
			}
		}
		var states []hab.GrantState
		for _, h := range m.current.Habilitations {
			states = append(states, h.State)
		}
		if diff := cmp.Diff([]hab.GrantState{hab.GrantObsolete, hab.GrantRevoked}, states); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("the revocation first: nothing is ever issued", func(t *testing.T) {
		m := newMirror()
		m.receive(revoked)
		for _, b := range []body{approved, submitted} {
			if v := m.receive(b); v.Outcome != hab.Late || len(m.change.Consequences) != 0 {
				t.Errorf("%s: %+v, %+v", b.event, v, m.change.Consequences)
			}
		}
	})
	t.Run("an approval with modalities says which", func(t *testing.T) {
		m := newMirror()
		m.receive(sample(t, "webhook-approve-formulaire-qf.json"))
		issued := only[hab.IssueCredentials](m.change)
		if len(issued) != 1 || !cmp.Equal(issued[0].Modalities, []string{"formulaire_qf", "params"}) {
			t.Errorf("got %+v", issued)
		}
	})
	t.Run("a definition without scopes", func(t *testing.T) {
		m := newMirror()
		m.receive(sample(t, "webhook-approve-formulaire-qf-no-editor.json"))
		issued := only[hab.IssueCredentials](m.change)
		if len(issued) != 1 || issued[0].Definition != "formulaire_qf" || len(issued[0].Scopes) != 0 {
			t.Errorf("got %+v", issued)
		}
	})
}
