package habilitation_test

import (
	"slices"
	"strings"
	"testing"

	hab "github.com/passerelle-hub/passerelle/internal/habilitation"
)

func TestSIRETs(t *testing.T) {
	t.Parallel()
	const digits, sum = "ne possède pas 14 chiffres", "ne respecte pas la formule de Luhn ou n'est pas un siret de La Poste"
	tests := map[string]struct {
		siret string
		want  []string
	}{
		"a commune's":                        {"21380999900013", nil},
		"an editor's":                        {"44973625500018", nil},
		"one digit wrong":                    {"21380999900014", []string{sum}},
		"a post office, not held to the sum": {"35600000000049", nil},
		"a post office with too few digits":  {"3560000000004", []string{digits, sum}},
		"thirteen digits":                    {"2138099990001", []string{digits, sum}},
		"a trailing dot":                     {"79511947800027.", []string{digits, sum}},
		"spaces":                             {"213 809 999 00013", []string{digits, sum}},
		"a blank":                            {"", []string{digits, sum}},
		"other characters that count for nothing": {"0000000000000a", []string{digits}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := hab.CheckSIRET(test.siret); !slices.Equal(got, test.want) || hab.ValidSIRET(test.siret) != (len(test.want) == 0) {
				t.Errorf("%q: %q, want %q", test.siret, got, test.want)
			}
		})
	}
}

func TestAddressesHaveTheFormOfHTML5(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"jeanne.morvan@valbrise-sur-ormes.example": true, "a@b": true, "a+b!#$%&'*/=?^_`{|}~-@c.d": true,
		"@b": false, "a@": false, "a@-b.fr": false, "a@b-.fr": false, "a b@c.fr": false, "a@b..fr": false, "a@b.fr.": false,
		"é@b.fr": false, "a@b.fr\n": false, "a@b@c": false, "<a@b.fr>": false,
		"a@" + strings.Repeat("b", 63): true, "a@" + strings.Repeat("b", 64): false, strings.Repeat("a", 250) + "@b.fr": false,
	} {
		if hab.ValidEmail(address) != want {
			t.Errorf("%q: want %v", address, want)
		}
	}
}

func TestTelephones(t *testing.T) {
	t.Parallel()
	type verdict struct{ french, mobile bool }
	for number, want := range map[string]verdict{
		"0465710012":        {true, false},
		"04 65 71 00 12":    {true, false},
		"04.65-71 00.12":    {true, false},
		"0639980021":        {true, true},
		"07 39 98 00 21":    {true, true},
		"+33639980021":      {true, true},
		"+33 6 39 98 00 21": {true, true},
		"+33465710012":      {true, false},
		"+590 690 00 00 00": {true, true}, // 690 is Guadeloupe's mobile range
		"+594594000000":     {true, false},
		"+596 696 00 00 00": {true, true},
		"+262 692 00 00 00": {true, true}, // nine digits, Réunion's real plan
		"+262 62000000":     {true, true}, // eight, as DataPass counts
		"+508 41 00 00":     {true, false},
		"+508 70 00 00":     {true, true},
		"+681 72 00 00":     {true, true},
		"+687 70 00 00":     {true, true},
		"+689 40 00 00 00":  {true, false},
		"+689 87 00 00 00":  {true, true},
		"0065710012":        {false, false},
		"046571001":         {false, false},
		"04657100123":       {false, false},
		"+330465710012":     {false, false},
		"+4930123456":       {false, false},
		"tel:0465710012":    {false, false},
		"0465710012\n":      {false, false},
		"":                  {false, false},
	} {
		if got := (verdict{hab.FrenchPhone(number), hab.MobilePhone(number)}); got != want {
			t.Errorf("%q: %+v, want %+v", number, got, want)
		}
	}
}

func TestLinks(t *testing.T) {
	t.Parallel()
	for link, want := range map[string]bool{
		"https://www.legifrance.gouv.fr/codes/id/LEGITEXT000037701019": true, "http://a.fr": true, "a.fr": true, "a.fr/": true,
		"a.fr/x?y=1#z": true, "https://a.fr:8443/x": false, "https://a": false, "a.f": false, "a.fr/é": false,
		"javascript:alert(1)": false, "https://a.fr/ x": false, "https://": false, "": false, "mailto:a@b.fr": false,
	} {
		if hab.ValidLink(link) != want {
			t.Errorf("%q: want %v", link, want)
		}
	}
}
