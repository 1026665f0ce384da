package keycloaktest_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/passerelle-hub/passerelle/connectors/keycloak/keycloaktest"
)

const hour = time.Hour

func policy() *keycloaktest.RotationPolicy {
	return &keycloaktest.RotationPolicy{Expiration: 24 * hour, Rotated: 2 * hour, Remaining: hour}
}

// again asks for another admin token, whose minute is over by then.
func (b *bundle) later(d time.Duration) {
	b.t.Helper()
	b.Advance(d)
	b.authenticate()
}

func TestWithoutPolicyANewSecretEndsTheOldOneAtOnce(t *testing.T) {
	t.Parallel()
	b := start(t, keycloaktest.Options{})
	b.create()
	made := b.call("POST", secret, nil).Want(200).Is("type", "secret").Str("value")
	b.opens(oldSecret, false)
	b.opens(made, true)
	b.call("GET", rotated, nil).Want(404).Body(`{"error":"Client does not have a rotated secret"}`)
	b.call("DELETE", rotated, nil).Want(204)
	b.call("GET", client, nil).Want(200)
	if live := b.LiveSecrets("dp-9001"); live != 1 {
		t.Errorf("%d secrets", live)
	}
}

func TestWithThePolicyTheOldSecretLivesForItsPeriod(t *testing.T) {
	t.Parallel()
	b := start(t, keycloaktest.Options{Rotation: policy()})
	b.create()
	made := b.call("POST", secret, nil).Want(200).Str("value")
	b.call("GET", rotated, nil).Want(200).Body(`{"type":"secret","value":"` + oldSecret + `"}`)
	b.opens(oldSecret, true)
	b.opens(made, true)
	if live := b.LiveSecrets("dp-9001"); live != 2 {
		t.Errorf("%d secrets", live)
	}
	b.later(2 * hour)
	b.opens(oldSecret, true) // its last second
	b.later(time.Second)
	b.opens(oldSecret, false)
	b.opens(made, true)
	// It is shown although it opens nothing any more; its end says so.
	b.call("GET", rotated, nil).Want(200).Is("value", oldSecret)
	c, _ := b.Client("dp-9001")
	if c.Rotated != "" || c.RotatedUntil == nil || !c.RotatedUntil.Equal(january.Add(2*hour)) {
		t.Errorf("%+v", c)
	}
	attributes, _ := b.call("GET", client, nil).Want(200).Get("attributes").(map[string]any)
	if attributes["client.secret.rotated.expiration.time"] != "1767270000" {
		t.Errorf("%v", attributes)
	}
}

func TestASecondRotationDropsTheOldestSecret(t *testing.T) {
	t.Parallel()
	b := start(t, keycloaktest.Options{Rotation: policy()})
	b.create()
	second := b.call("POST", secret, nil).Want(200).Str("value")
	third := b.call("POST", secret, nil).Want(200).Str("value")
	b.opens(oldSecret, false)
	b.opens(second, true)
	b.opens(third, true)
	b.call("DELETE", rotated, nil).Want(204)
	b.opens(second, false)
	b.opens(third, true)
	b.call("GET", rotated, nil).Want(404)
}

func TestAPutDuringTheGraceRemovesTheRotatedSecret(t *testing.T) {
	t.Parallel()
	b := start(t, keycloaktest.Options{Rotation: policy()})
	b.create()
	made := b.call("POST", secret, nil).Want(200).Str("value")
	// The sub-resources of scopes do no harm.
	b.call("DELETE", client+"/optional-client-scopes/"+b.ScopeID("cnaf"), nil).Want(204)
	b.call("PUT", client+"/optional-client-scopes/"+b.ScopeID("cnaf"), nil).Want(204)
	b.opens(oldSecret, true)
	b.call("PUT", client, object{"name": "renamed"}).Want(204)
	b.opens(oldSecret, false)
	b.opens(made, true)
	b.call("GET", rotated, nil).Want(404).Body(`{"error":"Client does not have a rotated secret"}`)
}

func TestAPutOfEverythingThatWasReadRemovesItToo(t *testing.T) {
	t.Parallel()
	b := start(t, keycloaktest.Options{Rotation: policy()})
	b.create()
	b.call("POST", secret, nil).Want(200)
	read, _ := b.call("GET", client, nil).Want(200).Get("").(map[string]any)
	b.call("PUT", client, read).Want(204)
	b.opens(oldSecret, false)
}

func TestAPolicyThatRunsOnUpdatesKeepsTheRotatedSecret(t *testing.T) {
	t.Parallel()
	rule := policy()
	rule.OnUpdate = true
	b := start(t, keycloaktest.Options{Rotation: rule})
	b.create()
	made := b.call("POST", secret, nil).Want(200).Str("value")
	b.call("PUT", client, object{"name": "renamed"}).Want(204)
	b.opens(oldSecret, true)
	b.opens(made, true)

	// Once the secret has expired, a PUT rotates it without being asked.
	b.later(24*hour + time.Second)
	b.opens(made, false)
	b.call("PUT", client, object{"name": "renamed again"}).Want(204)
	next := b.call("GET", secret, nil).Want(200).Str("value")
	if next == made {
		t.Error("the expired secret stays")
	}
	b.opens(next, true)
	b.opens(made, true) // rotated
}

