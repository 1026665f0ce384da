package jobs

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/datapass/datapasstest"
	"github.com/passerelle-hub/passerelle/connectors/hubee/hubeetest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// reception is a mirror whose communes are registered at a simulated HubEE.
type reception struct {
	*mirror
	hubee *counter
}

func newReception(t *testing.T) *reception {
	t.Helper()
	m := newMirror(t)
	c := newCounter(t) // lends its HubEE; its database is another
	m.Folders, m.LeaseFor = c.Folders, time.Minute
	t.Cleanup(func() { checkEvents(t, m.pool) })
	return &reception{m, c}
}

const newCommune = "21690387200018"

func payload(cog string) json.RawMessage {
	return json.RawMessage(`{"etablissement":{"siret":"` + newCommune + `","adresseEtablissement":{"codePostalEtablissement":"69007","libelleCommuneEtablissement":"ESSAI","codeCommuneEtablissement":"` + cog + `"}}}`)
}

func (r *reception) filing(change func(*datapasstest.Filing)) datapasstest.Filing {
	f := datapasstest.Filing{
		Definition: "formulaire_qf", Form: "formulaire-qf",
		Organization: datapasstest.Organization{ID: 7001, SIRET: newCommune, Name: "COMMUNE D'ESSAI", INSEE: payload("69387")},
		Applicant:    datapasstest.Applicant{ID: 9001, Email: "claire.essai@commune.example.fr", GivenName: "Claire", FamilyName: "Essai"},
		Fields: datapasstest.Fields{
			"contact_metier_email": datapasstest.Text("m.test@commune.example.fr"), "contact_metier_phone_number": datapasstest.Text("04 00 00 00 00"),
			"contact_metier_given_name": datapasstest.Text("Marc"), "contact_metier_family_name": datapasstest.Text("Test"),
		},
	}
	if change != nil {
		change(&f)
	}
	return f
}

func (r *reception) register(id int64) error {
	w := &registerReceiver{Workers: r.Workers}
	return w.Work(r.t.Context(), &river.Job[RegisterReceiverArgs]{JobRow: &rivertype.JobRow{Attempt: 1}, Args: RegisterReceiverArgs{RequestID: r.read(id).ID}})
}

func (r *reception) follow() {
	r.t.Helper()
	w := &followReceivers{Workers: r.Workers}
	r.hubee.must(w.Work(r.t.Context(), &river.Job[FollowReceiversArgs]{JobRow: &rivertype.JobRow{}}))
}

func (r *reception) receiver() store.Receiver {
	r.t.Helper()
	got, err := r.Store.ReceiverByKey(r.t.Context(), registry.FolderProcess, connectors.OrganizationRef{Type: "SI", SIRET: newCommune, Branch: "69387"})
	r.hubee.must(err)
	return got
}

func (r *reception) subscriptions() []connectors.Subscription {
	r.t.Helper()
	list, err := r.Folders.Directory.Subscriptions(r.t.Context(), registry.FolderProcess, newCommune)
	r.hubee.must(err)
	return list
}

var approved = []datapasstest.EventName{datapasstest.EventSubmit, datapasstest.EventApprove}

func TestAnApprovalRegistersTheCommuneAndItsStatesAreFollowed(t *testing.T) {
	t.Parallel()
	r := newReception(t)
	id := r.file(r.filing(nil), approved...)
	r.hear()
	if n := r.count("select count(*) from river_job where kind = 'register_receiver'"); n != 1 {
		t.Fatalf("%d jobs to register", n)
	}
	r.hubee.must(r.register(id))
	if got := r.receiver(); got.State != store.ReceiverInactive || got.SubscribedAt == nil {
		t.Errorf("got %+v", got)
	}
	subs := r.subscriptions()
	if len(subs) != 1 || subs[0].DataPassID != id || subs[0].Active() {
		t.Fatalf("HubEE has %+v", subs)
	}
	r.hubee.must(r.register(id)) // a repeat makes nothing twice
	if len(r.subscriptions()) != 1 || len(r.hubee.site.Calls("POST /referential/v1/organizations")) != 1 {
		t.Error("registered twice")
	}

	r.hubee.must(r.hubee.site.Activate(subs[0].ID, "PORTAIL", hubeetest.OrganizationID{}, 0))
	r.follow()
	if got := r.receiver(); got.State != store.ReceiverActive || got.ActivatedAt == nil {
		t.Errorf("got %+v", got)
	}
	r.hubee.must(r.hubee.site.Activate(subs[0].ID, "API", hubeetest.OrganizationID{Type: "EDT", CompanyRegister: "91234567500017", BranchCode: "35238"}, 0))
	r.follow()
	r.follow()
	if got := r.receiver(); got.State != store.ReceiverDelegated || got.DelegatedAt == nil || got.Delegate != "EDT-91234567500017-35238" {
		t.Errorf("got %+v", got)
	}
	if n := r.count("select count(*) from event where type = 'delegation.changed'"); n != 1 {
		t.Errorf("told of the delegation %d times", n)
	}
}

