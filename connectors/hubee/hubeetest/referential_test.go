package hubeetest

import (
	"strings"
	"testing"
	"time"
)

func newSubscription(process string) object {
	return object{
		"datapassId": 60001, "processCode": process, "notificationFrequency": "Aucune", "subscriber": majastres,
		"status": "Actif", "accessMode": "API", "email": "s.verdier@majastres.fr",
		"localAdministrator": object{"email": "s.verdier@majastres.fr", "lastName": "VERDIER", "phoneNumber": "0492000000"},
	}
}

func TestHS11ASubscriptionIsBornInactiveAndAPersonActivatesIt(t *testing.T) {
	t.Parallel()
	b := start(t)
	made := b.call(DataPass, "POST", subscriptions, newSubscription("CERTDC")).want(201)
	id := made.str("id")
	if made.str("status") != inactive || made.get("accessMode") != nil || made.get("delegationActor.type") != nil {
		t.Errorf("%s", made.Text)
	}
	b.call(DataPass, "POST", subscriptions, newSubscription("CERTDC")).
		refused(400, "Subscription CERTDC for organization SI-21040107100019-04107 already exists")
	if found := b.call(DataPass, "GET", subscriptions+"?datapassId=60001", nil).want(200); found.str("0.id") != id {
		t.Errorf("%s", found.Text)
	}
	b.call(DataPass, "PUT", subscriptions+"/"+id, newSubscription("CERTDC")).refused(403, "Unauthorized user")

	pairs := len(b.Credentials())
	if err := b.Activate(id, "API", OrganizationID{"EDT", "91234567500017", "35238"}, 72*time.Hour); err != nil {
		t.Fatal(err)
	}
	status := func() string { return b.call(OSL, "GET", subscriptions+"/"+id, nil).want(200).str("status") }
	if got := status(); got != inactive {
		t.Errorf("at once: %s", got)
	}
	b.Advance(72 * time.Hour)
	b.tokens = map[Actor]string{}
	if got := status(); got != active {
		t.Errorf("after three days: %s", got)
	}
	delegated := b.call(OSL, "GET", subscriptions+"/"+id, nil)
	if delegated.str("delegationActor.companyRegister") != "91234567500017" || delegated.str("accessMode") != "API" ||
		delegated.get("activateDateTime") == nil || len(b.Credentials()) != pairs+1 {
		t.Errorf("%s, %d pairs", delegated.Text, len(b.Credentials()))
	}
	pair := b.Credentials()[pairs]
	if pair.Organization != majastres || pair.ProcessCode != "CERTDC" {
		t.Errorf("%+v", pair)
	}
	b.token(pair, "SI").want(200)

	// Without a signal, where the switch says so.
	b.SetSwitches(func(s *Switches) { s.ActivateAfter = Duration(time.Hour) })
	b.call(Admin, "POST", referential+"/processes", object{"code": "RSA", "name": "RSA"}).want(201)
	id = b.call(DataPass, "POST", subscriptions, newSubscription("RSA")).want(201).str("id")
	b.Advance(time.Hour)
	b.tokens = map[Actor]string{}
	if got := status(); got != active {
		t.Errorf("%s", got)
	}
	// An administrator's token does it by PUT, with what GET gave.
	suspended := newSubscription("RSA")
	suspended["status"] = "Suspendu"
	if got := b.call(Admin, "PUT", subscriptions+"/"+id, suspended).want(200); got.str("status") != "Suspendu" {
		t.Errorf("%s", got.Text)
	}
}

func TestHS11AddressesAndPhonesFollowThePatterns(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.call(Admin, "POST", referential+"/processes", object{"code": "RSA", "name": "RSA"}).want(201)
	for name, c := range map[string]struct {
		email, phone string
		good         bool
	}{
		"a plain address":                      {"a.b-c@mairie.fr", "0492000000", true},
		"a phone with its country":             {"a@mairie.fr", "+33492000000", true},
		"a plus sign":                          {"a+b@mairie.fr", "0492000000", false},
		"a top level of more than four letter": {"mairie@ville.paris", "0492000000", false},
		"a top level in capitals":              {"mairie@ville.FR", "0492000000", false},
		"a phone with spaces":                  {"a@mairie.fr", "04 92 00 00 00", false},
		"a phone with dots":                    {"a@mairie.fr", "04.92.00.00.00", false},
		"a phone that is too short":            {"a@mairie.fr", "049200", false},
	} {
		t.Run(name, func(t *testing.T) {
			sub := newSubscription("RSA")
			sub["localAdministrator"] = object{"email": c.email, "phoneNumber": c.phone}
			r := b.call(DataPass, "POST", subscriptions, sub)
			r.t = t
			if c.good {
				if r.Status == 400 && strings.Contains(r.Text, "already exists") {
					return
				}
				r.want(201)
				return
			}
			r.want(400)
			organization := object{
				"type": "SI", "companyRegister": "21040107100019", "branchCode": "04999", "name": "X", "postalCode": "04270",
				"territory": "04", "email": c.email, "phoneNumber": c.phone, "status": "Actif",
			}
			again := b.call(DataPass, "POST", organizations, organization)
			again.t = t
			again.want(400)
		})
	}
	sub := newSubscription("CERTDC")
	sub["email"] = "pas un courriel"
	b.call(DataPass, "POST", subscriptions, sub).refused(400, "#/email: String is not a valid email value")
}

