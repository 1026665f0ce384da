package datapasstest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

const franceConnect = "france_connect"

// Approval is what an instructor writes when approving. The other parts fix what
// DataPass would choose, to play a recorded case.
type Approval struct {
	Message        string
	HabilitationID int64     // 0: the next one
	GrantedAt      time.Time // of the snapshot, milliseconds before the approval; zero: now
}

// Approve grants an habilitation, in the order of datapass.md, 1.5.
func (s *Server) Approve(ctx context.Context, id int64, a Approval) ([]Delivery, error) {
	return s.act(ctx, id, func(r *Request) error {
		again := reopening(r)
		if err := s.move(r, EventApprove, ""); err != nil {
			return err
		}
		if a.HabilitationID == 0 {
			s.ids.habilitation++
			a.HabilitationID = s.ids.habilitation
		}
		granted := Habilitation{
			ID: a.HabilitationID, RequestID: r.ID, Definition: r.Definition, Form: r.Form, State: GrantActive,
			Fields: r.Fields.With(nil), Applicant: r.Applicant, Message: a.Message, CreatedAt: orNow(a.GrantedAt, s.Now()),
		}
		child := s.linked(r, &granted)
		for i := range r.Habilitations {
			earlier := &r.Habilitations[i]
			same := earlier.Definition == r.Definition && earlier.ParentID == 0
			orphan := earlier.ParentID != 0 && !again
			if (same || orphan) && earlier.State == GrantActive {
				earlier.State = GrantObsolete
			}
		}
		r.Habilitations = append(r.Habilitations, granted)
		if child != nil {
			r.Habilitations = append(r.Habilitations, *child)
		}
		r.LastValidatedAt = s.Now()
		if err := s.queue(EventApprove, r); err != nil {
			return err
		}
		if child != nil {
			s.record(r, EventAutoGenerate, "")
			return s.queueLinked(r, child)
		}
		return nil
	})
}

// linked makes the FranceConnect habilitation that an approval on a certified
// form brings along, or gives nil. Its id goes into the data of the request and
// of the first habilitation.
func (s *Server) linked(r *Request, granted *Habilitation) *Habilitation {
	const idField = "france_connect_authorization_id"
	modalities, _ := parseList(value(r.Fields, "modalities"))
	if !r.FranceConnectCertified || !slices.Contains(modalities, franceConnect) ||
		value(r.Fields, "fc_cadre_juridique_nature") == "" || value(r.Fields, idField) != "" {
		return nil
	}
	s.ids.habilitation++
	id := Text(fmt.Sprint(s.ids.habilitation))
	r.Fields[idField], granted.Fields[idField] = id, id
	return &Habilitation{
		ID: s.ids.habilitation, RequestID: r.ID, Definition: franceConnect, Form: r.Form, State: GrantActive,
		ParentID: granted.ID, Fields: linkedFields(r.Fields), Applicant: r.Applicant, CreatedAt: granted.CreatedAt,
	}
}

// linkedFields are those of class FranceConnect: the fc_ fields under their own
// names, the scopes of group FranceConnect, and what both classes share
// (datapass.md, 5.3).
func linkedFields(f Fields) Fields {
	out := Fields{
		"cadre_juridique_nature":   f["fc_cadre_juridique_nature"],
		"cadre_juridique_url":      f["fc_cadre_juridique_url"],
		"france_connect_eidas":     f["fc_eidas"],
		"alternative_connexion":    f["fc_alternative_connexion"],
		"intitule":                 f["intitule"],
		"description":              f["description"],
		durationField:              f[durationField],
		"volumetrie_approximative": f["volumetrie_approximative"],
	}
	for key, text := range f {
		for _, prefix := range []string{"contact_technique_", "delegue_protection_donnees_", "responsable_traitement_", "destinataire_"} {
			if strings.HasPrefix(key, prefix) {
				out[key] = text
			}
		}
	}
	all, _ := parseList(value(f, "scopes"))
	known, _ := findDefinition(franceConnect)
	out["scopes"] = List(slices.DeleteFunc(all, func(s string) bool {
		return !slices.ContainsFunc(known.Scopes, func(k scope) bool { return k.Value == s })
	})...)
	return out
}

func value(f Fields, key string) string {
	if text := f[key]; text != nil {
		return *text
	}
	return ""
}

// Revoke revokes the whole request: every active habilitation, one event, one webhook.
func (s *Server) Revoke(ctx context.Context, id int64, reason string) ([]Delivery, error) {
	return s.act(ctx, id, func(r *Request) error {
		if err := s.moveWithReason(r, EventRevoke, reason); err != nil {
			return err
		}
		for i := range r.Habilitations {
			revoke(&r.Habilitations[i])
		}
		return s.queue(EventRevoke, r)
	})
}

// RevokeHabilitation revokes one habilitation and then its active children, each
// with an event and a webhook of its own; the request follows when nothing
// active remains. An obsolete one stays so and sends everything all the same
// (datapass.md, 1.8).
func (s *Server) RevokeHabilitation(ctx context.Context, habilitationID int64, reason string) ([]Delivery, error) {
	if strings.TrimSpace(reason) == "" {
		return nil, fmt.Errorf("revoke of habilitation %d without a reason: %w", habilitationID, ErrIllegal)
	}
	s.mu.Lock()
	r, _, err := s.habilitation(habilitationID)
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return s.act(ctx, r.ID, func(r *Request) error {
		return s.revokeOne(r, habilitationID, reason)
	})
}

