package tyk

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
)

// Keys of the metadata that the hub writes.
const (
	metaRef        = "hub_ref"
	metaSubject    = "hub_subject"
	metaOwner      = "hub_owner"
	metaDefinition = "hub_definition"
)

// key is Tyk's name of a credential, as it is read. whole is everything that Tyk
// holds of it: a PUT loses what it is not given.
type key struct {
	Policies []string       `json:"apply_policies"`
	Expires  int64          `json:"expires"` // Unix time; 0: never
	Inactive bool           `json:"is_inactive"`
	Meta     map[string]any `json:"meta_data"`

	whole map[string]json.RawMessage
}

func (k key) meta(name string) string {
	text, _ := k.Meta[name].(string)
	return text
}

func (k key) end() time.Time {
	if k.Expires <= 0 {
		return time.Time{}
	}
	return time.Unix(k.Expires, 0).UTC()
}

// dead: Tyk lets the last second pass.
func (k key) dead(now time.Time) bool { return k.Expires > 0 && now.After(k.end()) }

const keyRoute = "/tyk/keys/{key}"

func byHash() url.Values { return url.Values{"hashed": {"true"}} }

// read gives the key of a hash. That there is none is believed only while Tyk
// reaches its Redis.
func (m *Manager) read(ctx context.Context, op, hash string) (key, error) {
	var k key
	err := m.do(ctx, call{
		op: op, method: http.MethodGet, route: keyRoute, params: map[string]string{"key": hash}, query: byHash(), out: &k.whole,
	})
	if connectors.Is(err, connectors.NotFound) {
		if down := m.ready(ctx, op); down != nil {
			return key{}, down
		}
	}
	if err != nil {
		return key{}, err
	}
	for name, into := range map[string]any{
		"apply_policies": &k.Policies, "expires": &k.Expires, "is_inactive": &k.Inactive, "meta_data": &k.Meta,
	} {
		if text, given := k.whole[name]; given && json.Unmarshal(text, into) != nil {
			return key{}, m.fail(op, connectors.Rejected, "unexpected answer: %s has another shape", name)
		}
	}
	slices.Sort(k.Policies)
	return k, nil
}

// update writes the whole key back with changed members, then reads what Tyk
// made of it: an end in the past is ignored with a 200.
func (m *Manager) update(ctx context.Context, op, hash string, k key, changes map[string]any) (key, error) {
	body := map[string]any{}
	for name, value := range k.whole {
		body[name] = value
	}
	// Rights come from the policies: those that are read would stay behind them.
	delete(body, "access_rights")
	delete(body, "apply_policy_id")
	maps.Copy(body, changes)
	query := byHash()
	query.Set("suppress_reset", "1")
	var answer struct {
		Action string `json:"action"`
	}
	err := m.do(ctx, call{
		op: op, method: http.MethodPut, route: keyRoute, params: map[string]string{"key": hash}, query: query, in: body, out: &answer,
	})
	if err != nil {
		return key{}, err
	}
	return m.read(ctx, op, hash)
}

// required gives the policies that the grants map to.
func (m *Manager) required(op string, g connectors.Grants) ([]string, error) {
	grant, known := m.config.Grants[g.Definition]
	if !known {
		return nil, m.fail(op, connectors.Rejected, "definition %s has no mapping", g.Definition)
	}
	policies, err := grant.policies(g.Scopes)
	if err != nil {
		return nil, m.fail(op, connectors.Rejected, "definition %s: %v", g.Definition, err)
	}
	return policies, nil
}

// EnsureGrants makes the policies of the live keys exactly those that g maps to.
// All of them must exist: of several, Tyk would skip one that does not.
func (m *Manager) EnsureGrants(ctx context.Context, subjectID string, live []connectors.Handle, g connectors.Grants) error {
	const op = "grants"
	want, err := m.required(op, g)
	if err != nil {
		return err
	}
	if err := m.exist(ctx, op, want); err != nil {
		return err
	}
	for _, h := range live {
		if err := m.setPolicies(ctx, op, subjectID, h, g.Definition, want); err != nil {
			return err
		}
	}
	return nil
}

func (m *Manager) exist(ctx context.Context, op string, want []string) error {
	there, err := m.policies(ctx, op)
	if err != nil {
		return err
	}
	for _, id := range want {
		if _, exists := there[id]; !exists {
			return m.fail(op, connectors.Rejected, "policy %s does not exist", id)
		}
	}
	return nil
}

func (m *Manager) setPolicies(ctx context.Context, op, subjectID string, h connectors.Handle, definition string, want []string) error {
	hash, err := m.hashOfHandle(ctx, op, h)
	if err != nil {
		return err
	}
	if hash == "" {
		return m.fail(op, connectors.NotFound, "no key was issued for %s", h.Ref)
	}
	k, err := m.read(ctx, op, hash)
	switch {
	case err != nil:
		return err
	case k.meta(metaOwner) != m.owner || k.meta(metaSubject) != subjectID:
		return m.fail(op, connectors.Conflict, "key %s belongs to another owner or subject", hash)
	case slices.Equal(k.Policies, want) && k.meta(metaDefinition) == definition:
		return nil
	}
	k.Meta[metaDefinition] = definition
	k, err = m.update(ctx, op, hash, k, map[string]any{"apply_policies": want, "meta_data": k.Meta})
	if err == nil && !slices.Equal(k.Policies, want) {
		return m.fail(op, connectors.Temporary, "the policies read back are not those that were written")
	}
	return err
}

