package apiparticuliertest

import (
	_ "embed"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

//go:embed seed/default.yml
var exampleSeed []byte

// Habilitation is the right of one administration.
type Habilitation struct {
	ID     string   `yaml:"id"`
	SIRET  string   `yaml:"siret"`
	Title  string   `yaml:"title"`
	Scopes []string `yaml:"scopes"`
	IPs    []string `yaml:"ips"` // addresses or CIDR; empty: any
}

// Key is a Bearer of API Particulier: of one habilitation, or of an editor who
// acts for those delegated to him.
type Key struct {
	Token        string    `yaml:"token"`
	Habilitation string    `yaml:"habilitation"` // "" for an editor's
	Editor       string    `yaml:"editor"`
	ExpiresAt    time.Time `yaml:"expires_at"`
	Blacklisted  bool      `yaml:"blacklisted"`
	IPs          []string  `yaml:"ips"`
	DPoPJKT      string    `yaml:"dpop_jkt"` // thumbprint of the key that must prove; "" for none
}

// Delegation lets an editor call for a habilitation.
type Delegation struct {
	ID           string    `yaml:"id"`
	Editor       string    `yaml:"editor"`
	Habilitation string    `yaml:"habilitation"`
	Revoked      bool      `yaml:"revoked"`
	CreatedAt    time.Time `yaml:"created_at"`
}

// StaticToken stands for a FranceConnect token where no FranceConnect is asked.
type StaticToken struct {
	Token  string   `yaml:"token"`
	Person string   `yaml:"person"`
	Scopes []string `yaml:"scopes"` // default: identite_pivot and the four of the caisses
}

// Seed is what an API Particulier holds at the start. seed/default.yml is the
// documented example.
type Seed struct {
	Switches            Switches            `yaml:"switches"`
	Habilitations       []Habilitation      `yaml:"habilitations"`
	Keys                []Key               `yaml:"keys"`
	Delegations         []Delegation        `yaml:"delegations"`
	FranceConnectTokens []StaticToken       `yaml:"france_connect_tokens"`
	Families            []Family            `yaml:"families"`
	People              []Someone           `yaml:"people"`
	Faults              []partnertest.Fault `yaml:"faults"`
}

// DefaultSeed is the documented example: the families of the FranceConnect
// simulator's people, one commune's key, one editor's.
func DefaultSeed() (*Seed, error) { return readSeed("default.yml", exampleSeed) }

// LoadSeed reads a seed file, YAML or JSON.
func LoadSeed(file string) (*Seed, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return readSeed(file, text)
}

func readSeed(name string, text []byte) (*Seed, error) {
	seed := &Seed{}
	if err := partnertest.DecodeSeed(text, seed); err != nil {
		return nil, fmt.Errorf("apiparticuliertest: %s: %w", name, err)
	}
	return seed, nil
}

// check says what is wrong with the seed.
func (s *Seed) check() error {
	families := map[string]Family{}
	for _, f := range s.Families {
		if f.Fund != CNAF && f.Fund != MSA {
			return fmt.Errorf("apiparticuliertest: family %q: fund is CNAF or MSA", f.ID)
		}
		families[f.ID] = f
	}
	people := map[string]bool{}
	for _, p := range s.People {
		if err := p.check(families); err != nil {
			return fmt.Errorf("apiparticuliertest: %w", err)
		}
		people[p.ID] = true
	}
	for _, t := range s.FranceConnectTokens {
		if !people[t.Person] {
			return fmt.Errorf("apiparticuliertest: france_connect_tokens: no person %q", t.Person)
		}
	}
	habilitations := map[string]bool{}
	for _, h := range s.Habilitations {
		if !ValidRecipient(h.SIRET) {
			return fmt.Errorf("apiparticuliertest: habilitation %q: %q is no SIRET", h.ID, h.SIRET)
		}
		if err := checkAddresses(h.IPs); err != nil {
			return err
		}
		habilitations[h.ID] = true
	}
	for _, k := range s.Keys {
		if (k.Editor == "") == (k.Habilitation == "") || (k.Habilitation != "" && !habilitations[k.Habilitation]) {
			return fmt.Errorf("apiparticuliertest: key of %q%q: it is of one habilitation, or of an editor", k.Habilitation, k.Editor)
		}
		if err := checkAddresses(k.IPs); err != nil {
			return err
		}
	}
	for _, d := range s.Delegations {
		if !habilitations[d.Habilitation] {
			return fmt.Errorf("apiparticuliertest: delegation %s: no habilitation %q", d.ID, d.Habilitation)
		}
	}
	return nil
}

func checkAddresses(list []string) error {
	for _, text := range list {
		if _, err := parseAddresses(text); err != nil {
			return fmt.Errorf("apiparticuliertest: ips: %w", err)
		}
	}
	return nil
}

// parseAddresses reads an address or a CIDR.
func parseAddresses(text string) (netip.Prefix, error) {
	if at, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(at, at.BitLen()), nil
	}
	return netip.ParsePrefix(text)
}
