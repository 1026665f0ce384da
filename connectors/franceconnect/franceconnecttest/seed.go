package franceconnecttest

import (
	_ "embed"
	"fmt"
	"os"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

//go:embed seed/default.yml
var exampleSeed []byte

// Seed is what a FranceConnect holds at the start. seed/default.yml is the
// documented example.
type Seed struct {
	Clients       []Client            `yaml:"clients"`
	DataProviders []DataProvider      `yaml:"data_providers"`
	Citizens      []Citizen           `yaml:"citizens"`
	Auto          string              `yaml:"auto"` // id of the citizen who logs in without pages; "" for nobody
	Faults        []partnertest.Fault `yaml:"faults"`
}

// DefaultSeed is the documented example: one client, API Particulier as data
// provider, and people who meet each case of its simulator.
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
		return nil, fmt.Errorf("franceconnecttest: %s: %w", name, err)
	}
	return seed, nil
}

// check says what is wrong with the seed.
func (s *Seed) check() error {
	seen := map[string]bool{}
	for _, c := range s.Citizens {
		if err := c.check(); err != nil {
			return fmt.Errorf("franceconnecttest: %w", err)
		}
		if seen[c.ID] {
			return fmt.Errorf("franceconnecttest: citizen %q is there twice", c.ID)
		}
		seen[c.ID] = true
	}
	if s.Auto != "" && !seen[s.Auto] {
		return fmt.Errorf("franceconnecttest: auto: no citizen %q", s.Auto)
	}
	for _, c := range s.Clients {
		if err := c.check(); err != nil {
			return err
		}
	}
	for _, p := range s.DataProviders {
		if err := p.check(); err != nil {
			return err
		}
	}
	return nil
}
