package hubeetest

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// Mark is what an agent of the administration does to a case, in the portal or
// in its software.
type Mark struct {
	Status     Status `json:"status" yaml:"status"` // "" leaves it
	Message    string `json:"message" yaml:"message"`
	Comment    string `json:"comment" yaml:"comment"`
	Author     string `json:"author" yaml:"author"`
	ActionType string `json:"actionType" yaml:"actionType"` // default STATUS_UPDATE
	Quiet      bool   `json:"quiet" yaml:"quiet"`           // without notification
	StatusOnly bool   `json:"status_only" yaml:"status_only"`
	EventOnly  bool   `json:"event_only" yaml:"event_only"`
}

// control is what a HubEE that runs as a process of its own adds under /_admin/,
// so that a person or a script plays HubEE's staff and the communes' agents:
//
//	GET  /_admin/totals                          counts, cheap even with many folders
//	GET  /_admin/mails                           the mails that would have left
//	GET  /_admin/credentials                     the pairs that the portal shows
//	POST /_admin/credentials                     {"actor","client_id","client_secret","organization","process_code","scopes"}
//	DELETE /_admin/credentials/{client_id}
//	GET  /_admin/switches, POST /_admin/switches {"rules":"strict",...}: what is left out stays
//	POST /_admin/tokens/expire                   every token ends now
//	POST /_admin/subscriptions/{id}/activate     {"access_mode":"API","after":"72h","editor":"EDT-siret-branch"}
//	POST /_admin/subscriptions/{id}/status       {"status":"Suspendu"}
//	POST /_admin/cases/{id}/marks                a Mark: acts as the commune
//	POST /_admin/attachments/{id}/status         {"status":"CORRUPTED"}: the antivirus's word
//	GET  /_admin/attachments/{id}                the bytes that are held
func (s *Server) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_admin/totals", func(w http.ResponseWriter, _ *http.Request) {
		partnertest.WriteJSON(w, http.StatusOK, s.Totals())
	})
	mux.HandleFunc("GET /_admin/mails", func(w http.ResponseWriter, _ *http.Request) {
		mails := s.Mails()
		if mails == nil {
			mails = []Mail{}
		}
		partnertest.WriteJSON(w, http.StatusOK, mails)
	})
	mux.HandleFunc("GET /_admin/credentials", func(w http.ResponseWriter, _ *http.Request) {
		partnertest.WriteJSON(w, http.StatusOK, json.RawMessage(s.Describe()))
	})
	mux.HandleFunc("POST /_admin/credentials", control(s.controlCredential))
	mux.HandleFunc("DELETE /_admin/credentials/{client_id}", func(w http.ResponseWriter, r *http.Request) {
		s.RemoveCredential(r.PathValue("client_id"))
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /_admin/switches", func(w http.ResponseWriter, _ *http.Request) {
		partnertest.WriteJSON(w, http.StatusOK, s.Switches())
	})
	mux.HandleFunc("POST /_admin/switches", s.controlSwitches)
	mux.HandleFunc("POST /_admin/tokens/expire", func(w http.ResponseWriter, _ *http.Request) {
		s.ExpireTokens()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /_admin/subscriptions/{id}/activate", control(s.controlActivate))
	mux.HandleFunc("POST /_admin/subscriptions/{id}/status", control(s.controlStatus))
	mux.HandleFunc("POST /_admin/cases/{id}/marks", control(func(r *http.Request, m Mark) error {
		return s.MarkCase(r.PathValue("id"), m)
	}))
	mux.HandleFunc("POST /_admin/attachments/{id}/status", control(func(r *http.Request, in struct {
		Status FileStatus `json:"status"`
	},
	) error {
		return s.JudgeFile(r.PathValue("id"), in.Status)
	}))
	mux.HandleFunc("GET /_admin/attachments/{id}", func(w http.ResponseWriter, r *http.Request) {
		content, ok := s.File(r.PathValue("id"))
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write(content)
	})
	return mux
}

// control decodes the body and answers 204, or 400 with what is wrong.
func control[T any](do func(*http.Request, T) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in T
		err := decodeControl(r, &in)
		if err == nil {
			err = do(r, in)
		}
		if err != nil {
			partnertest.WriteJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

func decodeControl(r *http.Request, into any) error {
	decoder := json.NewDecoder(io.LimitReader(r.Body, 1<<20))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil && err != io.EOF {
		return err
	}
	return nil
}

// controlSwitches lays what is sent over what is in force.
func (s *Server) controlSwitches(w http.ResponseWriter, r *http.Request) {
	next := s.Switches()
	if err := decodeControl(r, &next); err != nil {
		partnertest.WriteJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
		return
	}
	s.SetSwitches(func(held *Switches) { *held = next })
	partnertest.WriteJSON(w, http.StatusOK, next)
}

func (s *Server) controlCredential(_ *http.Request, in struct {
	Actor        Actor    `json:"actor"`
	ClientID     string   `json:"client_id"`
	ClientSecret string   `json:"client_secret"`
	Organization string   `json:"organization"`
	ProcessCode  string   `json:"process_code"`
	Scopes       []string `json:"scopes"`
},
) error {
	organization, ok := parseOrganizationID(in.Organization)
	if !ok && in.Organization != "" {
		return refuse(http.StatusBadRequest, "organization is TYPE-siret-branch code")
	}
	s.AddCredential(Credential{
		Actor: in.Actor, ClientID: in.ClientID, ClientSecret: in.ClientSecret, Organization: organization,
		ProcessCode: in.ProcessCode, Scopes: in.Scopes,
	})
	return nil
}

func (s *Server) controlActivate(r *http.Request, in struct {
	AccessMode string   `json:"access_mode"`
	After      Duration `json:"after"`
	Editor     string   `json:"editor"`
},
) error {
	editor, ok := parseOrganizationID(in.Editor)
	if !ok && in.Editor != "" {
		return refuse(http.StatusBadRequest, "editor is EDT-siret-branch code")
	}
	if in.AccessMode == "" {
		in.AccessMode = "API"
	}
	return s.Activate(r.PathValue("id"), in.AccessMode, editor, time.Duration(in.After))
}

func (s *Server) controlStatus(r *http.Request, in struct {
	Status string `json:"status"`
},
) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	sub := s.subscriptions[r.PathValue("id")]
	if sub == nil {
		return refuse(http.StatusNotFound, "Subscription is not found")
	}
	now := s.now()
	sub.body.Status, sub.body.UpdateDateTime = &in.Status, &now
	return nil
}

// Activate is what a person at HubEE does: the subscription becomes Actif after
// a time of the partner's clock, delegated to the editor unless it is zero, and
// has a pair of its own in Credentials.
func (s *Server) Activate(id, accessMode string, editor OrganizationID, after time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	sub := s.subscriptions[id]
	if sub == nil {
		return refuse(http.StatusNotFound, "Subscription is not found")
	}
	var delegate *Delegation
	if editor != (OrganizationID{}) {
		delegate = &Delegation{Type: &editor.Type, CompanyRegister: &editor.CompanyRegister, BranchCode: &editor.BranchCode}
	}
	s.plan(s.Now().Add(after), func() { s.activate(sub, accessMode, delegate) })
	s.settle()
	return nil
}

// MarkCase acts as an agent of the administration that holds the case: status,
// then event, as clients do.
func (s *Server) MarkCase(id string, m Mark) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	c := s.cases[id]
	if c == nil {
		return refuse(http.StatusNotFound, "Case is not found")
	}
	if _, refused := s.mark(c, m); refused != nil {
		return refused
	}
	return nil
}

// mark needs the lock.
func (s *Server) mark(c *caseFile, m Mark) (*event, *refusal) {
	was := c.status
	if m.Status != "" && !m.EventOnly {
		if refused := s.mayMove(c, m.Status, SI); refused != nil {
			return nil, refused
		}
		s.move(c, m.Status)
	}
	if m.StatusOnly {
		return nil, nil
	}
	if m.ActionType == "" {
		m.ActionType = "STATUS_UPDATE"
	}
	notify := !m.Quiet
	in := eventBody{
		ActionType: &m.ActionType, Notification: &notify, CaseCurrentStatus: &was,
		Message: orNull(m.Message), Comment: orNull(m.Comment), Author: orNull(m.Author),
	}
	if m.Status != "" {
		in.CaseNewStatus = &m.Status
	}
	return s.addEvent(c, in, SI, c.recipient, nil)
}

// JudgeFile is the antivirus's word about a file, whatever it holds.
func (s *Server) JudgeFile(id string, status FileStatus) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.attachments[id]
	if a == nil {
		return refuse(http.StatusNotFound, noMetadata)
	}
	a.judge(status)
	return nil
}

func orNull(text string) *string {
	if strings.TrimSpace(text) == "" {
		return nil
	}
	return &text
}
