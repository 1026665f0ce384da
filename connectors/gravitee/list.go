package gravitee

import (
	"cmp"
	"context"
	"slices"

	"github.com/passerelle-hub/passerelle/connectors"
)

// List walks our applications by id: one Found for each credential that is not
// dead, or one without a key for an application that has none. The cursor is the
// last application's id. A key that the ledger does not know carries no Ref.
func (m *Manager) List(ctx context.Context, cursor string) ([]connectors.Found, string, error) {
	const op = "list"
	apps, err := m.applications(ctx, op, "")
	if err != nil {
		return nil, "", err
	}
	apps = slices.DeleteFunc(apps, func(a application) bool { return ownerOf(a.Description) != m.owner || a.ID <= cursor })
	slices.SortFunc(apps, func(a, b application) int { return cmp.Compare(a.ID, b.ID) })
	next := ""
	if size := m.config.PageSize; len(apps) > size {
		apps = apps[:size]
		next = apps[size-1].ID
	}
	if len(apps) == 0 {
		return nil, "", nil
	}
	keys, err := m.keysOfApplications(ctx, op, apps)
	if err != nil {
		return nil, "", err
	}
	var page []connectors.Found
	for _, app := range apps {
		found, err := m.credentialsOf(ctx, op, app, keys[app.ID])
		if err != nil {
			return nil, "", err
		}
		page = append(page, found...)
	}
	return page, next, nil
}

func (m *Manager) keysOfApplications(ctx context.Context, op string, apps []application) (map[string][]held, error) {
	ids := make([]string, 0, len(apps))
	for _, app := range apps {
		ids = append(ids, app.ID)
	}
	all := map[string][]held{}
	for _, api := range m.apisOf(connectors.Handle{}) {
		subs, err := m.subscriptions(ctx, op, api, openStates, ids...)
		if err != nil {
			return nil, err
		}
		for _, sub := range subs {
			keys, err := m.keys(ctx, op, sub)
			if err != nil {
				return nil, err
			}
			all[sub.Application.ID] = append(all[sub.Application.ID], keys...)
		}
	}
	return all, nil
}

// credentialsOf groups the keys of an application by value: one value is one credential.
func (m *Manager) credentialsOf(ctx context.Context, op string, app application, keys []held) ([]connectors.Found, error) {
	groups := map[string][]held{}
	var order []string
	for _, key := range keys {
		if key.key.dead() {
			continue
		}
		print := fingerprint(key.key.Value)
		if groups[print] == nil {
			order = append(order, print)
		}
		groups[print] = append(groups[print], key)
	}
	if len(order) == 0 {
		return []connectors.Found{{
			Handle: connectors.Handle{Ref: app.Settings.App.ClientID, Subject: app.ID},
			Owner:  ownerOf(app.Description), Live: connectors.Dead,
		}}, nil
	}
	var all []connectors.Found
	for _, print := range order {
		ref, err := m.refOf(ctx, op, print)
		if err != nil {
			return nil, err
		}
		all = append(all, m.found(ref, app, groups[print]))
	}
	return all, nil
}
