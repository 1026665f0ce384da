package graviteetest

import (
	"slices"
	"strings"
	"time"
)

// Counts sums up what the simulator holds.
type Counts struct {
	Applications        int `json:"applications"`
	ActiveApplications  int `json:"active_applications"`
	Subscriptions       int `json:"subscriptions"`
	OpenSubscriptions   int `json:"open_subscriptions"` // PENDING, ACCEPTED, PAUSED
	Keys                int `json:"keys"`
	LiveKeys            int `json:"live_keys"` // neither revoked, expired nor paused
	DuplicatedClientIDs int `json:"duplicated_client_ids"`
}

// Snapshot is everything the simulator holds, keys by fingerprint.
type Snapshot struct {
	Counts        Counts         `json:"counts"`
	APIs          []API          `json:"apis"`
	Plans         []Plan         `json:"plans"`
	Applications  []Application  `json:"applications"`
	Subscriptions []Subscription `json:"subscriptions"`
	Keys          []Key          `json:"keys"`
	Dictionaries  []Dictionary   `json:"dictionaries"`
}

// Snapshot copies the state, in the order of creation.
func (s *Server) Snapshot() Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := Snapshot{
		APIs: []API{}, Plans: []Plan{}, Applications: []Application{}, Subscriptions: []Subscription{},
		Keys: []Key{}, Dictionaries: []Dictionary{},
	}
	for _, api := range s.apiOrder {
		out.APIs = append(out.APIs, *api)
	}
	for _, plan := range s.plans {
		out.Plans = append(out.Plans, *plan)
	}
	slices.SortFunc(out.Plans, func(a, b Plan) int { return strings.Compare(a.API+a.ID, b.API+b.ID) })
	active := map[string]int{}
	for _, app := range s.applicationOrder {
		out.Applications = append(out.Applications, app.copy())
		out.Counts.Applications++
		if app.Status == StatusActive {
			out.Counts.ActiveApplications++
			active[app.ClientID]++
			if app.ClientID != "" && active[app.ClientID] == 2 {
				out.Counts.DuplicatedClientIDs++
			}
		}
	}
	for _, sub := range s.subscriptionOrder {
		out.Subscriptions = append(out.Subscriptions, sub.copy())
		out.Counts.Subscriptions++
		if sub.Status != StatusClosed && sub.Status != StatusRejected {
			out.Counts.OpenSubscriptions++
		}
	}
	for _, key := range s.keyOrder {
		out.Keys = append(out.Keys, key.copy())
		out.Counts.Keys++
		if key.active(s.now()) && !key.Paused {
			out.Counts.LiveKeys++
		}
	}
	for _, dictionary := range s.dictionaryOrder {
		out.Dictionaries = append(out.Dictionaries, dictionary.copy())
	}
	return out
}

// Counts sums up the state.
func (s *Server) Counts() Counts { return s.Snapshot().Counts }

// Applications lists all applications, archived ones included.
func (s *Server) Applications() []Application { return s.Snapshot().Applications }

// Subscriptions lists all subscriptions, closed ones included.
func (s *Server) Subscriptions() []Subscription { return s.Snapshot().Subscriptions }

// Keys lists all keys, with their clear values.
func (s *Server) Keys() []Key { return s.Snapshot().Keys }

// KeyByValue finds the key with this value, or false.
func (s *Server) KeyByValue(value string) (Key, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if keys := s.keysByValue[value]; len(keys) > 0 {
		return keys[0].copy(), true
	}
	return Key{}, false
}

// ApplicationsByClientID lists the ACTIVE applications with this clientId: more
// than one only after the race.
func (s *Server) ApplicationsByClientID(clientID string) []Application {
	var out []Application
	for _, app := range s.Applications() {
		if app.Status == StatusActive && app.ClientID == clientID {
			out = append(out, app)
		}
	}
	return out
}

// AddAPI adds an API and its plans.
func (s *Server) AddAPI(api API) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addAPI(api)
}

// AddApplication stores an application that someone else made, and gives it.
func (s *Server) AddApplication(app Application) (Application, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	stored, err := s.createApplication(app)
	if err != nil {
		return Application{}, err
	}
	return stored.copy(), nil
}

// AddDictionary stores a MANUAL dictionary and deploys it.
func (s *Server) AddDictionary(id, name string, properties map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	d := &Dictionary{ID: id, Name: name, Type: "MANUAL", Properties: properties, CreatedAt: now, UpdatedAt: now}
	s.dictionaries[id] = d
	s.dictionaryOrder = append(s.dictionaryOrder, d)
	s.deploy(d)
}

// SetPlanStatus changes a plan's state (PUBLISHED, DEPRECATED, CLOSED…). Closing
// a plan closes its subscriptions. It reports whether the plan exists.
func (s *Server) SetPlanStatus(plan, status string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.plans[plan]
	if p == nil {
		return false
	}
	p.Status = status
	if status == "CLOSED" {
		for _, sub := range s.subscriptionOrder {
			if sub.Plan == plan {
				s.close(sub)
			}
		}
		s.publish()
	}
	return true
}

// SetToken replaces the personal access token: calls with the old one get 401.
func (s *Server) SetToken(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token = token
	s.RegisterSecret(token)
}

// SetCustomKeys switches the parameter plan.security.apikey.allowCustom.enabled.
func (s *Server) SetCustomKeys(allowed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.customKeys = allowed
}

// SetPropagationDelay changes how long the gateway ignores a change.
func (s *Server) SetPropagationDelay(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.propagationDelay = d
}

// SetHealthy changes what GET /_node/health says.
func (s *Server) SetHealthy(healthy bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unhealthy = !healthy
}
