package gravitee

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/passerelle-hub/passerelle/connectors"
)

const statusActive = "ACTIVE"

type application struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Description string `json:"description"`
	Status      string `json:"status"`
	KeyMode     string `json:"api_key_mode"`
	Settings    struct {
		App struct {
			ClientID string `json:"client_id"`
		} `json:"app"`
	} `json:"settings"`
	CreatedAt int64 `json:"created_at"` // ms
}

// EnsureSubject creates the application whose clientId is s.Ref, or adopts it.
// Its name ends with the reference, because the manager's search may read names
// only; its description ends with the owner's mark and the labels.
func (m *Manager) EnsureSubject(ctx context.Context, s connectors.Subject) (string, error) {
	const op = "ensure subject"
	if s.Ref == "" || s.Owner == "" {
		return "", m.fail(op, connectors.Rejected, "a subject has a reference and an owner")
	}
	release, err := m.lock(ctx, op, s.Ref)
	if err != nil {
		return "", err
	}
	defer release()
	var created application
	answer, err := m.do(ctx, call{
		op: op, method: http.MethodPost, route: v1 + "/applications", out: &created,
		in: map[string]any{
			"name": strings.TrimSpace(s.Name + " [" + s.Ref + "]"), "description": describe(s),
			"type": "BACKEND_TO_BACKEND", "clientId": s.Ref, "api_key_mode": "EXCLUSIVE",
		},
	})
	if answer.Code("technicalCode") == "application.clientId.exists" {
		return m.adopt(ctx, op, s.Ref, s.Owner)
	}
	if err != nil {
		return "", err
	}
	if created.ID == "" {
		return "", m.fail(op, connectors.Rejected, "unexpected answer: an application without id")
	}
	return created.ID, nil
}

func (m *Manager) adopt(ctx context.Context, op, ref, owner string) (string, error) {
	app, err := m.applicationByRef(ctx, op, ref)
	if err != nil {
		return "", err
	}
	switch {
	case app == nil:
		return "", m.fail(op, connectors.Conflict, "clientId %s exists, in an application that this account does not see", ref)
	case ownerOf(app.Description) != owner:
		return "", m.fail(op, connectors.Conflict, "application %s has clientId %s and is not marked as ours", app.ID, ref)
	}
	return app.ID, nil
}

// applicationByRef finds the active application with that clientId: by its name,
// then, for one that a person renamed or that a stranger made, among all. The
// oldest counts: two concurrent creates may both have passed. nil: none.
func (m *Manager) applicationByRef(ctx context.Context, op, ref string) (*application, error) {
	for _, query := range []string{ref, ""} {
		found, err := m.applications(ctx, op, query)
		if err != nil {
			return nil, err
		}
		found = slices.DeleteFunc(found, func(a application) bool { return a.Settings.App.ClientID != ref })
		if len(found) > 0 {
			oldest := slices.MinFunc(found, func(a, b application) int {
				return cmp.Or(cmp.Compare(a.CreatedAt, b.CreatedAt), cmp.Compare(a.ID, b.ID))
			})
			return &oldest, nil
		}
	}
	return nil, nil
}

func (m *Manager) applications(ctx context.Context, op, query string) ([]application, error) {
	params := url.Values{"status": {statusActive}}
	if query != "" {
		params.Set("query", query)
	}
	var found []application
	_, err := m.do(ctx, call{op: op, method: http.MethodGet, route: v1 + "/applications", query: params, out: &found})
	return found, err
}

// application gives one by id; nil when the manager has none.
func (m *Manager) application(ctx context.Context, op, id string) (*application, error) {
	var app application
	_, err := m.do(ctx, call{
		op: op, method: http.MethodGet, route: v1 + "/applications/{app}", params: map[string]string{"app": id}, out: &app,
	})
	if connectors.Is(err, connectors.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &app, nil
}

// describe writes "DataPass D9001 [hub=passerelle-prod datapass_id=9001 siret=…]".
func describe(s connectors.Subject) string {
	mark := []string{"hub=" + url.QueryEscape(s.Owner)}
	for _, label := range slices.Sorted(maps.Keys(s.Labels)) {
		mark = append(mark, label+"="+url.QueryEscape(s.Labels[label]))
	}
	return strings.TrimSpace(s.Description + " [" + strings.Join(mark, " ") + "]")
}

var mark = regexp.MustCompile(`\[hub=([^\s\]]+)[^\]]*\]$`)

// ownerOf reads the owner's mark; "" when there is none.
func ownerOf(description string) string {
	found := mark.FindStringSubmatch(description)
	if found == nil {
		return ""
	}
	owner, err := url.QueryUnescape(found[1])
	if err != nil {
		return ""
	}
	return owner
}
