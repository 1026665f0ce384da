package habilitation_test

import (
	"strings"
	"testing"

	hab "github.com/passerelle-hub/passerelle/internal/habilitation"
)

func TestScopesAskedForExist(t *testing.T) {
	t.Parallel()
	rule := func(r hab.ScopeRule) func(*hab.Definition) { return func(d *hab.Definition) { d.Rules.Scopes = r } }
	tests := map[string]struct {
		more   func(*hab.Definition)
		scopes string
		want   []string
	}{
		"one that exists":             {rule(hab.ScopesRequired), `["a"]`, nil},
		"one that does not":           {rule(hab.ScopesRequired), `["a", "z"]`, []string{"scopes"}},
		"none where one is due":       {rule(hab.ScopesRequired), `[]`, []string{"scopes"}},
		"none where none is due":      {rule(hab.ScopesOptional), `[]`, nil},
		"one that does not, optional": {rule(hab.ScopesOptional), `["z"]`, []string{"scopes"}},
		"a class without scopes":      {rule(hab.ScopesNone), `["z"]`, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantKeys(t, faultsOf(standard(test.more), &hab.Form{}, hab.Data{"scopes": test.scopes}, hab.Facts{}), test.want...)
		})
	}
}

func TestIncomeScopesFollowDGFiPsRules(t *testing.T) {
	t.Parallel()
	const y1, y2, y3, substitute = "dgfip_annee_n_moins_1", "dgfip_annee_n_moins_2", "dgfip_annee_n_moins_3", "dgfip_annee_n_moins_2_si_indispo_n_moins_1"
	const death, ifi, lep, other = "dgfip_annee_df_au_3112_si_deces_ctb_mp", "dgfip_indiIFI", "dgfip_IndLep", "dgfip_revenu"
	d := standard(func(d *hab.Definition) {
		d.Rules.IncomeScopes, d.Rules.Scopes = true, hab.ScopesOptional
		d.Scopes = nil
		for _, value := range []string{y1, y2, y3, substitute, death, ifi, lep, other} {
			d.Scopes = append(d.Scopes, hab.Scope{Name: value, Value: value})
		}
	})
	specific := hab.Data{"specific_requirements": "1"}
	tests := map[string]struct {
		scopes  []string
		more    hab.Data
		faults  int
		message string
	}{
		"a year":                                 {[]string{other, y1}, nil, 0, ""},
		"three years":                            {[]string{y1, y2, y3}, nil, 0, ""},
		"the substitute year alone":              {[]string{substitute, other}, nil, 0, ""},
		"no year":                                {[]string{other}, nil, 1, "au moins une année"},
		"nothing":                                {nil, nil, 1, "au moins une année"},
		"the substitute with a year":             {[]string{substitute, y3}, nil, 1, "une autre année"},
		"the substitute with wealth tax":         {[]string{substitute, ifi}, nil, 1, ifi},
		"the year of death with wealth tax":      {[]string{y1, death, ifi}, nil, 1, ifi},
		"wealth tax with a year":                 {[]string{y1, ifi}, nil, 0, ""},
		"the savings indicator alone":            {[]string{lep}, nil, 0, ""},
		"the savings indicator with another":     {[]string{lep, y1}, nil, 1, "seul"},
		"specific needs without their table":     {[]string{other}, specific, 1, "champ obligatoire"},
		"specific needs with their table":        {[]string{other, lep, substitute, y1}, merge(specific, hab.Data{"specific_requirements_document": "besoins.ods"}), 0, ""},
		"specific needs with a table as PDF":     {[]string{other}, merge(specific, hab.Data{"specific_requirements_document": "besoins.pdf"}), 1, "tableur"},
		"specific needs that were not confirmed": {[]string{other}, hab.Data{"specific_requirements": "0"}, 1, "au moins une année"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := faultsOf(d, &hab.Form{}, merge(hab.Data{"scopes": hab.EncodeList(test.scopes)}, test.more), hab.Facts{})
			if len(got) != test.faults || test.faults == 1 && !strings.Contains(got[0].Message, test.message) {
				t.Errorf("%v", got)
			}
		})
	}
}

