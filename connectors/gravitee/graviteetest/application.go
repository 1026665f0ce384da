package graviteetest

import (
	"slices"
	"strings"
)

func (s *Server) application(id string) (*Application, error) {
	if app := s.applications[id]; app != nil {
		return app, nil
	}
	return nil, applicationNotFound(id)
}

// clientIDTaken looks among ACTIVE applications only.
func (s *Server) clientIDTaken(clientID, except string) bool {
	if clientID == "" {
		return false
	}
	for _, app := range s.applicationOrder {
		if app.Status == StatusActive && app.ClientID == clientID && app.ID != except {
			return true
		}
	}
	return false
}

// createApplication checks that clientId is free, then inserts: the lock is
// free between the two, as two nodes of a real server would be.
func (s *Server) createApplication(app Application) (*Application, error) {
	if s.clientIDTaken(app.ClientID, "") {
		return nil, clientIDExists(app.ClientID)
	}
	if s.opts.BetweenCheckAndInsert != nil {
		s.mu.Unlock()
		s.opts.BetweenCheckAndInsert()
		s.mu.Lock()
	}
	if app.ID == "" {
		app.ID = s.newID()
	}
	app.Status = StatusActive
	if app.APIKeyMode == "" {
		app.APIKeyMode = ModeUnspecified
	}
	if app.Type == "" {
		app.Type = "SIMPLE"
	}
	if app.Groups == nil {
		app.Groups = []string{}
	}
	app.CreatedAt = s.now()
	app.UpdatedAt = app.CreatedAt
	stored := &app
	s.applications[app.ID] = stored
	s.applicationOrder = append(s.applicationOrder, stored)
	return stored, nil
}

// searchApplications lists by name, as v1 does; a text may match many.
func (s *Server) searchApplications(text, status string, ids []string) []*Application {
	text = strings.ToLower(text)
	var found []*Application
	for _, app := range s.applicationOrder {
		switch {
		case status != "" && app.Status != status:
		case len(ids) > 0 && !slices.Contains(ids, app.ID):
		case text == "",
			strings.ToLower(app.ID) == text,
			strings.Contains(strings.ToLower(app.Name), text),
			!s.opts.SearchNamesOnly && strings.Contains(strings.ToLower(app.Description), text):
			found = append(found, app)
		}
	}
	slices.SortStableFunc(found, func(a, b *Application) int { return strings.Compare(a.Name, b.Name) })
	return found
}

// archive closes the application's subscriptions, which kills their keys.
func (s *Server) archive(app *Application) {
	for _, sub := range s.subscriptionsOf(app.ID) {
		s.close(sub)
	}
	app.Status = StatusArchived
	app.UpdatedAt = s.now()
}

// restore makes it ACTIVE again; its subscriptions come back PENDING, their keys stay revoked.
func (s *Server) restore(app *Application) error {
	if app.Status != StatusArchived {
		return bad("application.active", "Application ["+app.Name+"] is active and cannot be restored.", "application", app.Name)
	}
	if s.clientIDTaken(app.ClientID, app.ID) {
		return clientIDExists(app.ClientID)
	}
	app.Status = StatusActive
	app.UpdatedAt = s.now()
	for _, sub := range s.subscriptionsOf(app.ID) {
		if sub.Status == StatusClosed || sub.Status == StatusRejected {
			s.reopen(sub)
		}
	}
	return nil
}

func (s *Server) addMetadata(app *Application, m Metadata) (Metadata, error) {
	if m.Name == "" {
		return m, invalid("name", "must not be empty", m.Name)
	}
	if m.Format == "" {
		m.Format = "STRING"
	}
	m.Format = strings.ToUpper(m.Format)
	m.Key = metadataKey(m.Name)
	if slices.ContainsFunc(app.Metadata, func(old Metadata) bool { return old.Key == m.Key }) {
		return m, bad("metadata.exists", "The metadata '"+m.Name+"' already exists.", "metadata", m.Name)
	}
	app.Metadata = append(app.Metadata, m)
	return m, nil
}

// metadataKey is the name in lower case with hyphens.
func metadataKey(name string) string {
	fields := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
	return strings.Join(fields, "-")
}
