package webhooktest

import (
	"encoding/base64"
	"fmt"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// ExampleSecret is that of the documented example.
const ExampleSecret = "whsec_cmVjZWl2ZXItc2ltdWxhdG9yLXNlY3JldC0wMDAwMDE="

// Seed is how a receiver that runs as a process of its own starts. All is
// optional; without secrets it has ExampleSecret.
type Seed struct {
	Secrets    []string            `yaml:"secrets"`
	PublicKeys []string            `yaml:"public_keys"`
	Dialect    Dialect             `yaml:"dialect"` // "", datapass, standard, any or none
	Tolerance  time.Duration       `yaml:"tolerance"`
	Faults     []partnertest.Fault `yaml:"faults"`
}

// LoadSeed reads a seed file, YAML or JSON, into options.
func LoadSeed(file string) (Options, error) {
	var s Seed
	if err := partnertest.LoadSeed(file, &s); err != nil {
		return Options{}, err
	}
	if err := s.Dialect.valid(); err != nil {
		return Options{}, err
	}
	if s.Tolerance < 0 {
		return Options{}, fmt.Errorf("tolerance is negative")
	}
	if len(s.Secrets)+len(s.PublicKeys) == 0 {
		s.Secrets = []string{ExampleSecret}
	}
	return Options{Secrets: s.Secrets, PublicKeys: s.PublicKeys, Dialect: s.Dialect, Tolerance: s.Tolerance, Faults: s.Faults}, nil
}

// Describe gives the one JSON line that tells a client how to use the simulator;
// url is what Start gave.
func (s *Server) Describe(url string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	secrets := []string{}
	for _, held := range s.verifier.secrets {
		secrets = append(secrets, held.String())
	}
	return partnertest.Line(struct {
		Partner string   `json:"partner"`
		API     string   `json:"api"`
		Webhook string   `json:"webhook_url"`
		Admin   string   `json:"admin"`
		Dialect Dialect  `json:"dialect,omitempty"`
		Secrets []string `json:"secrets"`
	}{Partner: "receiver", API: url, Webhook: url + "/", Admin: url + "/_admin/", Dialect: s.verifier.dialect, Secrets: secrets})
}

// String is the secret as a provider is shown it: whsec_ where both dialects can
// use it.
func (s secret) String() string {
	if s.bytes == nil {
		return string(s.text)
	}
	return "whsec_" + base64.StdEncoding.EncodeToString(s.bytes)
}