func (s *Server) revokeOne(r *Request, habilitationID int64, reason string) error {
	h := r.latest(func(h *Habilitation) bool { return h.ID == habilitationID })
	if h.State == GrantRevoked {
		return fmt.Errorf("revoke of habilitation %d, already revoked: %w", h.ID, ErrIllegal)
	}
	revoke(h)
	if !r.hasActive() && r.State == Validated {
		r.State = Revoked
	}
	s.record(r, EventRevoke, reason)
	if err := s.queue(EventRevoke, r); err != nil {
		return err
	}
	for i := range r.Habilitations {
		if child := &r.Habilitations[i]; child.ParentID == habilitationID && child.State == GrantActive {
			if err := s.revokeOne(r, child.ID, reason); err != nil {
				return err
			}
		}
	}
	return nil
}

func revoke(h *Habilitation) {
	if h.State == GrantActive {
		h.State = GrantRevoked
	}
}

// Reopen puts a validated request back in draft for an update of its newest
// reopenable habilitation, which stays active.
func (s *Server) Reopen(ctx context.Context, id int64) ([]Delivery, error) {
	return s.act(ctx, id, func(r *Request) error {
		h := r.latest(func(h *Habilitation) bool { return reopenable(r, h) })
		if h == nil {
			return fmt.Errorf("reopen of request %d, which has no reopenable habilitation: %w", id, ErrIllegal)
		}
		return s.reopen(r, h)
	})
}

// ReopenHabilitation is Reopen for one habilitation: reopening a sandbox one
// while production exists first brings the request back to the sandbox stage.
func (s *Server) ReopenHabilitation(ctx context.Context, habilitationID int64) ([]Delivery, error) {
	s.mu.Lock()
	r, _, err := s.habilitation(habilitationID)
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return s.act(ctx, r.ID, func(r *Request) error {
		h := r.latest(func(h *Habilitation) bool { return h.ID == habilitationID })
		if !reopenable(r, h) {
			return fmt.Errorf("reopen of habilitation %d: %w", habilitationID, ErrIllegal)
		}
		return s.reopen(r, h)
	})
}

func (s *Server) reopen(r *Request, h *Habilitation) error {
	if err := s.move(r, EventReopen, ""); err != nil {
		return err
	}
	if h.Definition != r.Definition {
		r.Definition, r.Form, r.Fields = h.Definition, h.Form, h.Fields.With(nil)
	}
	r.ReopenedAt = s.Now()
	return s.queue(EventReopen, r)
}

// reopenable is the rule of datapass.md, 1.6.
func reopenable(r *Request, h *Habilitation) bool {
	if h.ParentID != 0 || h.State != GrantActive || reopening(r) {
		return false
	}
	d, _ := findDefinition(h.Definition)
	newest := r.latest(func(*Habilitation) bool { return true })
	if d.Stage != nil || r.FranceConnectCertified {
		newest = r.latest(ofDefinition(h.Definition))
	}
	if newest != h {
		return false
	}
	switch {
	case d.next() != nil: // sandbox
		return r.State == Validated
	case d.previous() != nil: // production
		last := r.latest(func(*Habilitation) bool { return true })
		of, _ := findDefinition(last.Definition)
		return of.next() == nil
	}
	return true
}

// StartNextStage takes a validated sandbox request to production: new
// definition and form, data kept. No webhook leaves (datapass.md, 2.2).
func (s *Server) StartNextStage(ctx context.Context, id int64) error {
	_, err := s.act(ctx, id, func(r *Request) error {
		d, _ := findDefinition(r.Definition)
		next := d.next()
		if next == nil {
			return fmt.Errorf("start_next_stage of request %d: %s has no next stage: %w", id, r.Definition, ErrIllegal)
		}
		if err := s.move(r, EventStartNextStage, ""); err != nil {
			return err
		}
		r.Definition, r.Form = next.ID, next.Form
		return nil
	})
	return err
}

// CancelNextStage gives up the production stage: definition, form and data of
// the newest sandbox habilitation come back. No webhook leaves.
func (s *Server) CancelNextStage(ctx context.Context, id int64) error {
	_, err := s.act(ctx, id, func(r *Request) error {
		d, _ := findDefinition(r.Definition)
		previous := d.previous()
		if previous == nil {
			return fmt.Errorf("cancel_next_stage of request %d: %s has no previous stage: %w", id, r.Definition, ErrIllegal)
		}
		h := r.latest(ofDefinition(previous.ID))
		if h == nil {
			return fmt.Errorf("cancel_next_stage of request %d, which has no sandbox habilitation: %w", id, ErrIllegal)
		}
		if err := s.move(r, EventCancelNextStage, ""); err != nil {
			return err
		}
		r.Definition, r.Form, r.Fields = previous.ID, previous.Form, h.Fields.With(nil)
		return nil
	})
	return err
}
