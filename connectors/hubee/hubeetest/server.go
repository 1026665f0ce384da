package hubeetest

import (
	"container/heap"
	"encoding/json"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// Server is a running HubEE. The embedded partnertest.Server gives faults,
// hooks, clock, calls and leaks. Its methods may be called from any goroutine.
type Server struct {
	*partnertest.Server
	opts Options
	seed *Seed
	url  string

	mu sync.Mutex
	state
}

// state is what a reset brings back to the seed.
type state struct {
	switches      Switches
	credentials   []Credential
	tokens        map[string]accessToken
	organizations map[OrganizationID]*organization
	subscriptions map[string]*subscription
	bySubscriber  map[subscriberKey]*subscription
	order         []*subscription // by creation
	processes     map[string]*Process

	folders       map[string]*folder
	folderOrder   []*folder
	byExternalID  map[string]int // folders per OSL and external id, deleted ones not counted
	cases         map[string]*caseFile
	attachments   map[string]*attachment
	events        map[string]*event
	notifications map[string]*notification
	queues        map[OrganizationID][]*notification
	mails         []Mail
	due           duties
	shuffle       *rand.Rand
}

type subscriberKey struct {
	organization OrganizationID
	process      string
}

// New starts a HubEE and panics when it cannot, as httptest does.
func New(opts Options) *Server {
	s, err := Start(opts)
	if err != nil {
		panic(err)
	}
	return s
}

// Start starts a HubEE on its listener. Close stops it. A seed that HubEE itself
// would refuse is an error.
func Start(opts Options) (*Server, error) {
	if opts.MaxFile <= 0 {
		opts.MaxFile = DefaultMaxFile
	}
	if opts.NewID == nil {
		opts.NewID = uuid.NewString
	}
	s := &Server{opts: opts, seed: opts.Seed}
	if s.seed == nil {
		var err error
		if s.seed, err = DefaultSeed(); err != nil {
			return nil, err
		}
	}
	s.Server = partnertest.New(partnertest.Options{
		Name: "hubee", Clock: opts.Clock, Latency: opts.Latency, KeepCalls: opts.KeepCalls, Run: opts.Run,
		State: func() any { return s.Snapshot() }, Reset: s.reset, Control: s.control(),
	})
	if err := s.load(); err != nil {
		_ = s.Close()
		return nil, err
	}
	var err error
	if s.url, err = s.Listen("api", opts.Addr, s.router()); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

// reset brings everything back to the seed, which Start has found good.
func (s *Server) reset() {
	if err := s.load(); err != nil {
		panic(err)
	}
}

// URL is the base of both APIs, without path.
func (s *Server) URL() string { return s.url }

// TokenURL is the token endpoint.
func (s *Server) TokenURL() string { return s.url + tokenPath }

// Switches are those in force.
func (s *Server) Switches() Switches {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.switches
}

// SetSwitches changes the switches for the calls to come.
func (s *Server) SetSwitches(change func(*Switches)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.switches)
}

// Describe gives the one JSON line that tells a client how to use the simulator.
func (s *Server) Describe() string {
	type credential struct {
		Actor        Actor    `json:"actor"`
		ClientID     string   `json:"client_id"`
		ClientSecret string   `json:"client_secret"`
		Scopes       []string `json:"scopes"`
		Organization string   `json:"organization,omitempty"`
		ProcessCode  string   `json:"process_code,omitempty"`
	}
	line := struct {
		Partner     string       `json:"partner"`
		API         string       `json:"api"`
		TokenURL    string       `json:"token_url"`
		Admin       string       `json:"admin"`
		Credentials []credential `json:"credentials"`
	}{Partner: "hubee", API: s.url, TokenURL: s.TokenURL(), Admin: s.url + "/_admin/", Credentials: []credential{}}
	for _, c := range s.Credentials() {
		shown := credential{
			Actor: c.Actor, ClientID: c.ClientID, ClientSecret: c.ClientSecret, Scopes: c.Scopes, ProcessCode: c.ProcessCode,
		}
		if c.Organization != (OrganizationID{}) {
			shown.Organization = c.Organization.String()
		}
		line.Credentials = append(line.Credentials, shown)
	}
	text, _ := json.Marshal(line) // strings only: cannot fail
	return string(text)
}

// now is the clock in milliseconds, the precision of HubEE's dates.
func (s *Server) now() time.Time { return s.Now().Truncate(time.Millisecond) }

// duty is something that the hub does by itself at a time of its clock.
type duty struct {
	at  time.Time
	seq int
	do  func()
}

// plan needs the lock, as do itself does.
func (s *Server) plan(at time.Time, do func()) {
	heap.Push(&s.due, duty{at: at, seq: len(s.due.list) + s.due.done, do: do})
}

// settle does what is due by now. It needs the lock.
func (s *Server) settle() {
	for now := s.Now(); len(s.due.list) > 0 && !s.due.list[0].at.After(now); {
		next, _ := heap.Pop(&s.due).(duty)
		s.due.done++
		next.do()
	}
}

// duties is a heap by time, then by the order in which they were planned.
type duties struct {
	list []duty
	done int
}

func (d *duties) Len() int { return len(d.list) }

func (d *duties) Less(i, j int) bool {
	if d.list[i].at.Equal(d.list[j].at) {
		return d.list[i].seq < d.list[j].seq
	}
	return d.list[i].at.Before(d.list[j].at)
}

func (d *duties) Swap(i, j int) { d.list[i], d.list[j] = d.list[j], d.list[i] }

func (d *duties) Push(x any) {
	next, _ := x.(duty)
	d.list = append(d.list, next)
}

func (d *duties) Pop() any {
	last := d.list[len(d.list)-1]
	d.list = d.list[:len(d.list)-1]
	return last
}
