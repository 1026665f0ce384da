package definitions

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestERBTagsGetTheirValuesWithoutRuby(t *testing.T) {
	t.Parallel()
	const (
		credential = `<%= Rails.application.credentials.exemple_email || 'a-fixer@exemple.example' %>`
		production = `<%= Rails.env.production? ? 'prod@exemple.example' : 'essai@exemple.example' %>`
		flagged    = "Un.<% if FeatureFlag.enabled?(:depot_dossier_mariage) %>\nDeux.<% end %> Fin."
		otherFlag  = "<% if FeatureFlag.enabled?(:autre) %>Oui<% end %>"
	)
	tests := map[string]struct {
		options Options
		value   string
		want    string
	}{
		"a credential is its stand-in until the operator sets it": {Options{}, credential, "a-fixer@exemple.example"},
		"a credential that the operator set": {
			Options{Contacts: map[string]string{"exemple_email": "equipe@editeur.example"}}, credential, "equipe@editeur.example",
		},
		"a credential set to nothing":               {Options{Contacts: map[string]string{"exemple_email": ""}}, credential, ""},
		"the production's value":                    {Options{Production: true}, production, "prod@exemple.example"},
		"the value of everywhere else":              {Options{}, production, "essai@exemple.example"},
		"the marriage flag is on but in production": {Options{}, flagged, "Un.\nDeux. Fin."},
		"the marriage flag is off in production":    {Options{Production: true}, flagged, "Un. Fin."},
		"a flag that the operator turned on":        {Options{Production: true, Flags: map[string]bool{"depot_dossier_mariage": true}}, flagged, "Un.\nDeux. Fin."},
		"an unknown flag is on":                     {Options{Production: true}, otherFlag, "Oui"},
		"a flag that the operator turned off":       {Options{Flags: map[string]bool{"autre": false}}, otherFlag, ""},
		"text without a tag":                        {Options{}, "100 % <b>", "100 % <b>"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tags := &tags{production: test.options.Production, flagOn: test.options.flagOn, contacts: test.options.Contacts}
			got, problem := tags.render(test.value)
			if got != test.want || problem != "" {
				t.Errorf("got %q, %q; want %q", got, problem, test.want)
			}
		})
	}
}

func TestPrefilledContactsLeftToSetAreNamed(t *testing.T) {
	t.Parallel()
	files := folder(map[string]string{formFile: oneForm(`
  initialize_with:
    contact_technique_email: "<%= Rails.application.credentials.exemple_email || 'a-fixer@exemple.example' %>"
    contact_technique_phone_number: "<%= Rails.application.credentials.exemple_phone || '0199000000' %>"
`)})
	set, report := Load(files, Options{Contacts: map[string]string{"exemple_email": "equipe@editeur.example"}})
	if err := report.Err(); err != nil {
		t.Fatal(err)
	}
	f, _ := set.Form("api-exemple")
	if diff := cmp.Diff(map[string]string{"contact_technique_phone_number": "exemple_phone"}, f.ToSet); diff != "" {
		t.Errorf("to set (-want +got):\n%s", diff)
	}
	if got := f.Prefill["contact_technique_email"].Text; got != "equipe@editeur.example" {
		t.Errorf("the operator's contact was not used: %q", got)
	}
	if report.Totals.ToSet != 1 || report.Totals.Tags != 2 {
		t.Errorf("totals: %+v", report.Totals)
	}
}
