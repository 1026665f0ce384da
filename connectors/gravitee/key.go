package gravitee

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
)

type apiKey struct {
	ID       string            `json:"id"`
	Value    connectors.Secret `json:"key"`
	Revoked  bool              `json:"revoked"`
	Paused   bool              `json:"paused"`
	Expired  bool              `json:"expired"`
	ExpireAt *time.Time        `json:"expireAt"`
}

// fingerprint is the start of the value's SHA-256. The value has 178 bits: the
// start of its digest helps nobody to guess it (tokens.md, 7.2).
func fingerprint(value connectors.Secret) string {
	sum := sha256.Sum256([]byte(value.Reveal()))
	return hex.EncodeToString(sum[:8])
}

// dead: it can never pass again by itself. A paused key is not dead. Of an end
// the manager's own clock is the judge.
func (k apiKey) dead() bool { return k.Revoked || k.Expired }

// end is when it stops by itself; zero: never.
func (k apiKey) end() time.Time {
	if k.ExpireAt == nil {
		return time.Time{}
	}
	return k.ExpireAt.UTC()
}

// generated: a value that the manager made, not the hub.
func (k apiKey) generated() bool {
	_, err := uuid.Parse(k.Value.Reveal())
	return err == nil
}

// held is a key on the subscription that holds it.
type held struct {
	sub subscription
	key apiKey
}

func (h held) params() map[string]string {
	return map[string]string{"api": h.sub.API.ID, "sub": h.sub.ID, "key": h.key.ID}
}

const keysRoute = v2 + "/apis/{api}/subscriptions/{sub}/api-keys"

// keys lists all keys of the subscription, dead ones included, newest first.
func (m *Manager) keys(ctx context.Context, op string, s subscription) ([]held, error) {
	found, err := list[apiKey](ctx, m, call{
		op: op, route: keysRoute, params: map[string]string{"api": s.API.ID, "sub": s.ID},
	})
	if connectors.Is(err, connectors.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	all := make([]held, 0, len(found))
	for _, key := range found {
		all = append(all, held{s, key})
	}
	return all, nil
}

// renew adds our value. It also gives every old key that has not expired an end
// two hours away, nearer or farther than before: settle puts that right.
func (m *Manager) renew(ctx context.Context, op string, w want, s subscription) (*outbound.Answer, error) {
	return m.do(ctx, call{
		op: op, method: http.MethodPost, route: keysRoute + "/_renew", params: map[string]string{"api": s.API.ID, "sub": s.ID},
		in: map[string]string{"customApiKey": w.secret.Reveal()}, secrets: []connectors.Secret{w.secret},
	})
}

// setEnd moves the end of a key (zero: none) and gives the one that the manager
// keeps: it clamps to the subscription's own end without saying so.
func (m *Manager) setEnd(ctx context.Context, op string, h held, at time.Time) (time.Time, error) {
	var body struct {
		ExpireAt *time.Time `json:"expireAt"`
	}
	if !at.IsZero() {
		at = millisecond(at)
		body.ExpireAt = &at
	}
	var kept apiKey
	_, err := m.do(ctx, call{
		op: op, method: http.MethodPut, route: keysRoute + "/{key}", params: h.params(), in: body, out: &kept,
		secrets: []connectors.Secret{h.key.Value},
	})
	return kept.end(), err
}

// revoke ends a key now. One that is gone, or has ended by itself, is left.
func (m *Manager) revoke(ctx context.Context, op string, h held) error {
	var revoked apiKey
	_, err := m.do(ctx, call{
		op: op, method: http.MethodPost, route: keysRoute + "/{key}/_revoke", params: h.params(), out: &revoked,
		secrets: []connectors.Secret{h.key.Value},
	})
	switch {
	case connectors.Is(err, connectors.NotFound):
		return nil
	case err == nil && !revoked.dead():
		return m.fail(op, connectors.Temporary, "key %s still lives after its revocation", h.key.ID)
	}
	return err
}

// millisecond is the precision of the manager's dates.
func millisecond(at time.Time) time.Time { return at.UTC().Truncate(time.Millisecond) }
