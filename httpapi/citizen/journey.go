package citizen

import (
	"context"
	"crypto/subtle"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/httpapi/page"
	"github.com/passerelle-hub/passerelle/internal/journey"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// Journeys serves a citizen's transaction, with the pages of Handler.
type Journeys struct {
	*Handler
	Service *journey.Service // nil: this hub has no FranceConnect; the pages say what to do instead
	Links   journey.Links
	Secure  bool          // cookies go over https only; false on a loopback sandbox
	Idle    time.Duration // of a transaction
}

// Routes adds what it serves. starting limits what begins a transaction.
func (h *Journeys) Routes(r chi.Router, starting func(http.Handler) http.Handler) {
	r.With(starting).Post("/collectivites/{siret}/demarrer", h.start)
	r.Get("/callback", h.callback)
	r.Get("/logout-callback", h.loggedOut)
	r.Get("/demarche/{id}", h.step)
	r.Get("/demarche/{id}/document", h.document)
	r.Post("/demarche/{id}/partir", h.act(func(ctx context.Context, t journey.Ticket) error { return h.Service.Restart(ctx, t) }))
	r.Post("/demarche/{id}/envoyer", h.act(func(ctx context.Context, t journey.Ticket) error { return h.Service.Send(ctx, t) }))
	r.Post("/demarche/{id}/identite", h.act(func(ctx context.Context, t journey.Ticket) error { return h.Service.SendIdentity(ctx, t) }))
	r.Post("/demarche/{id}/annuler", h.act(func(ctx context.Context, t journey.Ticket) error { return h.Service.Cancel(ctx, t) }))
	r.Post("/demarche/{id}/quitter", h.leave)
}

// receiver finds the commune whose page was left; several of one SIRET are told
// apart by COG, which the page gives.
func (h *Journeys) receiver(w http.ResponseWriter, r *http.Request, cog string) (store.Receiver, bool) {
	siret := chi.URLParam(r, "siret")
	if !siretRule.MatchString(siret) || !cogRule.MatchString(cog) {
		h.unknown(w, r)
		return store.Receiver{}, false
	}
	receiver, err := h.Store.ReceiverByKey(r.Context(), registry.FolderProcess, connectors.OrganizationRef{SIRET: siret, Branch: cog})
	switch {
	case errors.Is(err, store.ErrNotFound):
		h.unknown(w, r)
	case err != nil:
		h.unavailable(w, r, err)
	default:
		return receiver, true
	}
	return receiver, false
}

const maxForm = 8 << 10 // bytes

// start begins a transaction and sends her to FranceConnect, or into the line.
func (h *Journeys) start(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		status, title := http.StatusBadRequest, "Cette demande ne peut pas être lue"
		if errors.As(err, new(*http.MaxBytesError)) {
			status, title = http.StatusRequestEntityTooLarge, "Cette demande est trop longue"
		}
		h.simple(w, r, status, title, "Rien n’a été envoyé. Revenez à la page de votre commune et recommencez.")
		return
	}
	receiver, ok := h.receiver(w, r, r.PostForm.Get("cog"))
	if !ok {
		return
	}
	if h.Service == nil || !store.Receives(receiver) { // closed since her page was shown: it says what to do instead
		h.leaveFor(w, r, communeOf(receiver, true).Path(""))
		return
	}
	entry, err := h.Links.Read(r.Context(), receiver, r.PostForm)
	if errors.Is(err, journey.ErrLink) {
		entry, err = journey.Entry{Refused: true}, nil
	}
	if err != nil {
		h.unavailable(w, r, err)
		return
	}
	t, err := h.Service.Open(r.Context(), receiver, entry)
	if err != nil {
		h.unavailable(w, r, err)
		return
	}
	h.give(w, t)
	h.depart(w, r, t)
}

// depart sends her off, or to the page of her transaction, which says what is next.
func (h *Journeys) depart(w http.ResponseWriter, r *http.Request, t journey.Ticket) {
	d, err := h.Service.Depart(r.Context(), t)
	switch {
	case err != nil && !errors.Is(err, journey.ErrStep):
		h.failed(w, r, t, err)
	case err == nil && d.Address != "":
		h.leaveFor(w, r, d.Address)
	default:
		h.see(w, r, t)
	}
}

func (h *Journeys) leaveFor(w http.ResponseWriter, r *http.Request, address string) {
	page.Harden(w)
	http.Redirect(w, r, address, http.StatusSeeOther)
}

// see sends her to the clean address of her transaction.
func (h *Journeys) see(w http.ResponseWriter, r *http.Request, t journey.Ticket) {
	h.leaveFor(w, r, path(t.ID))
}

func path(id uuid.UUID) string { return "/demarche/" + id.String() }

