package kong

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/passerelle-hub/passerelle/connectors"
)

// consumer is Kong's name of a subject.
type consumer struct {
	ID       string   `json:"id,omitempty"`
	Username string   `json:"username"`
	CustomID string   `json:"custom_id"`
	Tags     []string `json:"tags"`
}

// Tags carry what Kong has no field for.
const (
	ownerTag      = "owner:"
	definitionTag = "definition:"
)

func tagged(tags []string, prefix string) string {
	for _, tag := range tags {
		if value, ok := strings.CutPrefix(tag, prefix); ok {
			return value
		}
	}
	return ""
}

// tag makes a value fit for a tag: Kong keeps comma and slash for its filters.
func tag(prefix, value string) string {
	return prefix + strings.NewReplacer(",", "_", "/", "_").Replace(value)
}

func consumerOf(s connectors.Subject) consumer {
	tags := []string{tag(ownerTag, s.Owner)}
	for _, name := range slices.Sorted(maps.Keys(s.Labels)) {
		tags = append(tags, tag(name+":", s.Labels[name]))
	}
	return consumer{Username: s.Ref, CustomID: s.Ref, Tags: tags}
}

// EnsureSubject creates or adopts the consumer. It never uses PUT to create: a
// PUT answers 200 and replaces a stranger's consumer of the same name.
func (m *Manager) EnsureSubject(ctx context.Context, s connectors.Subject) (string, error) {
	const op = "subject"
	if s.Ref == "" || s.Owner == "" {
		return "", m.fail(op, connectors.Rejected, "a subject needs a reference and an owner")
	}
	want := consumerOf(s)
	have, err := m.consumer(ctx, op, s.Ref)
	if connectors.Is(err, connectors.NotFound) {
		var made consumer
		_, err = m.do(ctx, call{op: op, method: http.MethodPost, route: "/consumers", in: want, out: &made, expect: []int{http.StatusCreated}})
		switch {
		case err == nil:
			return m.idOf(op, made)
		case !connectors.Is(err, connectors.Conflict):
			return "", err
		}
		conflict := err
		have, err = m.consumer(ctx, op, s.Ref) // another worker was faster, or a stranger holds our custom_id
		if connectors.Is(err, connectors.NotFound) {
			return "", conflict
		}
	}
	if err != nil {
		return "", err
	}
	if tagged(have.Tags, ownerTag) != tagged(want.Tags, ownerTag) {
		return "", m.fail(op, connectors.Conflict, "consumer %s belongs to another owner", s.Ref)
	}
	if have.CustomID == want.CustomID && sameSet(have.Tags, want.Tags) {
		return m.idOf(op, have)
	}
	// PUT drops what it is not given: the whole object.
	_, err = m.do(ctx, call{
		op: op, method: http.MethodPut, route: "/consumers/{consumer}", params: map[string]string{"consumer": s.Ref}, in: want, out: &have,
	})
	if err != nil {
		return "", err
	}
	return m.idOf(op, have)
}

func (m *Manager) idOf(op string, c consumer) (string, error) {
	if c.ID == "" {
		return "", m.fail(op, connectors.Rejected, "unexpected answer: a consumer without id")
	}
	return c.ID, nil
}

func (m *Manager) consumer(ctx context.Context, op, idOrName string) (consumer, error) {
	var c consumer
	_, err := m.do(ctx, call{
		op: op, method: http.MethodGet, route: "/consumers/{consumer}", params: map[string]string{"consumer": idOrName}, out: &c,
	})
	return c, err
}

// consumerByRef finds the consumer by custom_id. Unlike the 404 of a name, its
// empty list proves that the admin API was reached.
func (m *Manager) consumerByRef(ctx context.Context, op, ref string) (consumer, bool, error) {
	found, _, err := list[consumer](ctx, m, call{op: op, route: "/consumers", query: url.Values{"custom_id": {ref}}}, "")
	if err != nil || len(found) == 0 {
		return consumer{}, false, err
	}
	return found[0], true, nil
}

func sameSet(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(slices.Compact(a), slices.Compact(b))
}

type membership struct {
	Group string `json:"group"`
}

func (m *Manager) groups(ctx context.Context, op, subject string) ([]string, error) {
	rows, err := all[membership](ctx, m, call{op: op, route: "/consumers/{consumer}/acls", params: map[string]string{"consumer": subject}})
	groups := make([]string, 0, len(rows))
	for _, row := range rows {
		groups = append(groups, row.Group)
	}
	slices.Sort(groups)
	return groups, err
}

// required gives the groups that the grants map to.
func (m *Manager) required(op string, g connectors.Grants) ([]string, error) {
	grant, known := m.config.Grants[g.Definition]
	if !known {
		return nil, m.fail(op, connectors.Rejected, "definition %s has no mapping", g.Definition)
	}
	groups, err := grant.groups(g.Scopes)
	if err != nil {
		return nil, m.fail(op, connectors.Rejected, "definition %s: %v", g.Definition, err)
	}
	return groups, nil
}

// EnsureGrants makes the consumer a member of exactly the groups that g maps to.
// What it changed is read back.
func (m *Manager) EnsureGrants(ctx context.Context, subjectID string, _ []connectors.Handle, g connectors.Grants) error {
	const op = "grants"
	want, err := m.required(op, g)
	if err != nil {
		return err
	}
	have, err := m.groups(ctx, op, subjectID)
	if err != nil {
		return err
	}
	if slices.Equal(have, want) {
		return nil
	}
	for _, group := range without(want, have) {
		c := m.membership(op, http.MethodPut, subjectID, group)
		c.in, c.out = struct{}{}, &membership{}
		if _, err := m.do(ctx, c); err != nil {
			return err
		}
	}
	for _, group := range without(have, want) {
		c := m.membership(op, http.MethodDelete, subjectID, group)
		c.expect = []int{http.StatusNoContent}
		if _, err := m.do(ctx, c); err != nil && !connectors.Is(err, connectors.NotFound) {
			return err
		}
	}
	if have, err = m.groups(ctx, op, subjectID); err != nil {
		return err
	}
	if !slices.Equal(have, want) {
		return m.fail(op, connectors.Temporary, "the groups read back are not those that were written")
	}
	return nil
}

func (m *Manager) membership(op, method, subjectID, group string) call {
	return call{
		op: op, method: method, route: "/consumers/{consumer}/acls/{group}",
		params: map[string]string{"consumer": subjectID, "group": group},
	}
}

func without(list, taken []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(taken, s) })
}