// particulier has API Particulier's modalities.
func particulier() *hab.Definition {
	return standard(func(d *hab.Definition) {
		d.Rules.Contacts = []hab.ContactRule{{Kind: hab.ContactTechnical, Phone: hab.PhoneMobileEmbedded}}
		d.Rules.Modalities = []string{"params", "formulaire_qf", "france_connect"}
		d.Rules.DefaultModalities = []string{"params"}
		d.Rules.FranceConnectModality, d.Rules.EmbedsFranceConnect = "france_connect", true
	})
}

func TestModalitiesAndFranceConnect(t *testing.T) {
	t.Parallel()
	const id, phone = "france_connect_authorization_id", "contact_technique_phone_number"
	plain, certified := &hab.Form{}, &hab.Form{FranceConnectCertified: true}
	asks := hab.Data{"modalities": `["france_connect", "params"]`}
	mobile := hab.Data{phone: "0639980021"}
	ticked := hab.Data{"fc_alternative_connexion": "1"}
	owns := hab.Facts{FranceConnect: []string{"12"}}
	tests := map[string]struct {
		form    *hab.Form
		changes hab.Data
		facts   hab.Facts
		want    []string
	}{
		"params when nothing is said":                    {plain, nil, hab.Facts{}, nil},
		"an unknown modality":                            {plain, hab.Data{"modalities": `["params", "fax"]`}, hab.Facts{}, []string{"modalities"}},
		"FranceConnect needs an habilitation":            {plain, asks, owns, []string{id}},
		"FranceConnect with an habilitation":             {plain, merge(asks, hab.Data{id: "12"}), owns, nil},
		"FranceConnect with another's habilitation":      {plain, merge(asks, hab.Data{id: "13"}), owns, []string{id}},
		"a plain form needs no mobile":                   {plain, merge(asks, hab.Data{id: "12", phone: "0465710012"}), owns, nil},
		"a certified form embeds the request":            {certified, merge(asks, mobile, ticked), hab.Facts{}, nil},
		"embedded: the other way to sign in is attested": {certified, merge(asks, mobile), hab.Facts{}, []string{"fc_alternative_connexion"}},
		"embedded: the technical contact has a mobile":   {certified, merge(asks, ticked), hab.Facts{}, []string{phone}},
		"embedded: an unknown level of assurance":        {certified, merge(asks, mobile, ticked, hab.Data{"fc_eidas": "eidas_9"}), hab.Facts{}, []string{"fc_eidas"}},
		"embedded: a link that is none":                  {certified, merge(asks, mobile, ticked, hab.Data{"fc_cadre_juridique_url": "non"}), hab.Facts{}, []string{"fc_cadre_juridique_url"}},
		"a certified form with an habilitation":          {certified, merge(asks, mobile, ticked, hab.Data{id: "12"}), owns, nil},
		"a certified form without FranceConnect":         {certified, nil, hab.Facts{}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantKeys(t, faultsOf(particulier(), test.form, test.changes, test.facts), test.want...)
		})
	}
}

func TestAnEmbeddedRequestTakesTheWholeFranceConnectGroup(t *testing.T) {
	t.Parallel()
	d, form := particulier(), &hab.Form{FranceConnectCertified: true}
	data := d.Merge(form, complete(d), hab.Data{
		"modalities": `["france_connect"]`, "contact_technique_phone_number": "0639980021", "fc_alternative_connexion": "1",
	})
	if got := data["scopes"]; got != `["a", "birthdate", "openid"]` {
		t.Errorf("scopes: %s", got)
	}
	if data["fc_eidas"] != "eidas_1" || data["fc_cadre_juridique_nature"] != "Arrêté du 8 novembre 2018" || data["fc_cadre_juridique_url"] == "" {
		t.Errorf("FranceConnect's defaults are missing: %v", data)
	}
	s := accepted
	s.Data = data
	s.Data["scopes"] = `["a", "openid"]` // not normalised again
	wantKeys(t, d.CheckSubmission(form, s, hab.Facts{}), "scopes")
}