func TestAModalityOfAPIParticulierRegistersTheCommuneToo(t *testing.T) {
	t.Parallel()
	r := newReception(t)
	change := func(modalities ...string) func(*datapasstest.Filing) {
		return func(f *datapasstest.Filing) {
			f.Definition, f.Form = "api_particulier", "api-particulier-3d-ouest"
			f.Fields["scopes"], f.Fields["modalities"] = datapasstest.List("cnaf_quotient_familial"), datapasstest.List(modalities...)
		}
	}
	with := r.file(r.filing(change("formulaire_qf", "params")), approved...)
	without := r.file(r.filing(change("params")), approved...)
	r.hear()
	if n := r.count("select count(*) from receiver_right"); n != 1 {
		t.Errorf("%d rights, want one", n)
	}
	r.hubee.must(r.register(with))
	right, err := r.Store.Right(t.Context(), r.read(with).ID)
	r.hubee.must(err)
	if right.DoneAt == nil || fmt.Sprint(right.Scopes) != "[cnaf_quotient_familial]" {
		t.Errorf("got %+v", right)
	}
	if _, err := r.Store.Right(t.Context(), r.read(without).ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

func TestWhatHubEEHoldsAlreadyIsAdoptedBySIRETAndCOG(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]partnertest.Fault{
		"lost answer of the organization": partnertest.ResetAfter("POST /referential/v1/organizations"),
		"lost answer of the subscription": partnertest.ResetAfter("POST /referential/v1/subscriptions"),
		"down":                            partnertest.ResetBefore("POST /referential/v1/subscriptions"),
		"500":                             partnertest.Status("POST /referential/v1/organizations", 500).AfterWork(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newReception(t)
			other := connectors.OrganizationRef{Type: "SI", SIRET: newCommune, Branch: "69999"} // a caisse des écoles, say
			email := connectors.NewSecret("x@commune.example.fr")
			r.hubee.must(r.Folders.Directory.CreateReceiver(t.Context(), connectors.Receiver{Ref: other, Name: "AUTRE", PostalCode: "69007", Territory: "x", Email: email}))
			_, err := r.Folders.Directory.CreateSubscription(t.Context(), connectors.SubscriptionDraft{Process: registry.FolderProcess, Receiver: other, DataPassID: 1, Email: email, AdminEmail: email, ValidatedAt: time.Now()})
			r.hubee.must(err)
			id := r.file(r.filing(nil), approved...)
			r.hear()
			r.hubee.site.Inject(fault.For(1))
			if err := r.register(id); err == nil {
				t.Error("the fault went unseen")
			}
			r.hubee.must(r.register(id))
			subs := r.subscriptions()
			if len(subs) != 2 || r.receiver().SubscriptionID == "" {
				t.Errorf("HubEE has %+v", subs)
			}
			for _, s := range subs {
				if s.Receiver == other && s.ID == r.receiver().SubscriptionID {
					t.Error("another branch's subscription was adopted")
				}
			}
		})
	}
}

func TestASetUpThatPeopleMustMendWaitsWithAdvice(t *testing.T) {
	t.Parallel()
	for advice, change := range map[string]func(*datapasstest.Filing){
		"signe +": func(f *datapasstest.Filing) {
			f.Fields["contact_metier_email"] = datapasstest.Text("m+qf@commune.example.fr")
		},
		"2 à 4 lettres":      func(f *datapasstest.Filing) { f.Fields["contact_metier_email"] = datapasstest.Text("m@ville.paris") },
		"10 à 20":            func(f *datapasstest.Filing) { f.Fields["contact_metier_phone_number"] = datapasstest.Text("poste 12") },
		"réponse de l’INSEE": func(f *datapasstest.Filing) { f.Organization.INSEE = nil },
	} {
		t.Run(advice, func(t *testing.T) {
			t.Parallel()
			r := newReception(t)
			id := r.file(r.filing(change), approved...)
			r.hear()
			for range 2 {
				var snooze *rivertype.JobSnoozeError
				if err := r.register(id); !errors.As(err, &snooze) {
					t.Fatalf("got %v", err)
				}
			}
			right, err := r.Store.Right(t.Context(), r.read(id).ID)
			r.hubee.must(err)
			if !strings.Contains(right.Problem, advice) || right.ProblemSince == nil {
				t.Errorf("got %+v", right)
			}
			if n := r.count("select count(*) from history where event = 'receiver.waits'"); n != 1 {
				t.Errorf("the history tells it %d times", n)
			}
			if len(r.subscriptions()) != 0 {
				t.Error("HubEE was asked nevertheless")
			}
		})
	}
}