// Issue makes the value a live key. Tyk overwrites without a word: the key's hash
// is looked up first.
func (m *Manager) Issue(ctx context.Context, r connectors.IssueRequest) (connectors.Issued, error) {
	return m.issue(ctx, "issue", r)
}

func (m *Manager) issue(ctx context.Context, op string, r connectors.IssueRequest) (connectors.Issued, error) {
	if r.SubjectID == "" || r.Ref == "" || r.Subject.Owner == "" || r.Secret.IsZero() {
		return connectors.Issued{}, m.fail(op, connectors.Rejected, "subject, owner, reference and secret are needed")
	}
	policies, err := m.required(op, r.Grants)
	if err != nil {
		return connectors.Issued{}, err
	}
	token := tokenOf(m.config.Org, r.Secret)
	kept := credentialRecord{Hash: hashOf(token), Subject: r.SubjectID}
	asked := kept
	if err := m.once(ctx, op, "credential/"+r.Ref, &kept); err != nil {
		return connectors.Issued{}, err
	}
	if kept != asked {
		return connectors.Issued{}, m.fail(op, connectors.Conflict, "%s was issued with another value or for another subject", r.Ref)
	}
	k, err := m.read(ctx, op, kept.Hash)
	adopted := err == nil
	if connectors.Is(err, connectors.NotFound) {
		k, err = m.create(ctx, op, r, token, kept.Hash, policies)
	}
	if err != nil {
		return connectors.Issued{}, err
	}
	if k.meta(metaRef) != r.Ref || k.meta(metaOwner) != r.Subject.Owner {
		return connectors.Issued{}, m.fail(op, connectors.Conflict, "key %s belongs to another owner or reference", kept.Hash)
	}
	return connectors.Issued{
		Handle: connectors.Handle{Ref: r.Ref, Subject: r.SubjectID, ID: kept.Hash},
		Secret: token, ExpiresAt: k.end(), Adopted: adopted,
	}, nil
}

// create makes the key, with its value in the URL, and reads it back.
func (m *Manager) create(ctx context.Context, op string, r connectors.IssueRequest, token connectors.Secret, hash string, policies []string) (key, error) {
	if err := m.exist(ctx, op, policies); err != nil {
		return key{}, err
	}
	expires := int64(0)
	if !r.ExpiresAt.IsZero() {
		if expires = r.ExpiresAt.Unix(); expires <= m.now().Unix() {
			return key{}, m.fail(op, connectors.Rejected, "the end %s has passed", r.ExpiresAt.UTC().Format(time.RFC3339))
		}
	}
	meta := map[string]string{}
	maps.Copy(meta, r.Subject.Labels)
	maps.Copy(meta, map[string]string{
		metaRef: r.Ref, metaSubject: r.SubjectID, metaOwner: r.Subject.Owner, metaDefinition: r.Grants.Definition,
		"name": r.Subject.Name, "description": r.Subject.Description,
	})
	var made struct {
		Key  string `json:"key"`
		Hash string `json:"key_hash"`
	}
	err := m.do(ctx, call{
		op: op, method: http.MethodPost, route: keyRoute, params: map[string]string{"key": r.Secret.Reveal()}, out: &made,
		secrets: []connectors.Secret{r.Secret, token},
		in: map[string]any{
			"alias": r.SubjectID, "org_id": m.config.Org, "apply_policies": policies, "expires": expires,
			"meta_data": meta, "tags": []string{r.SubjectID},
		},
	})
	if err != nil {
		return key{}, err
	}
	if made.Key != token.Reveal() || made.Hash != hash {
		return key{}, m.misnamed(ctx, op, made.Hash)
	}
	return m.read(ctx, op, hash)
}

// misnamed ends a key that Tyk hashes in another way: nothing could find it again.
func (m *Manager) misnamed(ctx context.Context, op, hash string) error {
	if hash != "" {
		if err := m.delete(ctx, op, hash); err != nil && !connectors.Is(err, connectors.NotFound) {
			return err
		}
	}
	return m.fail(op, connectors.Rejected, "Tyk must run with hash_keys and hash_key_function %s", hashFunction)
}

func (m *Manager) delete(ctx context.Context, op, hash string) error {
	var answer struct {
		Action string `json:"action"`
	}
	err := m.do(ctx, call{
		op: op, method: http.MethodDelete, route: keyRoute, params: map[string]string{"key": hash}, query: byHash(), out: &answer,
	})
	if err == nil && answer.Action != "deleted" {
		return m.fail(op, connectors.Rejected, "unexpected answer to a deletion: %q", answer.Action)
	}
	return err
}
