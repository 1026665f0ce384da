package gravitee

import (
	"context"
	"encoding/json"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
)

// The records that this connector keeps in the ledger, by key:
//
//	credential/<ref>        fingerprint of the value of a credential
//	fingerprint/<print>     the credential whose value has that fingerprint
//	paused/<sub>            a subscription that we have paused
//	renewal/<ref>/<sub>     renewal: ends of the other keys before a renewal
//	rotation/<ref>          rotation: when the replaced credential ends
//
// The other two live while an operation is under way: they let it go on as it
// was decided when its first run stopped half way.

// renewal keeps the ends by key id; zero: none.
type renewal struct {
	Ends map[string]time.Time `json:"ends"`
}

type rotation struct {
	Until time.Time `json:"until"` // zero: at once
}

// remember ties a credential to its value before the value is sent, once: one
// reference has one value.
func (m *Manager) remember(ctx context.Context, op, ref, print string) error {
	fresh, err := m.ledger.PutNew(ctx, "credential/"+ref, []byte(print))
	if err != nil {
		return m.ours(op, err)
	}
	if !fresh {
		known, err := m.printOf(ctx, op, ref)
		if err != nil {
			return err
		}
		if known != print {
			return m.fail(op, connectors.Conflict, "%s has another value", ref)
		}
	}
	_, err = m.ledger.PutNew(ctx, "fingerprint/"+print, []byte(ref))
	return m.ours(op, err)
}

// forget drops what was remembered of a credential that is dead.
func (m *Manager) forget(ctx context.Context, op, ref, print string) error {
	if err := m.ledger.Delete(ctx, "credential/"+ref); err != nil {
		return m.ours(op, err)
	}
	if print == "" {
		return nil
	}
	return m.ours(op, m.ledger.Delete(ctx, "fingerprint/"+print))
}

func (m *Manager) printOf(ctx context.Context, op, ref string) (string, error) {
	print, _, err := m.ledger.Get(ctx, "credential/"+ref)
	return string(print), m.ours(op, err)
}

func (m *Manager) refOf(ctx context.Context, op, print string) (string, error) {
	ref, _, err := m.ledger.Get(ctx, "fingerprint/"+print)
	return string(ref), m.ours(op, err)
}

// isOurs tells whether the hub has made the key's value.
func (m *Manager) isOurs(ctx context.Context, op string, key apiKey) (bool, error) {
	ref, err := m.refOf(ctx, op, fingerprint(key.Value))
	return ref != "", err
}

// note writes down the ends before a renewal; the first run's note counts.
func (m *Manager) note(ctx context.Context, op, ref, sub string, keys []held) (*renewal, error) {
	r := renewal{Ends: map[string]time.Time{}}
	for _, h := range keys {
		r.Ends[h.key.ID] = h.key.end()
	}
	if err := m.once(ctx, op, "renewal/"+ref+"/"+sub, &r); err != nil {
		return nil, err
	}
	return &r, nil
}

// recall reads a note; nil: no renewal is under way.
func (m *Manager) recall(ctx context.Context, op, ref, sub string) (*renewal, error) {
	text, found, err := m.ledger.Get(ctx, "renewal/"+ref+"/"+sub)
	if err != nil || !found {
		return nil, m.ours(op, err)
	}
	var r renewal
	return &r, m.ours(op, json.Unmarshal(text, &r))
}

// once writes the record, or reads the one that is there.
func (m *Manager) once(ctx context.Context, op, key string, record any) error {
	text, err := json.Marshal(record)
	if err != nil {
		return m.ours(op, err)
	}
	fresh, err := m.ledger.PutNew(ctx, key, text)
	if err != nil || fresh {
		return m.ours(op, err)
	}
	kept, found, err := m.ledger.Get(ctx, key)
	if err != nil || !found {
		return m.ours(op, err)
	}
	return m.ours(op, json.Unmarshal(kept, record))
}

// finished drops the notes of an operation that has come to its end.
func (m *Manager) finished(ctx context.Context, op, ref string, all []placed) error {
	for _, p := range all {
		if err := m.ledger.Delete(ctx, "renewal/"+ref+"/"+p.sub.ID); err != nil {
			return m.ours(op, err)
		}
	}
	return m.ours(op, m.ledger.Delete(ctx, "rotation/"+ref))
}