// callback takes her back from FranceConnect. It answers at once with a clean
// address: what follows runs apart from her connection.
func (h *Journeys) callback(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if h.Service == nil || len(q.Get("state")) != 64 || len(q["state"]) != 1 || len(q.Get("code")) > 4096 || len(q.Get("iss")) > 2048 {
		h.over(w, r)
		return
	}
	cb := journey.Callback{State: q.Get("state"), Code: q.Get("code"), Issuer: q.Get("iss"), Error: q.Get("error")}
	t, err := h.Service.Return(r.Context(), cb, func(id uuid.UUID) (journey.Key, bool) { return h.key(r, returnCookie(id)) })
	switch {
	case err == nil:
		h.give(w, t)
		h.see(w, r, t)
	case errors.Is(err, journey.ErrStep): // its own cookie opens it, or not
		h.see(w, r, t)
	case errors.Is(err, journey.ErrGone):
		h.over(w, r)
	default:
		h.unavailable(w, r, err)
	}
}

// await is how long the page of a transaction waits for its answer before it says
// that it waits.
const await = 3 * time.Second

// step shows where a transaction stands.
func (h *Journeys) step(w http.ResponseWriter, r *http.Request) {
	t, ok := h.ticket(r)
	if !ok {
		h.follow(w, r)
		return
	}
	v, err := h.Service.See(r.Context(), t)
	if err == nil && v.State == store.JourneyFetching {
		h.Service.Await(r.Context(), t.ID, await)
		v, err = h.Service.See(r.Context(), t)
	}
	if err != nil {
		h.failed(w, r, t, err)
		return
	}
	h.give(w, t) // it lasts as long as she uses it
	switch v.State {
	case store.JourneyEntered:
		h.enter(w, r, t, v)
	case store.JourneyAway:
		h.write(w, r, http.StatusOK, "journey_away.html", "Votre démarche est en cours chez FranceConnect", show(v))
	case store.JourneyFetching:
		h.refresh(w, r, 2*time.Second)
		h.write(w, r, http.StatusOK, "journey_fetching.html", "Nous demandons votre quotient familial", h.waiting(r, v, 0))
	case store.JourneyReview:
		h.write(w, r, http.StatusOK, "journey_review.html", "Vérifiez avant de transmettre", show(v))
	case store.JourneySent:
		h.status(w, r, v)
	default:
		said := wordsOf(v)
		h.write(w, r, http.StatusOK, "journey_failed.html", said.Title, failedPage{show(v), said})
	}
}

// failedPage says why, and offers to start again and the other ways.
type failedPage struct {
	shown
	Words words
}

// enter asks for her departure; until then she sees her place in line.
func (h *Journeys) enter(w http.ResponseWriter, r *http.Request, t journey.Ticket, v journey.View) {
	d, err := h.Service.Depart(r.Context(), t)
	switch {
	case errors.Is(err, journey.ErrStep):
		h.see(w, r, t)
	case err != nil:
		h.failed(w, r, t, err)
	case d.Address != "":
		h.leaveFor(w, r, d.Address)
	default:
		h.refresh(w, r, d.Again)
		h.write(w, r, http.StatusOK, "journey_line.html", "Vous êtes dans la file d’attente", h.waiting(r, v, d.Place))
	}
}

// waiting shows a page that comes again by itself, unless she stops it.
func (h *Journeys) waiting(r *http.Request, v journey.View, place int) shown {
	s := show(v)
	s.Place, s.Stopped = place, r.URL.Query().Get(manual) != ""
	return s
}

// refresh has the browser come again, without script; she can stop it.
func (h *Journeys) refresh(w http.ResponseWriter, r *http.Request, after time.Duration) {
	if r.URL.Query().Get(manual) == "" {
		w.Header().Set("Refresh", strconv.Itoa(int(after.Seconds())))
	}
}

// status follows a folder: sent is said when HubEE has all of it, and not before.
func (h *Journeys) status(w http.ResponseWriter, r *http.Request, v journey.View) {
	title := "Votre envoi est en cours"
	switch {
	case v.Arrived():
		title = "Vos informations ont bien été transmises"
	case v.Lost():
		title = "Votre envoi n’a pas abouti"
	default:
		h.refresh(w, r, 5*time.Second)
	}
	h.write(w, r, http.StatusOK, "journey_status.html", title, h.waiting(r, v, 0))
}

// follow shows where a folder stands to who has its address but no cookie: nothing
// personal, no reference, no document.
func (h *Journeys) follow(w http.ResponseWriter, r *http.Request) {
	id, err := uuid.Parse(chi.URLParam(r, "id"))
	if err != nil || h.Service == nil {
		h.over(w, r)
		return
	}
	v, err := h.Service.Follow(r.Context(), id)
	switch {
	case errors.Is(err, journey.ErrGone):
		h.over(w, r)
	case err != nil:
		h.unavailable(w, r, err)
	default:
		h.status(w, r, v)
	}
}

// act does one thing, and shows what came of it at the clean address: a second
// click, a reload, a button from a page of the past change nothing.
func (h *Journeys) act(do func(context.Context, journey.Ticket) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		t, ok := h.ticket(r)
		if !ok {
			h.follow(w, r)
			return
		}
		switch err := do(r.Context(), t); {
		case err == nil && strings.HasSuffix(r.URL.Path, "/partir"):
			h.depart(w, r, t)
		case err == nil, errors.Is(err, journey.ErrStep):
			h.see(w, r, t)
		case errors.Is(err, journey.ErrClosed):
			h.simple(w, r, http.StatusConflict, "Votre collectivité ne reçoit plus de dossiers", "Rien n’a été transmis. Adressez-vous à votre collectivité, qui accepte toujours une attestation de la Caf ou de la MSA.")
		default:
			h.failed(w, r, t, err)
		}
	}
}

