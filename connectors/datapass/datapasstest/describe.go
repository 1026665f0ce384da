package datapasstest

import (
	"errors"
	"net/url"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// CheckReceiver says what is wrong with a subscription's URL.
func CheckReceiver(text string) error {
	at, err := url.Parse(text)
	if err != nil || (at.Scheme != "http" && at.Scheme != "https") || at.Host == "" {
		return errors.New("an http or https URL is needed")
	}
	return nil
}

// Describe gives the one JSON line that tells a client how to use the simulator.
func (s *Server) Describe() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	type request struct {
		ID         int64  `json:"id"`
		Definition string `json:"definition"`
		State      State  `json:"state"`
	}
	line := struct {
		Partner       string                   `json:"partner"`
		API           string                   `json:"api"`
		TokenURL      string                   `json:"token_url"`
		Admin         string                   `json:"admin"`
		Environment   Environment              `json:"environment"`
		Credentials   []partnertest.Credential `json:"credentials"`
		Subscriptions []Subscription           `json:"subscriptions"`
		Requests      []request                `json:"requests"`
	}{
		Partner: "datapass", API: s.url, TokenURL: s.url + "/api/oauth/token", Admin: s.url + "/_admin/", Environment: s.environment,
		Credentials: []partnertest.Credential{}, Subscriptions: []Subscription{}, Requests: []request{},
	}
	for _, id := range sortedKeys(s.applications) {
		app := s.applications[id]
		line.Credentials = append(line.Credentials, partnertest.Credential{Actor: "application", ClientID: app.ClientID, ClientSecret: app.ClientSecret})
	}
	for _, id := range sortedKeys(s.subscriptions) {
		line.Subscriptions = append(line.Subscriptions, *s.subscriptions[id])
	}
	for _, id := range s.order {
		r := s.requests[id]
		line.Requests = append(line.Requests, request{r.ID, r.Definition, r.State})
	}
	return partnertest.Line(line)
}
