package mailtest

import (
	"fmt"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// Seed is how a relay that runs as a process of its own starts. All is optional.
type Seed struct {
	Hostname     string              `yaml:"hostname"`
	Username     string              `yaml:"username"`
	Password     string              `yaml:"password"`
	Security     Security            `yaml:"security"` // "", starttls or tls
	MaxSize      int64               `yaml:"max_size"` // bytes
	BounceURL    string              `yaml:"bounce_url"`
	BounceSecret string              `yaml:"bounce_secret"`
	MailFaults   []Fault             `yaml:"mail_faults"`
	Bounces      []BounceRule        `yaml:"bounces"`
	Faults       []partnertest.Fault `yaml:"faults"` // of the mailbox's pages
}

// LoadSeed reads a seed file, YAML or JSON, into options.
func LoadSeed(file string) (Options, error) {
	var s Seed
	if err := partnertest.LoadSeed(file, &s); err != nil {
		return Options{}, err
	}
	for i, fault := range s.MailFaults {
		if err := fault.Valid(); err != nil {
			return Options{}, fmt.Errorf("mail_faults[%d]: %w", i, err)
		}
	}
	for i, rule := range s.Bounces {
		if err := validPattern(rule.Recipient); err != nil {
			return Options{}, fmt.Errorf("bounces[%d]: %w", i, err)
		}
	}
	switch {
	case s.Security != NoTLS && s.Security != StartTLS && s.Security != ImplicitTLS:
		return Options{}, fmt.Errorf("security %q: %s, %s or nothing", s.Security, StartTLS, ImplicitTLS)
	case (s.Username == "") != (s.Password == ""):
		return Options{}, fmt.Errorf("username and password go together")
	case len(s.Bounces) > 0 && s.BounceURL == "":
		return Options{}, fmt.Errorf("bounces need a bounce_url")
	case s.MaxSize < 0:
		return Options{}, fmt.Errorf("max_size is negative")
	}
	return Options{
		Hostname: s.Hostname, Username: s.Username, Password: s.Password, Security: s.Security, MaxSize: s.MaxSize,
		BounceURL: s.BounceURL, BounceSecret: s.BounceSecret, Faults: s.MailFaults, Bounces: s.Bounces, WebFaults: s.Faults,
	}, nil
}

// Describe gives the one JSON line that tells a client how to use the simulator;
// smtp and web are what StartSMTP and StartWeb gave.
func (s *Server) Describe(smtp, web string) string {
	line := struct {
		Partner      string                   `json:"partner"`
		API          string                   `json:"api"`
		SMTP         string                   `json:"smtp"`
		Security     Security                 `json:"security,omitempty"`
		Certificate  string                   `json:"certificate,omitempty"` // PEM
		Messages     string                   `json:"messages"`
		Admin        string                   `json:"admin"`
		BounceURL    string                   `json:"bounce_url,omitempty"`
		BounceSecret string                   `json:"bounce_secret,omitempty"`
		Credentials  []partnertest.Credential `json:"credentials"`
	}{
		Partner: "mailbox", API: web, SMTP: smtp, Security: s.opts.Security, Certificate: string(s.CertificatePEM()),
		Messages: web + "/api/messages", Admin: web + "/_admin/", BounceURL: s.opts.BounceURL, BounceSecret: s.opts.BounceSecret,
		Credentials: []partnertest.Credential{},
	}
	if s.opts.Username != "" {
		line.Credentials = append(line.Credentials, partnertest.Credential{Actor: "sender", Username: s.opts.Username, Password: s.opts.Password})
	}
	return partnertest.Line(line)
}
