package connectors

import (
	"context"
	"time"
)

// TaskKind says what people at a provider are asked to do.
type TaskKind string

const (
	TaskOpen    TaskKind = "open"    // open an access, make its key
	TaskReplace TaskKind = "replace" // make a new key in the place of another
	TaskRights  TaskKind = "rights"  // make the rights of a live key exactly these
	TaskClose   TaskKind = "close"   // end a key
)

// Task is one order to the people who hold the keys of a manager. It names the
// organisation, no person.
type Task struct {
	ID           string // of the connector: the same twice is one task, e.g. "dp-1234-c1/open"
	Kind         TaskKind
	Credential   string   // our credential id, e.g. "dp-1234-c1"
	Definition   string   // DataPass's uid
	Rights       []string // in the provider's words
	Instructions string   // of the settings, as they are
	WantsKey     bool     // the answer gives the key's value
	// WantsReference: the people hand the key to its holder themselves, and the
	// answer gives their reference of it alone.
	WantsReference bool
	Replaces       string        // TaskReplace: the old credential's id
	Grace          time.Duration // TaskReplace: how long the old one lives on; 0: it ends with the answer
	EndsAt         time.Time     // when the hub will ask for the end; zero: never
}

// TaskState is where a task stands.
type TaskState string

const (
	TaskWaiting   TaskState = "waiting"
	TaskDone      TaskState = "done"
	TaskRefused   TaskState = "refused"
	TaskWithdrawn TaskState = "withdrawn" // by the connector, before anyone answered
)

// TaskAnswer is what people said.
type TaskAnswer struct {
	State  TaskState
	Since  time.Time // when it was asked
	At     time.Time // when it was answered
	Reason string    // TaskRefused: their words, MaxDetail bytes at most
	Secret Secret    // the key that they gave, until the hub has sealed it as the credential's
	// Reference is what they call the key that they handed over themselves.
	Reference string
}

// Tasks gives orders to people. Whoever implements it has them told by a signed
// link, reminds them, shows who is waited for and since when, and wakes the work
// that waits when they have answered.
type Tasks interface {
	// Ask opens the task the first time, and says where it stands each time.
	Ask(ctx context.Context, t Task) (TaskAnswer, error)
	// Read says where a task stands, false when it was never asked.
	Read(ctx context.Context, id string) (TaskAnswer, bool, error)
	// Withdraw ends a task that waits. What was answered stays as it is.
	Withdraw(ctx context.Context, id string) error
}