// document gives her PDF.
func (h *Journeys) document(w http.ResponseWriter, r *http.Request) {
	t, ok := h.ticket(r)
	if !ok {
		h.over(w, r)
		return
	}
	name, pdf, err := h.Service.Document(r.Context(), t)
	if err != nil {
		h.failed(w, r, t, err)
		return
	}
	page.Harden(w)
	w.Header().Set("Content-Type", "application/pdf")
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	w.Header().Set("Content-Length", strconv.Itoa(len(pdf)))
	if _, err := w.Write(pdf); err != nil {
		zerolog.Ctx(r.Context()).Debug().Err(err).Msg("client left before the end of the document")
	}
}

const logoutCookie = "deconnexion"

// leave wipes what is here, then ends her session at FranceConnect.
func (h *Journeys) leave(w http.ResponseWriter, r *http.Request) {
	t, ok := h.ticket(r)
	if !ok {
		h.over(w, r)
		return
	}
	address, state, err := h.Service.Leave(r.Context(), t)
	if err != nil {
		h.failed(w, r, t, err)
		return
	}
	h.cookie(w, stepCookie, path(t.ID), "", -1)
	h.cookie(w, returnCookie(t.ID), "/callback", "", -1)
	if address == "" {
		h.write(w, r, http.StatusOK, "journey_bye.html", "Votre démarche est effacée de cet appareil", byePage{})
		return
	}
	h.cookie(w, logoutCookie, "/logout-callback", state, int(h.Idle.Seconds()))
	h.leaveFor(w, r, address)
}

// byePage says whether FranceConnect ended her session.
type byePage struct{ LoggedOut bool }

// loggedOut is where FranceConnect sends her after the end of her session.
func (h *Journeys) loggedOut(w http.ResponseWriter, r *http.Request) {
	p := byePage{}
	if c, err := r.Cookie(h.name(logoutCookie)); err == nil && c.Value != "" {
		p.LoggedOut = subtle.ConstantTimeCompare([]byte(c.Value), []byte(r.URL.Query().Get("state"))) == 1
	}
	title := "Votre démarche est effacée de cet appareil"
	if p.LoggedOut {
		title = "Vous êtes déconnecté de FranceConnect"
		h.cookie(w, logoutCookie, "/logout-callback", "", -1)
	}
	h.write(w, r, http.StatusOK, "journey_bye.html", title, p)
}

// Cookies. Each transaction has its own, sent to its own pages only: several
// visits in one browser never mix.
const stepCookie = "demarche"

func returnCookie(id uuid.UUID) string { return "retour-" + id.String() }

// give puts a transaction's key into her browser: for its pages, and for the
// return from FranceConnect.
func (h *Journeys) give(w http.ResponseWriter, t journey.Ticket) {
	h.cookie(w, stepCookie, path(t.ID), t.Key.Text(), int(h.Idle.Seconds()))
	h.cookie(w, returnCookie(t.ID), "/callback", t.Key.Text(), int(h.Idle.Seconds()))
}

// name of a cookie: __Secure- has browsers refuse one that was set without TLS.
func (h *Journeys) name(name string) string {
	if h.Secure {
		return "__Secure-" + name
	}
	return name
}

func (h *Journeys) cookie(w http.ResponseWriter, name, path, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name: h.name(name), Value: value, Path: path, MaxAge: maxAge, Secure: h.Secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

func (h *Journeys) key(r *http.Request, name string) (journey.Key, bool) {
	c, err := r.Cookie(h.name(name))
	if err != nil {
		return journey.Key{}, false
	}
	return journey.ParseKey(c.Value)
}

func (h *Journeys) ticket(r *http.Request) (journey.Ticket, bool) {
	id, err := uuid.Parse(chi.URLParam(r, "id"))
	if err != nil || h.Service == nil {
		return journey.Ticket{}, false
	}
	key, ok := h.key(r, stepCookie)
	return journey.Ticket{ID: id, Key: key}, ok
}

// failed answers an error of a transaction.
func (h *Journeys) failed(w http.ResponseWriter, r *http.Request, t journey.Ticket, err error) {
	switch {
	case errors.Is(err, journey.ErrGone):
		h.follow(w, r)
	case errors.Is(err, journey.ErrStep):
		h.see(w, r, t)
	default:
		h.unavailable(w, r, err)
	}
}

func (h *Journeys) over(w http.ResponseWriter, r *http.Request) {
	h.write(w, r, http.StatusNotFound, "journey_over.html", "Cette démarche est terminée ou a expiré", nil)
}

func (h *Journeys) simple(w http.ResponseWriter, r *http.Request, status int, title, text string) {
	h.write(w, r, status, "journey_simple.html", title, text)
}