func TestHS11OrganisationsAreKnownByTheirThreeParts(t *testing.T) {
	t.Parallel()
	b := start(t)
	ccas := object{
		"type": "SI", "companyRegister": "26040107100011", "branchCode": "04107", "name": "CCAS DE MAJASTRES", "postalCode": "04270",
		"territory": "04107", "email": "ccas@majastres.fr", "status": "Actif",
	}
	b.call(DataPass, "GET", organizations+"/SI-26040107100011-04107", nil).refused(404, "Organization is not found")
	b.call(DataPass, "POST", organizations, ccas).want(201)
	b.call(DataPass, "POST", organizations, ccas).refused(400, "Organization SI-26040107100011-04107 already exists")
	if got := b.call(DataPass, "GET", organizations, nil).want(200).list(); len(got) != 4 {
		t.Errorf("%d organisations", len(got))
	}
	ccas["name"] = "CCAS"
	if got := b.call(DataPass, "PUT", organizations+"/SI-26040107100011-04107", ccas).want(200); got.str("name") != "CCAS" || got.get("updateDateTime") == nil {
		t.Errorf("%s", got.Text)
	}
	ccas["branchCode"] = "04108"
	b.call(DataPass, "PUT", organizations+"/SI-26040107100011-04107", ccas).refused(400, "Bad request")

	// A commune nouvelle: what the old one held goes to the new one.
	moved := b.call(Admin, "PUT", casesPath+"/migrate", object{
		"organizationSource": majastres, "organizationTarget": OrganizationID{"SI", "26040107100011", "04107"},
	}).want(200)
	if moved.get("caseUpdated") != 2.0 {
		t.Errorf("%s", moved.Text)
	}
	heir := b.AddCredential(Credential{Actor: SI, Organization: OrganizationID{"SI", "26040107100011", "04107"}})
	if got := b.callWith(b.with(heir), "GET", notifications, nil).want(200).list(); len(got) != 2 {
		t.Errorf("%v", got)
	}
	b.callWith(b.with(heir), "GET", casesPath+"/"+seedCase, nil).want(200)
	b.call(SI, "GET", casesPath+"/"+seedCase, nil).refused(403, "Unauthorized user")
	b.call(Admin, "PUT", casesPath+"/migrate", object{
		"organizationSource": OrganizationID{"SI", "1", "2"}, "organizationTarget": majastres,
	}).want(400)
	b.call(Admin, "PUT", casesPath+"/migrate", object{
		"organizationSource": OrganizationID{"SI", "26040107100099", "2"}, "organizationTarget": majastres,
	}).refused(404, "Organization is not found")
}

func TestHS11AListHasItsPlaceSpelledAsHubEEDoes(t *testing.T) {
	t.Parallel()
	b := start(t)
	for query, want := range map[string]struct {
		span string
		ids  int
	}{
		"":                                {"Susbscriptions 0-2/3", 3},
		"?maxResult=2":                    {"Susbscriptions 0-1/3", 2},
		"?maxResult=2&offSet=2":           {"Susbscriptions 2-2/3", 1},
		"?offSet=9":                       {"Susbscriptions 3-3/3", 0},
		"?status=Actif":                   {"Susbscriptions 0-1/2", 2},
		"?companyRegister=21350998700011": {"Susbscriptions 0-0/1", 1},
		"?processCode=FormulaireQF&processCode=ProactiviteCnousBoursiers": {"Susbscriptions 0-2/3", 3},
		"?delegationActorEmail=a@bb.fr":                                   {"Susbscriptions 0-0/0", 0},
	} {
		got := b.call(OSL, "GET", subscriptions+query, nil).want(200)
		if got.Header.Get("Content-Range") != want.span || len(got.list()) != want.ids {
			t.Errorf("%s: %s, %d", query, got.Header.Get("Content-Range"), len(got.list()))
		}
	}
	if got := b.call(OSL, "GET", subscriptions+"?orderBy=desc(datapass_id)", nil).want(200); got.get("0.datapassId") != 51022.0 || got.get("2.datapassId") != 48231.0 {
		t.Errorf("%s", got.Text)
	}
	if got := b.call(OSL, "GET", subscriptions+"?orderBy=asc(access_mode)", nil).want(200); got.get("0.accessMode") != nil || got.str("2.accessMode") != "PORTAIL" {
		t.Errorf("%s", got.Text)
	}
	for _, bad := range []string{"asc(accessMode)", "access_mode", "up(id)"} {
		b.call(OSL, "GET", subscriptions+"?orderBy="+bad, nil).refused(400, "Bad request")
	}
	b.call(OSL, "GET", subscriptions+"?maxResult=1.5", nil).want(400)
	b.call(OSL, "GET", subscriptions+"?companyRegister=12", nil).want(400)
}
