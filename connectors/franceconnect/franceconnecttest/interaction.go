package franceconnecttest

import (
	_ "embed"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/go-chi/chi/v5"
)

//go:embed pages.html
var pagesHTML string

var pages = template.Must(template.New("").Parse(pagesHTML))

const pagePolicy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"

// sessionCookie is not one of the hub's: hosts share cookies across ports.
const sessionCookie = "franceconnect_simulator_session"

func show(w http.ResponseWriter, status int, name string, data any) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", pagePolicy)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(status)
	if err := pages.ExecuteTemplate(w, name, data); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// showError is the page on which FranceConnect keeps the citizen.
func (s *Server) showError(w http.ResponseWriter, status int, code, name, detail string) {
	show(w, status, "error", map[string]any{
		"Title": "Une erreur est survenue", "Code": code, "Name": name, "Detail": detail, "ID": random()[:16],
	})
}

func (s *Server) showHome(w http.ResponseWriter, _ *http.Request) {
	show(w, http.StatusOK, "home", map[string]any{
		"Title": "Personnes d’essai", "Citizens": s.Citizens(), "Issuer": s.issuer,
	})
}

// openSession gives the browser a new session: an id that was there before
// login is not kept. It needs the lock.
func (s *Server) openSession(w http.ResponseWriter, r *http.Request, citizen Citizen) *session {
	if held, err := r.Cookie(sessionCookie); err == nil {
		delete(s.sessions, held.Value)
	}
	id := random()
	opened := &session{citizen: citizen, since: s.Now(), expires: s.Now().Add(SessionLife)}
	s.sessions[id] = opened
	http.SetCookie(w, &http.Cookie{
		Name: sessionCookie, Value: id, Path: basePath, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	return opened
}

// sessionOf gives the browser's session, or nil. It needs the lock.
func (s *Server) sessionOf(r *http.Request) *session {
	held, err := r.Cookie(sessionCookie)
	if err != nil {
		return nil
	}
	found := s.sessions[held.Value]
	if found == nil || !s.Now().Before(found.expires) {
		return nil
	}
	return found
}

// interactionOf finds the interaction that the path names, or shows the error.
func (s *Server) interactionOf(w http.ResponseWriter, r *http.Request) *interaction {
	s.mu.Lock()
	found := s.interactions[chi.URLParam(r, "id")]
	alive := found != nil && s.Now().Before(found.expires)
	s.mu.Unlock()
	if !alive {
		s.showError(w, http.StatusBadRequest, "Y000009", "invalid_session", "votre session a expiré")
		return nil
	}
	return found
}

// showInteraction offers the people, and to whom has a session the confirmation:
// there is no silent login.
func (s *Server) showInteraction(w http.ResponseWriter, r *http.Request) {
	it := s.interactionOf(w, r)
	if it == nil {
		return
	}
	s.mu.Lock()
	held := s.sessionOf(r)
	s.mu.Unlock()
	data := map[string]any{"Title": "Choisir une personne d’essai", "ID": it.id, "Client": it.asked.client.Name, "Citizens": s.Citizens()}
	if held == nil {
		show(w, http.StatusOK, "identity", data)
		return
	}
	var labels []string
	for _, one := range scopes {
		if one.label != "" && slices.Contains(it.asked.scopes, one.name) {
			labels = append(labels, one.label)
		}
	}
	data["Title"], data["Citizen"], data["Labels"] = "Continuer vers le service", held.citizen, labels
	show(w, http.StatusOK, "consent", data)
}

func (s *Server) chooseIdentity(w http.ResponseWriter, r *http.Request) {
	it := s.interactionOf(w, r)
	if it == nil {
		return
	}
	chosen := r.PostFormValue("citizen")
	s.mu.Lock()
	i := slices.IndexFunc(s.citizens, func(c Citizen) bool { return c.ID == chosen })
	if i >= 0 {
		s.openSession(w, r, s.citizens[i])
		s.counts["login"]++
	}
	s.mu.Unlock()
	switch {
	case r.PostFormValue("action") == "cancel":
		s.cancel(w, r, it)
	case i < 0:
		show(w, http.StatusUnprocessableEntity, "identity", map[string]any{
			"Title": "Choisir une personne d’essai", "ID": it.id, "Client": it.asked.client.Name, "Citizens": s.Citizens(), "Missing": true,
		})
	default:
		http.Redirect(w, r, basePath+"/interaction/"+it.id, http.StatusSeeOther)
	}
}

func (s *Server) decide(w http.ResponseWriter, r *http.Request) {
	it := s.interactionOf(w, r)
	if it == nil {
		return
	}
	if r.PostFormValue("action") != "continue" {
		s.cancel(w, r, it)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	held := s.sessionOf(r)
	if held == nil {
		http.Redirect(w, r, basePath+"/interaction/"+it.id, http.StatusSeeOther)
		return
	}
	delete(s.interactions, it.id)
	s.giveCode(w, r, it.asked, held.citizen, held.since)
}

// cancel is "Revenir" (franceconnect.md, 3).
func (s *Server) cancel(w http.ResponseWriter, r *http.Request, it *interaction) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.interactions, it.id)
	s.counts["cancel"]++
	s.back(w, r, it.asked, url.Values{"error": {"access_denied"}, "error_description": {"User auth aborted"}})
}

// Sessions counts the browsers' sessions that live.
func (s *Server) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return alive(s.sessions, s.Now())
}

func alive(sessions map[string]*session, now time.Time) int {
	n := 0
	for _, one := range sessions {
		if now.Before(one.expires) {
			n++
		}
	}
	return n
}
