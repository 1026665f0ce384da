package apiparticuliertest

import (
	"maps"
	"time"
)

// Snapshot is what GET /_admin/state shows: counts, no name, no value, no token.
type Snapshot struct {
	Now      time.Time `json:"now"`
	Switches Switches  `json:"switches"`
	// PerMinute counts the calls that passed lock and quota, by recipient and
	// minute of the partner's clock.
	PerMinute map[string]map[string]int `json:"per_minute"`
	// MostRunning is the largest number of calls under way at once, by recipient.
	MostRunning map[string]int `json:"most_running"`
	Conflicts   int            `json:"conflicts"` // 409 given
	// Identities counts the persons asked about; MostMonths is the largest number
	// of different months asked for one of them, MostRepeats that of one question.
	Identities        int            `json:"identities"`
	MostMonths        int            `json:"most_months"`
	MostRepeats       int            `json:"most_repeats"`
	ForeignRecipients int            `json:"foreign_recipients"` // a key used for another SIRET than its own
	Breaches          map[string]int `json:"breaches"`           // ip, dpop: found, refused or not
	Banned            []string       `json:"banned"`
	Cached            int            `json:"cached"`
	Locks             int            `json:"locks"`
}

// Snapshot counts what was asked since the start or the reset.
func (s *Server) Snapshot() Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.Now()
	out := Snapshot{
		Now: now, Switches: s.switches, PerMinute: map[string]map[string]int{}, MostRunning: maps.Clone(s.mostRunning),
		Conflicts: s.conflicts, Identities: len(s.questions), ForeignRecipients: s.foreignRecipients, Breaches: maps.Clone(s.breaches),
		Banned: []string{},
	}
	for recipient, minutes := range s.perMinute {
		out.PerMinute[recipient] = maps.Clone(minutes)
	}
	for _, months := range s.questions {
		out.MostMonths = max(out.MostMonths, len(months))
		for _, n := range months {
			out.MostRepeats = max(out.MostRepeats, n)
		}
	}
	for _, ip := range sortedKeys(s.bans) {
		if now.Before(s.bans[ip]) {
			out.Banned = append(out.Banned, ip)
		}
	}
	for _, held := range s.cache {
		if now.Before(held.expires) {
			out.Cached++
		}
	}
	for _, until := range s.locks {
		if now.Before(until) {
			out.Locks++
		}
	}
	return out
}

// enter counts a call of a recipient; the answer ends it.
func (s *Server) enter(recipient string) (leave func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	minutes := s.perMinute[recipient]
	if minutes == nil {
		minutes = map[string]int{}
		s.perMinute[recipient] = minutes
	}
	minutes[s.Now().Format("2006-01-02T15:04")]++
	s.running[recipient]++
	s.mostRunning[recipient] = max(s.mostRunning[recipient], s.running[recipient])
	running := s.running // a reset makes another
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		running[recipient]--
	}
}

// asked counts a question about a person. It needs the lock.
func (s *Server) asked(identity string, of month) {
	months := s.questions[identity]
	if months == nil {
		months = map[month]int{}
		s.questions[identity] = months
	}
	months[of]++
}