func TestThePolicyEndsTheCurrentSecretToo(t *testing.T) {
	t.Parallel()
	b := start(t, keycloaktest.Options{Rotation: policy()})
	b.create()
	b.later(24 * hour)
	b.opens(oldSecret, true)
	b.later(time.Second)
	b.opens(oldSecret, false)
	b.ask("dp-9001", oldSecret).Want(401).Is("error", "unauthorized_client")
	made := b.call("POST", secret, nil).Want(200).Str("value")
	b.opens(made, true)
}

func TestAPolicySwitchedOnCountsFromTheFirstToken(t *testing.T) {
	t.Parallel()
	b := start(t, keycloaktest.Options{})
	b.create()
	if c, _ := b.Client("dp-9001"); c.ExpiresAt != nil {
		t.Errorf("%+v", c)
	}
	b.SetRotation(policy())
	b.later(100 * hour)
	b.opens(oldSecret, true)
	c, _ := b.Client("dp-9001")
	if c.ExpiresAt == nil || !c.ExpiresAt.Equal(january.Add(124*hour)) {
		t.Errorf("%+v", c)
	}
	b.SetRotation(nil)
	b.call("POST", secret, nil).Want(200)
	b.opens(oldSecret, false)
}

func TestAPolicyWithoutRotatedPeriodIsACutOver(t *testing.T) {
	t.Parallel()
	b := start(t, keycloaktest.Options{Rotation: &keycloaktest.RotationPolicy{Expiration: hour, Rotated: time.Nanosecond}})
	b.create()
	b.call("POST", secret, nil).Want(200)
	b.opens(oldSecret, false)
	b.call("GET", rotated, nil).Want(404)
}

func TestThePolicyCanBeRead(t *testing.T) {
	t.Parallel()
	b := start(t, keycloaktest.Options{Rotation: policy()})
	b.call("GET", "/client-policies/profiles", nil).Want(200).Is("profiles.0.executors.0", map[string]any{
		"executor": "secret-rotation", "configuration": map[string]any{
			"expiration-period": 86400.0, "rotated-expiration-period": 7200.0, "remaining-rotation-period": 3600.0,
		},
	})
	b.call("GET", "/client-policies/policies", nil).Want(200).Is("policies.0.profiles", []any{"secret-rotation"}).Is("policies.0.enabled", true)
	b.SetRotation(nil)
	b.call("GET", "/client-policies/profiles", nil).Want(200).Is("profiles", []any{})
	b.call("GET", "/client-policies/policies", nil).Want(200).Body(`{"policies":[]}`)
}

// The token endpoint takes the current secret until its end, and the one before
// it until its own, unless something made Keycloak forget it.
func TestTheTokenEndpointTakesExactlyTheLiveSecrets(t *testing.T) {
	t.Parallel()
	b := start(t, keycloaktest.Options{})
	type held struct {
		value string
		until time.Time // zero: no end
	}
	rapid.Check(t, func(rt *rapid.T) {
		b.Reset()
		b.SetRotation(nil)
		withPolicy := rapid.Bool().Draw(rt, "policy")
		if withPolicy {
			b.SetRotation(&keycloaktest.RotationPolicy{Expiration: 10 * hour, Rotated: 3 * hour})
		}
		b.authenticate()
		b.create()
		current := held{value: oldSecret}
		if withPolicy {
			current.until = b.Now().Add(10 * hour)
		}
		var before held
		seen := []string{oldSecret}
		for range rapid.IntRange(1, 10).Draw(rt, "steps") {
			switch rapid.IntRange(0, 4).Draw(rt, "step") {
			case 0, 1:
				made := b.call("POST", secret, nil).Want(200).Str("value")
				seen = append(seen, made)
				before, current = held{}, held{value: made}
				if withPolicy {
					before = held{seen[len(seen)-2], b.Now().Add(3 * hour)}
					current.until = b.Now().Add(10 * hour)
				}
			case 2:
				b.call("PUT", client, object{"name": "renamed"}).Want(204)
				before, current.until = held{}, time.Time{}
			case 3:
				b.call("DELETE", rotated, nil).Want(204)
				before = held{}
			case 4:
				b.later(time.Duration(rapid.IntRange(1, 5).Draw(rt, "hours"))*hour + time.Second)
			}
			now := b.Now()
			over := func(h held) bool { return !h.until.IsZero() && now.After(h.until) }
			for _, value := range seen {
				want := 401
				isLive := value == current.value || value == before.value && !over(before)
				if isLive && !over(current) {
					want = 200
				}
				if status, _ := b.ProbeClient("dp-9001", value); status != want {
					rt.Fatalf("%d, want %d; current %v, before %v", status, want, current.until, before.until)
				}
			}
		}
	})
}
