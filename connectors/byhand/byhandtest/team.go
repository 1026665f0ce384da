// Package byhandtest is a provider's team: people who get tasks, work in a system
// of their own, and answer. Of the hub's side it has what a connector sees
// (connectors.Tasks), in memory; Probe answers as the team's gateway would.
//
// It is imported by tests, and imports package connectors only.
package byhandtest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
)

// Team does what it is asked when Act is called.
type Team struct {
	now   func() time.Time
	mu    sync.Mutex
	order []string
	tasks map[string]*task
	keys  map[string]*Key
}

type task struct {
	connectors.Task
	answer connectors.TaskAnswer
}

// Key is what the team made, in its own system.
type Key struct {
	Value  string
	Rights []string
	Closed bool
}

var _ connectors.Tasks = (*Team)(nil)

// New gives a team without tasks.
func New(now func() time.Time) *Team {
	return &Team{now: now, tasks: map[string]*task{}, keys: map[string]*Key{}}
}

// Ask opens a task, or says where it stands.
func (t *Team) Ask(_ context.Context, asked connectors.Task) (connectors.TaskAnswer, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	have, ok := t.tasks[asked.ID]
	if !ok {
		have = &task{Task: asked, answer: connectors.TaskAnswer{State: connectors.TaskWaiting, Since: t.now()}}
		t.tasks[asked.ID] = have
		t.order = append(t.order, asked.ID)
	}
	return have.answer, nil
}

// Read says where a task stands.
func (t *Team) Read(_ context.Context, id string) (connectors.TaskAnswer, bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	have, ok := t.tasks[id]
	if !ok {
		return connectors.TaskAnswer{}, false, nil
	}
	return have.answer, true, nil
}

// Withdraw ends a task that waits.
func (t *Team) Withdraw(_ context.Context, id string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if have, ok := t.tasks[id]; ok && have.answer.State == connectors.TaskWaiting {
		have.answer.State, have.answer.At = connectors.TaskWithdrawn, t.now()
	}
	return nil
}

// Act does all that waits, in the order in which it was asked.
func (t *Team) Act() {
	t.each(func(w *task) {
		w.answer.State = connectors.TaskDone
		switch w.Kind {
		case connectors.TaskOpen, connectors.TaskReplace:
			key := &Key{Value: fmt.Sprintf("clef-de-l-equipe-%06d-%s", len(t.keys)+1, w.Credential), Rights: w.Rights}
			t.keys[w.Credential] = key
			if w.WantsReference {
				w.answer.Reference = fmt.Sprintf("ACCES-%04d", len(t.keys))
			} else {
				w.answer.Secret = connectors.NewSecret(key.Value)
			}
			if old := t.keys[w.Replaces]; w.Kind == connectors.TaskReplace && w.Grace == 0 && old != nil {
				old.Closed = true
			}
		case connectors.TaskRights:
			t.keys[w.Credential].Rights = w.Rights
		case connectors.TaskClose:
			if key := t.keys[w.Credential]; key != nil { // else it was never made
				key.Closed = true
			}
		}
	})
}

// Refuse answers all that waits with a refusal.
func (t *Team) Refuse(reason string) {
	t.each(func(w *task) { w.answer.State, w.answer.Reason = connectors.TaskRefused, reason })
}

// Reopen has a refused task wait again, as an operator does who asks once more.
func (t *Team) Reopen(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if have, ok := t.tasks[id]; ok && have.answer.State == connectors.TaskRefused {
		have.answer = connectors.TaskAnswer{State: connectors.TaskWaiting, Since: t.now()}
	}
}

func (t *Team) each(answer func(*task)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, id := range t.order {
		if w := t.tasks[id]; w.answer.State == connectors.TaskWaiting {
			w.answer.At = t.now()
			answer(w)
		}
	}
}

// Waiting gives the tasks that nobody has answered.
func (t *Team) Waiting() []connectors.Task {
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []connectors.Task
	for _, id := range t.order {
		if w := t.tasks[id]; w.answer.State == connectors.TaskWaiting {
			list = append(list, w.Task)
		}
	}
	return list
}

// Probe tells whether the team's gateway lets a key pass.
func (t *Team) Probe(value string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, key := range t.keys {
		if key.Value == value {
			return !key.Closed
		}
	}
	return false
}

// ProbeRef is Probe for whoever has the key of a credential from the team itself.
func (t *Team) ProbeRef(credential string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := t.keys[credential]
	return key != nil && !key.Closed
}

// Rights gives what a key may do, in the team's words, sorted.
func (t *Team) Rights(credential string) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if key := t.keys[credential]; key != nil {
		return slices.Sorted(slices.Values(key.Rights))
	}
	return nil
}

// Live counts the keys of a subject's reference that pass.
func (t *Team) Live(subject string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for ref, key := range t.keys {
		if connectors.SubjectRef(ref) == subject && !key.Closed {
			n++
		}
	}
	return n
}
