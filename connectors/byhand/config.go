package byhand

import (
	"errors"
	"fmt"
	"maps"
	"net/mail"
	"slices"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
)

const day = 24 * time.Hour

// Config says who the team is and what it serves.
type Config struct {
	// Team are the addresses that get the tasks: shared mailboxes, better than persons'.
	Team []string `yaml:"team"`
	// RemindEvery is the wait before each reminder; 0: none.
	RemindEvery time.Duration `yaml:"remind_every"`
	// Reminders is how many there are at the most; then operators alone see the task.
	Reminders int `yaml:"reminders"`
	// LinkLifetime is how long the link of a mail works; each reminder has a new one.
	LinkLifetime time.Duration `yaml:"link_lifetime"`
	// CloseWithin is what the team has promised: the longest time from the order to
	// end a key to its end. It is shown to people as the bound of a revocation.
	CloseWithin time.Duration `yaml:"close_within"`
	// HandsOver says that the team gives each key to its holder itself. The hub
	// never has it: a task is closed with the team's reference of the key, and the
	// holder is told that the team hands it over.
	HandsOver bool `yaml:"hands_over"`
	// OneKey says that the team's system cannot keep two keys of one holder at a
	// time: a rotation ends the old key with the new one, and is told so before.
	OneKey bool `yaml:"one_key"`
	// Definitions are those served, by DataPass's uid.
	Definitions map[string]Definition `yaml:"definitions"`
}

// Definition is how a definition is told to the team.
type Definition struct {
	// Instructions are shown with each task, as they are.
	Instructions string `yaml:"instructions"`
	// Scopes gives each DataPass scope in the team's words. One that is not here is
	// refused, never dropped.
	Scopes map[string]string `yaml:"scopes"`
	// AllScopes shows the scopes that are not in Scopes by their DataPass names.
	AllScopes bool `yaml:"all_scopes"`
}

// MaxInstructions bounds Definition.Instructions, in bytes.
const MaxInstructions = 2000

// Default gives the settings that an operator does not have to name.
func Default() Config {
	return Config{RemindEvery: 3 * day, Reminders: 10, LinkLifetime: 30 * day, CloseWithin: 5 * day}
}

// Validate gives every fault at once, one a line.
func (c Config) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if len(c.Team) == 0 {
		fault("team: missing: nobody would be told")
	}
	if len(c.Team) > 10 {
		fault("team: %d addresses, 10 at the most", len(c.Team))
	}
	for i, address := range c.Team {
		if parsed, err := mail.ParseAddress(address); err != nil || parsed.Address != address {
			fault("team[%d]: not a mail address", i)
		}
	}
	if c.RemindEvery != 0 && c.RemindEvery < time.Hour {
		fault("remind_every: %s is less than 1h", c.RemindEvery)
	}
	if c.Reminders < 0 || c.Reminders > 100 {
		fault("reminders: %d is not between 0 and 100", c.Reminders)
	}
	if c.LinkLifetime < time.Hour || c.LinkLifetime > 90*day {
		fault("link_lifetime: %s is not between 1h and 2160h", c.LinkLifetime)
	}
	if c.CloseWithin <= 0 {
		fault("close_within: %s is not more than 0", c.CloseWithin)
	}
	if len(c.Definitions) == 0 {
		fault("definitions: missing: there is nothing to serve")
	}
	for _, uid := range slices.Sorted(maps.Keys(c.Definitions)) {
		d := c.Definitions[uid]
		if len(d.Instructions) > MaxInstructions {
			fault("definitions.%s.instructions: %d bytes, %d at the most", uid, len(d.Instructions), MaxInstructions)
		}
		for _, scope := range slices.Sorted(maps.Keys(d.Scopes)) {
			if d.Scopes[scope] == "" {
				fault("definitions.%s.scopes.%s: empty", uid, scope)
			}
		}
	}
	return errors.Join(faults...)
}

// Open makes the manager. Config must be valid.
func (c Config) Open(deps connectors.Deps) (*Manager, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", deps.Name, err)
	}
	if deps.Ledger == nil || deps.Tasks == nil || deps.Now == nil {
		return nil, fmt.Errorf("%s: a manager by hand needs a ledger, tasks and a clock", deps.Name)
	}
	return &Manager{config: c, name: deps.Name, now: deps.Now, ledger: deps.Ledger, tasks: deps.Tasks}, nil
}
