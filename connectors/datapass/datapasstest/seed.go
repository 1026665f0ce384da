package datapasstest

import (
	"context"
	_ "embed"
	"fmt"
	"slices"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

//go:embed seed/default.yml
var exampleSeed []byte

// Seed is what a DataPass holds at the start. seed/default.yml is the documented
// example.
type Seed struct {
	Environment   Environment         `yaml:"environment"`
	Applications  []SeedApplication   `yaml:"applications"`
	Requests      []SeedRequest       `yaml:"requests"`
	Subscriptions []SeedSubscription  `yaml:"subscriptions"`
	Faults        []partnertest.Fault `yaml:"faults"`
}

// SeedApplication is an OAuth client of API v1.
type SeedApplication struct {
	ClientID     string   `yaml:"client_id"`
	ClientSecret string   `yaml:"client_secret"`
	Scopes       []string `yaml:"scopes"`
	Definitions  []string `yaml:"definitions"`
}

// SeedSubscription is a subscription, enabled and validated.
type SeedSubscription struct {
	Definition string      `yaml:"definition"` // "*": one for each
	URL        string      `yaml:"url"`
	Events     []EventName `yaml:"events"`
	Secret     string      `yaml:"secret"`
}

// SeedRequest is a recorded request and what happened to it.
type SeedRequest struct {
	Sample string      `yaml:"sample"`
	Events []EventName `yaml:"events"`
	Reason string      `yaml:"reason"` // of those events that need one
}

// DefaultSeed is the documented example: one application, three requests.
func DefaultSeed() (*Seed, error) {
	seed := &Seed{}
	return seed, partnertest.DecodeSeed(exampleSeed, seed)
}

// LoadSeed reads a seed file, YAML or JSON.
func LoadSeed(file string) (*Seed, error) {
	seed := &Seed{}
	return seed, partnertest.LoadSeed(file, seed)
}

// Fill gives an empty DataPass its seed, and again after each reset.
func (s *Server) Fill(seed Seed) error {
	if err := seed.check(); err != nil {
		return err
	}
	s.mu.Lock()
	s.seed = &seed
	if seed.Environment != "" {
		s.environment = seed.Environment
	}
	s.mu.Unlock()
	if err := s.fill(seed); err != nil {
		return err
	}
	s.Inject(seed.Faults...)
	return nil
}

func (s *Server) fill(seed Seed) error {
	for _, a := range seed.Applications {
		s.AddApplication(Application{ClientID: a.ClientID, ClientSecret: a.ClientSecret, Scopes: a.Scopes, Definitions: a.Definitions})
	}
	ctx := context.Background() // nobody is told: subscriptions come last
	for i, r := range seed.Requests {
		held, err := s.Create(ctx, Samples()[r.Sample])
		for _, event := range r.Events {
			if err == nil {
				err = s.Play(ctx, held.ID, event, Play{Reason: r.Reason})
			}
		}
		if err != nil {
			return fmt.Errorf("datapasstest: requests[%d]: %w", i, err)
		}
	}
	for _, sub := range seed.Subscriptions {
		definitions := []string{sub.Definition}
		if sub.Definition == "*" {
			definitions = Definitions()
			if sub.Secret == "" {
				sub.Secret = newSecret() // one for all
			}
		}
		for _, definition := range definitions {
			s.AddSubscription(Subscription{Definition: definition, URL: sub.URL, Events: sub.Events, Secret: sub.Secret})
		}
	}
	return nil
}

// check says what is wrong with the seed.
func (s Seed) check() error {
	if s.Environment != "" && !slices.Contains([]Environment{Production, Staging, Sandbox}, s.Environment) {
		return fmt.Errorf("datapasstest: environment %q: production, staging or sandbox", s.Environment)
	}
	for i, a := range s.Applications {
		for _, uid := range a.Definitions {
			if _, ok := findDefinition(uid); !ok {
				return fmt.Errorf("datapasstest: applications[%d]: definition %q: %w", i, uid, ErrNotFound)
			}
		}
	}
	for i, r := range s.Requests {
		if _, ok := Samples()[r.Sample]; !ok {
			return fmt.Errorf("datapasstest: requests[%d]: sample %q: %w", i, r.Sample, ErrNotFound)
		}
	}
	for i, sub := range s.Subscriptions {
		at := fmt.Sprintf("datapasstest: subscriptions[%d]", i)
		if _, ok := findDefinition(sub.Definition); !ok && sub.Definition != "*" {
			return fmt.Errorf("%s: definition %q: %w", at, sub.Definition, ErrNotFound)
		}
		if err := CheckReceiver(sub.URL); err != nil {
			return fmt.Errorf("%s: url: %w", at, err)
		}
		for _, event := range sub.Events {
			if !slices.Contains(Subscribable, event) {
				return fmt.Errorf("%s: event %q: %w", at, event, ErrNotFound)
			}
		}
	}
	return nil
}

// Definitions lists the definitions that this DataPass knows.
func Definitions() []string {
	var out []string
	for _, d := range definitions() {
		out = append(out, d.ID)
	}
	return out
}
