package journey

import (
	"fmt"
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
)

func TestTheEarlyWindowEndsOnTheSundayAfterTheFirstSaturdayDatedTwoOrLater(t *testing.T) {
	t.Parallel()
	for month, last := range map[string]int{"2025-02": 9, "2026-08": 9, "2026-11": 8, "2026-05": 3, "2026-10": 4} { // 2025-02 and 2026-08 begin on a Saturday
		first, err := time.Parse("2006-01", month)
		if err != nil {
			t.Fatal(err)
		}
		for day := first; day.Month() == first.Month(); day = day.AddDate(0, 0, 1) {
			if got, want := earlyInMonth(day), day.Day() <= last; got != want {
				t.Errorf("%s: %v, want %v", day.Format(time.DateOnly), got, want)
			}
		}
	}
}

func TestBirthDatesAreComparedWithToleranceOfZerosAndPresumedParts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		hers, file string
		same       bool
	}{
		{"1987-03-14", "1987-03-14", true},
		{"1987-03-14", "1987-03-15", false},
		{"1987-03-14", "1987-04-14", false},
		{"1987-03-14", "1988-03-14", false},
		{"1987-03-14", "1987-03-00", true},
		{"1987-03-14", "1987-00-00", true},
		{"1987-03-14", "0000-00-00", true},
		{"1987-03-14", "1986-00-00", false},
		{"1990-01-01", "1990-05-17", true},
		{"1990-01-01", "1991-05-17", false},
		{"1990-05-01", "1990-05-17", true},
		{"1990-05-01", "1990-06-17", false},
		{"", "1990-06-17", true},
	} {
		if got := birthDateDiffers(c.hers, []connectors.FamilyMember{{BirthDate: c.file}}); got == c.same {
			t.Errorf("%s and %s: differs %v", c.hers, c.file, got)
		}
	}
	if birthDateDiffers("1990-01-01", nil) {
		t.Error("nobody to compare with is no difference")
	}
}

func TestOnlyAddressesThatABrowserAndWeReadAlikeAreWaysBack(t *testing.T) {
	t.Parallel()
	known := Links{}.address("https://familles.editeur.example/retour/")
	for address, allowed := range map[string]bool{
		"https://familles.editeur.example/retour/": true, "https://familles.editeur.example/retour/a?b=1": true, "https://FAMILLES.editeur.example/retour/": true,
		"https://familles.editeur.example/retour": false, "https://familles.editeur.example/": false, "https://familles.editeur.example/retour/../x": false,
		"https://familles.editeur.example/retour/%2e%2e/x": false, "https://familles.editeur.example/retour/%2Fx": false, "https://familles.editeur.example//retour/": false,
		"https://familles.editeur.example.attaquant.example/retour/": false, "https://familles.editeur.example@attaquant.example/retour/": false,
		"https://attaquant.example/familles.editeur.example/retour/": false, "http://familles.editeur.example/retour/": false, "https://familles.editeur.example:8443/retour/": false,
		"javascript:alert(1)": false, "JavaScript://familles.editeur.example/retour/%0aalert(1)": false, "data:text/html,x": false, "//familles.editeur.example/retour/": false,
		"/retour/": false, `https:\\familles.editeur.example\retour\`: false, "https://familles.editeur.exаmple/retour/": false, " https://familles.editeur.example/retour/": false,
		"https://familles.editeur.example/retour/\n": false, "https:familles.editeur.example/retour/": false, "https://familles.editeur.example/retour/#x": false,
	} {
		u := Links{}.address(address)
		if got := u != nil && within(u, known); got != allowed {
			t.Errorf("%q: %v, want %v", address, got, allowed)
		}
	}
	if (Links{}).address("http://127.0.0.1:1/x") != nil || (Links{Loopback: true}).address("http://127.0.0.1:1/x") == nil || (Links{Loopback: true}).address("http://10.0.0.1/x") != nil {
		t.Error("plain http is for loopback in a sandbox only")
	}
}

func TestAKeyPrintsNothingAndIsReadBack(t *testing.T) {
	t.Parallel()
	k := newKey()
	back, ok := ParseKey(k.Text())
	if !ok || back != k || len(k.Text()) != 64 {
		t.Errorf("read back %v", ok)
	}
	if text := fmt.Sprintf("%v %s %x %+v", k, k, k, Ticket{Key: k}.Key); text != "[redacted] [redacted] [redacted] [redacted]" {
		t.Errorf("printed %s", text)
	}
	for _, bad := range []string{"", "zz", k.Text()[2:], k.Text() + "00"} {
		if _, ok := ParseKey(bad); ok {
			t.Errorf("%q is taken for a key", bad)
		}
	}
}

func TestOnlyPassingFaultsAreAskedAgain(t *testing.T) {
	t.Parallel()
	again := map[connectors.QuotientCause]bool{
		connectors.QuotientBusy: true, connectors.QuotientDown: true, connectors.QuotientQuota: true, connectors.QuotientMaintenance: true,
		connectors.QuotientNoFile: false, connectors.QuotientUnknownFund: false, connectors.QuotientUnrecognised: false, connectors.QuotientIdentity: false,
		connectors.QuotientToken: false, connectors.QuotientRights: false, connectors.QuotientOurs: false,
	}
	for cause, want := range again {
		wait, got := pause(&connectors.QuotientError{Cause: cause, Err: &connectors.Error{After: 3 * time.Second}}, 1, time.Second)
		if got != want || got && (wait < 3*time.Second || wait > 6*time.Second) {
			t.Errorf("%s: again %v after %v", cause, got, wait)
		}
	}
}
