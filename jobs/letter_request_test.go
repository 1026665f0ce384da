package jobs

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/config/definitions"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/pgtest"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
	"github.com/passerelle-hub/passerelle/internal/store/seal"
)

// office drives requests and reads the mails that they leave.
type office struct {
	t *testing.T
	*registry.Registry
	store                 *store.Store
	catalogue             *definitions.Set
	applicant, instructor habilitation.Viewer
	seen                  map[uuid.UUID]bool
}

type noPolicy struct{}

func (noPolicy) Policy(string) (registry.Policy, bool) { return registry.Policy{}, true }

func newOffice(t *testing.T) *office {
	t.Helper()
	pool := pgtest.New(t, store.Migrate)
	key, err := seal.ParseKey("test", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
	if err != nil {
		t.Fatal(err)
	}
	ring, err := seal.NewKeyring(seal.Config{Keys: []seal.Key{key}, Active: "test", Fingerprints: "test"})
	if err != nil {
		t.Fatal(err)
	}
	data := store.New(pool, ring)
	outbox, err := NewOutbox(data, 10*time.Millisecond, time.Now, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	catalogue, report := definitions.Load(definitions.Catalogue(), definitions.Options{})
	if err := report.Err(); err != nil {
		t.Fatal(err)
	}
	o := &office{t: t, store: data, catalogue: catalogue, seen: map[uuid.UUID]bool{}}
	o.Registry = registry.New(o.store, outbox, catalogue, noPolicy{}, registry.Settings{
		PublicURL: "https://hub.example", TokenEnv: "test", LinkLifetime: time.Hour,
		ProviderNotices:      map[string][]string{"dgfip": {"dtnum.dge@dgfip.example", "datapass@dgfip.example"}},
		FranceConnectSupport: "support.partenaires@franceconnect.example",
	}, time.Now)
	o.populate()
	return o
}

func (o *office) populate() {
	o.t.Helper()
	ctx := o.t.Context()
	err := o.store.InTx(ctx, func(tx *store.Tx) error {
		organization, err := tx.EnsureOrganization(ctx, "21380999900013")
		if err != nil {
			return err
		}
		person := func(email string, roles ...string) habilitation.Viewer {
			p, perr := tx.UpsertPerson(ctx, habilitation.Applicant{Email: email, GivenName: "Jeanne", FamilyName: "Morvan"})
			parsed, _ := habilitation.ParseRoles(roles)
			err = errors.Join(err, perr, tx.SetRoles(ctx, p.ID, roles))
			return habilitation.Viewer{Actor: habilitation.Actor{Person: p.ID, Roles: parsed}, Email: email}
		}
		o.applicant = person("jeanne.morvan@valbrise.example")
		o.applicant.Organization = organization.ID
		o.instructor = person("ines@dinum.example", "dinum:*:instructor", "dgfip:*:manager", "dila:*:instructor", "dgs:*:instructor")
		quiet := person("quiet@dinum.example", "dinum:api_entreprise:reporter")
		person("dev@dinum.example", "dinum:api_entreprise:developer")
		person("other@cnam.example", "cnam:*:instructor")
		return errors.Join(err, tx.Link(ctx, o.applicant.Person, organization.ID, true),
			tx.SetMailSetting(ctx, quiet.Person, "api_particulier", store.MailsOfSubmissions, false))
	})
	if err != nil {
		o.t.Fatal(err)
	}
}

func (o *office) do(cmd registry.Command) {
	o.t.Helper()
	if err := o.Record(o.t.Context(), cmd); err != nil {
		var refusal *habilitation.Refusal
		if errors.As(err, &refusal) {
			o.t.Fatalf("%T: %v: %v", cmd, err, refusal.Faults)
		}
		o.t.Fatalf("%T: %v", cmd, err)
	}
}

// mails gives those queued since the last call, rendered: "address: template".
func (o *office) mails() []string {
	o.t.Helper()
	rows, err := o.store.Pool().Query(o.t.Context(), `select id from mail where template like 'demande_%' order by id`)
	if err != nil {
		o.t.Fatal(err)
	}
	var ids []uuid.UUID
	for rows.Next() {
		var id uuid.UUID
		if err := rows.Scan(&id); err != nil {
			o.t.Fatal(err)
		}
		ids = append(ids, id)
	}
	rows.Close()
	list := []string{}
	for _, id := range ids {
		if o.seen[id] {
			continue
		}
		o.seen[id] = true
		m, err := o.store.Mail(o.t.Context(), id)
		if err != nil {
			o.t.Fatal(err)
		}
		letter, err := renderLetter(m.Template, m.Params)
		if err != nil {
			o.t.Error(err)
		}
		if strings.Contains(letter.Text+letter.Subject, "<no value>") || letter.Subject == "" || strings.Contains(letter.Subject, "\n") {
			o.t.Errorf("%s: %q\n%s", m.Template, letter.Subject, letter.Text)
		}
		list = append(list, strings.TrimPrefix(m.Template, "demande_")+" → "+m.To.Reveal())
	}
	slices.Sort(list)
	return list
}

func (o *office) left(what string, want ...string) {
	o.t.Helper()
	slices.Sort(want)
	if diff := cmp.Diff(append([]string{}, want...), o.mails()); diff != "" {
		o.t.Errorf("mails of %s:\n%s", what, diff)
	}
}

// create makes a request whose answers are complete, as far as its definition
// asks for them.
func (o *office) create(form string, more map[string]any) int64 {
	o.t.Helper()
	answers := map[string]any{
		"intitule": "Cantine\nscolaire", "description": "Calculer le tarif de la cantine.",
		"destinataire_donnees_caractere_personnel":       "Le service des familles",
		"duree_conservation_donnees_caractere_personnel": 12,
		"cadre_juridique_nature":                         "Délibération", "cadre_juridique_url": "https://valbrise.example/deliberation",
	}
	for _, c := range habilitation.ContactKinds() {
		maps.Copy(answers, map[string]any{
			c + "_given_name": "Lise", c + "_family_name": "Armand", c + "_job_title": "Directrice", c + "_phone_number": "0612345678",
			c + "_email": strings.ReplaceAll(c, "_", "-") + "@valbrise.example",
		})
	}
	f, _ := o.catalogue.Form(form)
	d, ok := o.catalogue.Definition(f.Definition)
	if !ok {
		o.t.Fatalf("no form %s", form)
	}
	accepted := d.AcceptedKeys()
	maps.DeleteFunc(answers, func(key string, _ any) bool { return !slices.Contains(accepted, key) })
	maps.Copy(answers, more)
	body, err := json.Marshal(answers)
	if err != nil {
		o.t.Fatal(err)
	}
	cmd := &registry.CreateRequest{Caller: o.applicant, Form: form, Answers: body}
	o.do(cmd)
	return cmd.Request.ID
}

func (o *office) submit(id int64) {
	o.t.Helper()
	o.do(&registry.Submit{Target: registry.Target{ID: id, Caller: o.applicant}, TermsAccepted: true, DPOInformed: true})
}

func (o *office) by(v habilitation.Viewer, id int64) registry.Target {
	return registry.Target{ID: id, Caller: v}
}

const jeanne, ines, quiet = "jeanne.morvan@valbrise.example", "ines@dinum.example", "quiet@dinum.example"

func TestTheMailsOfADefinitionWhoseHubWritesToItsApplicants(t *testing.T) {
	o := newOffice(t)
	id := o.create("france-connect", map[string]any{"scopes": []string{"openid"}, "france_connect_eidas": "eidas_1", "alternative_connexion": true})
	o.left("a creation")
	o.submit(id)
	o.left("a submission", "received → "+jeanne, "submitted → "+ines)
	o.do(&registry.RequestChanges{Target: o.by(o.instructor, id), Reason: "Précisez"})
	o.left("a request for changes", "changes_requested → "+jeanne)
	o.submit(id)
	o.left("a second submission", "received → "+jeanne, "submitted → "+ines)
	o.do(&registry.Approve{Target: o.by(o.instructor, id), Message: "Bienvenue"})
	notices := []string{"gdpr_notice → responsable-traitement@valbrise.example", "gdpr_notice → delegue-protection-donnees@valbrise.example"}
	support := "france_connect → support.partenaires@franceconnect.example"
	o.left("an approval", append(notices, "approved → "+jeanne, support)...)

	reopen := func(title string) {
		o.do(&registry.Reopen{Target: o.by(o.applicant, id)})
		o.left("a reopening")
		o.do(&registry.UpdateRequest{Target: o.by(o.applicant, id), Answers: fmt.Appendf(nil, `{"intitule": %q}`, title)})
		o.submit(id)
		o.left("the submission of an update", "received_reouverture → "+jeanne, "submitted_reouverture → "+ines)
	}
	reopen("Autre")
	o.do(&registry.RequestChanges{Target: o.by(o.instructor, id), Reason: "Précisez"})
	o.left("changes to an update", "changes_requested_reouverture → "+jeanne)
	o.do(&registry.Refuse{Target: o.by(o.instructor, id), Reason: "Non"})
	o.left("a refused update", "refused_reouverture → "+jeanne)
	reopen("Encore autre")
	o.do(&registry.Approve{Target: o.by(o.instructor, id)})
	o.left("an approved update", append(notices, "approved_reouverture → "+jeanne, support)...)
	o.do(&registry.RevokeRequest{Target: o.by(o.instructor, id), Reason: "Usage non conforme"})
	o.left("a revocation", "revoked → "+jeanne)
	o.do(&registry.Archive{Target: o.by(o.applicant, id)})
	o.left("an archive")
}

func TestTheProviderOfAPIEntrepriseWritesToItsApplicantsItself(t *testing.T) {
	o := newOffice(t)
	answers := map[string]any{"scopes": []string{"unites_legales_etablissements_insee"}}
	id := o.create("api-entreprise", answers)
	o.submit(id)
	o.left("a submission", "received → "+jeanne, "submitted → "+ines, "submitted → "+quiet)
	o.do(&registry.Approve{Target: o.by(o.instructor, id)})
	o.left("an approval", "gdpr_notice → responsable-traitement@valbrise.example", "gdpr_notice → delegue-protection-donnees@valbrise.example")
	o.do(&registry.RevokeRequest{Target: o.by(o.instructor, id), Reason: "Non"})
	o.left("a revocation")
	refused := o.create("api-entreprise", answers)
	o.submit(refused)
	o.mails()
	o.do(&registry.Refuse{Target: o.by(o.instructor, refused), Reason: "Non"})
	o.left("a refusal")
}

func TestTheProviderDGFiPIsToldOfTheStage(t *testing.T) {
	o := newOffice(t)
	id := o.create("api-impot-particulier-sandbox", map[string]any{
		"scopes": []string{"dgfip_annee_n_moins_1", "dgfip_rfr"}, "modalities": []string{"with_spi"}, "dpd_homologation_checkbox": true,
	})
	o.submit(id)
	o.mails()
	o.do(&registry.Approve{Target: o.by(o.instructor, id)})
	o.left("an approval",
		"approved → "+jeanne, "gdpr_notice → responsable-traitement@valbrise.example", "gdpr_notice → delegue-protection-donnees@valbrise.example",
		"provider_notice → dtnum.dge@dgfip.example", "provider_notice → datapass@dgfip.example")
	var subject string
	rows, err := o.store.Pool().Query(t.Context(), `select id from mail where template = 'demande_provider_notice'`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var mailID uuid.UUID
		if err := rows.Scan(&mailID); err != nil {
			t.Fatal(err)
		}
		m, err := o.store.Mail(t.Context(), mailID)
		if err != nil {
			t.Fatal(err)
		}
		letter, err := renderLetter(m.Template, m.Params)
		if err != nil {
			t.Fatal(err)
		}
		subject = letter.Subject
	}
	if !strings.HasPrefix(subject, "[BAS] ") {
		t.Errorf("subject %q", subject)
	}
}

func TestHubEEsAdministratorIsToldToo(t *testing.T) {
	o := newOffice(t)
	id := o.create("hubee-cert-dc", nil)
	o.submit(id)
	o.mails()
	o.do(&registry.Approve{Target: o.by(o.instructor, id)})
	o.left("an approval", "approved → "+jeanne, "approved → administrateur-metier@valbrise.example")
}

func TestAFootLinkEndsTheMailsOfADefinition(t *testing.T) {
	o := newOffice(t)
	answers := map[string]any{"scopes": []string{"unites_legales_etablissements_insee"}}
	o.submit(o.create("api-entreprise", answers))
	var id uuid.UUID
	if err := o.store.Pool().QueryRow(t.Context(), `select id from mail where template = 'demande_submitted' order by id limit 1`).Scan(&id); err != nil {
		t.Fatal(err)
	}
	o.mails()
	m, err := o.store.Mail(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	value := strings.TrimPrefix(m.Params["unsubscribe"], "https://hub.example/desinscription/")
	choice, err := o.MailChoice(value)
	if err != nil || choice.Definition != "api_entreprise" || choice.Kind != store.MailsOfSubmissions {
		t.Fatalf("%+v, %v", choice, err)
	}
	o.do(&registry.SetMail{Person: choice.Person, Definition: choice.Definition, Kind: choice.Kind})
	o.submit(o.create("api-entreprise", answers))
	o.left("a submission after one has left", "received → "+jeanne, "submitted → "+quiet)
	for _, forged := range []string{"", "AAAA", value[:len(value)-2] + "zz", "é"} {
		if _, err := o.MailChoice(forged); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%q: %v", forged, err)
		}
	}
}

func TestEveryMailOfTheDomainHasItsLetter(t *testing.T) {
	for _, mail := range []habilitation.MailName{
		habilitation.MailSubmitted, habilitation.MailReceived, habilitation.MailChangesRequested, habilitation.MailRefused,
		habilitation.MailApproved, habilitation.MailRevoked, habilitation.MailTransferred, habilitation.MailGDPRNotice,
		habilitation.MailProviderNotice, habilitation.MailFranceConnect, habilitation.MailConvention,
	} {
		for _, reopening := range []bool{false, true} {
			name := registry.LetterOf(habilitation.SendMail{Mail: mail, Reopening: reopening})
			if letters.Lookup(name+".txt") == nil {
				t.Errorf("no letter %s", name)
			}
		}
	}
}