func TestTheEndOfARightSuspendsTheCommuneAtOnce(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(r *reception, id int64){
		"revoked": func(r *reception, id int64) { r.play(id, datapasstest.EventRevoke) },
		"transferred": func(r *reception, id int64) {
			r.site.Advance(time.Second)
			_, err := r.site.TransferToOrganization(r.t.Context(), id, datapasstest.Organization{ID: 7002, SIRET: "21350998700011", Name: "AUTRE COMMUNE"})
			r.hubee.must(err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newReception(t)
			id := r.file(r.filing(nil), approved...)
			r.hear()
			r.hubee.must(r.register(id))
			r.hubee.must(r.hubee.site.Activate(r.subscriptions()[0].ID, "PORTAIL", hubeetest.OrganizationID{}, 0))
			r.follow()
			if !store.Receives(r.receiver()) {
				t.Fatal("not active")
			}
			end(r, id)
			r.hear()
			if got := r.receiver(); got.State != store.ReceiverSuspended || got.SuspendedReason == "" {
				t.Errorf("got %+v", got)
			}
			r.follow() // HubEE still shows it active: nobody there was told
			if store.Receives(r.receiver()) {
				t.Error("HubEE's word gave back a right that ended")
			}
		})
	}
}

func TestACommuneWithTwoRightsKeepsTheOther(t *testing.T) {
	t.Parallel()
	r := newReception(t)
	one, two := r.file(r.filing(nil), approved...), r.file(r.filing(nil), approved...)
	r.hear()
	r.hubee.must(r.register(one))
	r.hubee.must(r.register(two))
	r.hubee.must(r.hubee.site.Activate(r.subscriptions()[0].ID, "PORTAIL", hubeetest.OrganizationID{}, 0))
	r.follow()
	r.play(one, datapasstest.EventRevoke)
	r.hear()
	if !store.Receives(r.receiver()) {
		t.Errorf("got %+v", r.receiver())
	}
	r.play(two, datapasstest.EventRevoke)
	r.hear()
	if store.Receives(r.receiver()) {
		t.Error("no right is left")
	}
}

// INSEE knows what an organization is; its name may tell otherwise, or nothing.
func TestTheKindOfAReceiverIsINSEEsLegalCategoryElseItsName(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ organization, category, want string }{
		"a CCAS by its category":                     {"ACTION SOCIALE D'ESSAI", "7361", store.KindCCAS},
		"a CIAS by its category":                     {"SOLIDARITES DU PAYS D'ESSAI", "7367", store.KindCCAS},
		"a caisse des écoles by its category":        {"RESTAURATION SCOLAIRE D'ESSAI", "7362", store.KindCaisseDesEcoles},
		"a community of communes by its category":    {"PAYS D'ESSAI", "7346", store.KindGroupement},
		"a commune whose name speaks of a CCAS":      {"COMMUNE D'ESSAI CCAS", "7210", store.KindCommune},
		"a CCAS by its name, of a category for none": {"CCAS D'ESSAI", "7379", store.KindCCAS},
		"a caisse by its name, where INSEE is mute":  {"CAISSE DES ECOLES D'ESSAI", "", store.KindCaisseDesEcoles},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newReception(t)
			id := r.file(r.filing(func(f *datapasstest.Filing) {
				f.Organization.Name = c.organization
				if c.category != "" {
					f.Organization.INSEE = json.RawMessage(strings.Replace(string(payload("69387")), `"siret":`, `"uniteLegale":{"categorieJuridiqueUniteLegale":"`+c.category+`"},"siret":`, 1))
				}
			}), approved...)
			r.hear()
			r.hubee.must(r.register(id))
			if got := r.receiver(); got.Kind != c.want || got.LegalCategory != c.category {
				t.Errorf("got %q of category %q, want %q", got.Kind, got.LegalCategory, c.want)
			}
		})
	}
}
