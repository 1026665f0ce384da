package datapasstest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// ErrIllegal is the cause of an error about an event that the life cycle refuses.
var ErrIllegal = errors.New("datapasstest: not allowed by the life cycle")

type only int

const (
	always only = iota
	whenReopening
	whenNotReopening
)

// transitions is the table of datapass.md, 1.1. What else an event needs is in
// its method.
var transitions = []struct {
	event EventName
	from  []State
	only  only
	to    State
}{
	{EventUpdate, []State{Draft, ChangesRequested}, always, ""},
	{EventSubmit, []State{Draft, ChangesRequested}, whenNotReopening, Submitted},
	{EventSubmit, []State{Draft, ChangesRequested, Refused}, whenReopening, Submitted},
	{EventRequestChanges, []State{Submitted}, always, ChangesRequested},
	{EventApprove, []State{Submitted, ChangesRequested}, always, Validated},
	{EventRefuse, []State{Submitted, ChangesRequested}, whenNotReopening, Refused},
	{EventRefuse, []State{Submitted, ChangesRequested}, whenReopening, Validated},
	{EventArchive, []State{Draft, Refused, Revoked}, always, Archived},
	{EventReopen, []State{Validated}, always, Draft},
	{EventCancelReopening, []State{Draft, ChangesRequested, Submitted}, whenReopening, Validated},
	{EventStartNextStage, []State{Validated}, always, Draft},
	{EventCancelNextStage, []State{Draft, ChangesRequested, Submitted}, always, Validated},
	{EventRevoke, []State{Validated}, always, Revoked},
}

// reopening is computed from the dates and the habilitations, and so answers
// true for an archived request that was once reopened (datapass.md, 1.1).
func reopening(r *Request) bool {
	if r.State == Validated || r.State == Revoked {
		return false
	}
	if d, ok := findDefinition(r.Definition); ok && d.Stage != nil {
		return r.latest(ofDefinition(r.Definition)) != nil
	}
	return !r.LastValidatedAt.IsZero() && !r.ReopenedAt.IsZero()
}

// move checks the table and sets the state and the history line.
func (s *Server) move(r *Request, event EventName, reason string) error {
	again := reopening(r)
	for _, row := range transitions {
		if row.event != event || !slices.Contains(row.from, r.State) ||
			(row.only == whenReopening && !again) || (row.only == whenNotReopening && again) {
			continue
		}
		if row.to != "" {
			r.State = row.to
		}
		s.record(r, event, reason)
		return nil
	}
	return fmt.Errorf("%s of request %d in state %s: %w", event, r.ID, r.State, ErrIllegal)
}

func (s *Server) record(r *Request, event EventName, reason string) {
	s.ids.event++
	r.Events = append(r.Events, Event{ID: s.ids.event, Name: event, Reason: reason, At: s.Now()})
	r.Reopening = reopening(r)
}

// act runs one change under the lock, then sends the webhooks it queued unless
// sending is held.
func (s *Server) act(ctx context.Context, id int64, change func(r *Request) error) ([]Delivery, error) {
	s.mu.Lock()
	r, err := s.request(id)
	if err != nil {
		s.mu.Unlock()
		return nil, err
	}
	queued := len(s.deliveries)
	if err := change(r); err != nil {
		s.mu.Unlock()
		return nil, err
	}
	r.Reopening = reopening(r)
	fresh := slices.Clone(s.deliveries[queued:])
	held := s.held
	s.mu.Unlock()
	if !held {
		for _, d := range fresh {
			s.send(ctx, d)
		}
	}
	return s.snapshots(fresh), nil
}

// Create starts a request in draft by the web form: event and webhook create.
func (s *Server) Create(ctx context.Context, f Filing) (Request, error) {
	return s.create(ctx, f, EventCreate)
}

// CreateByAPI starts a request in draft as POST /demandes does: no webhook.
func (s *Server) CreateByAPI(ctx context.Context, f Filing) (Request, error) {
	return s.create(ctx, f, EventCreateByAPI)
}

func (s *Server) create(ctx context.Context, f Filing, event EventName) (Request, error) {
	if _, ok := findDefinition(f.Definition); !ok {
		return Request{}, fmt.Errorf("definition %q: %w", f.Definition, ErrNotFound)
	}
	if err := f.Fields.valid(); err != nil {
		return Request{}, err
	}
	if f.PublicID == "" {
		f.PublicID = uuid.NewString()
	}
	f.Fields = f.Fields.With(nil)
	f.Applicant.Email = strings.ToLower(f.Applicant.Email)
	var err error
	if len(f.Organization.INSEE) > 0 {
		if f.Organization.INSEE, err = toJSONB(f.Organization.INSEE); err != nil {
			return Request{}, fmt.Errorf("INSEE's answer: %w", err)
		}
	}
	s.mu.Lock()
	if f.ID == 0 {
		s.ids.request++
		f.ID = s.ids.request
	}
	if _, taken := s.requests[f.ID]; taken {
		s.mu.Unlock()
		return Request{}, fmt.Errorf("datapasstest: request %d exists", f.ID)
	}
	s.identify(&f.Applicant, &f.Organization)
	r := &Request{Filing: f, State: Draft, CreatedAt: s.Now()}
	s.requests[f.ID] = r
	s.order = append(s.order, f.ID)
	s.mu.Unlock()
	if _, err := s.act(ctx, f.ID, func(r *Request) error {
		s.record(r, event, "")
		if event == EventCreate {
			return s.queue(event, r)
		}
		return nil
	}); err != nil {
		return Request{}, err
	}
	return s.Request(f.ID)
}

// Update is one save of the form: the fields given replace the stored ones.
func (s *Server) Update(ctx context.Context, id int64, fields Fields) ([]Delivery, error) {
	if err := fields.valid(); err != nil {
		return nil, err
	}
	return s.act(ctx, id, func(r *Request) error {
		if err := s.move(r, EventUpdate, ""); err != nil {
			return err
		}
		r.Fields = r.Fields.With(fields)
		return s.queue(EventUpdate, r)
	})
}

// Submit hands the request to the instructors.
func (s *Server) Submit(ctx context.Context, id int64) ([]Delivery, error) {
	return s.act(ctx, id, func(r *Request) error {
		if err := s.move(r, EventSubmit, ""); err != nil {
			return err
		}
		r.LastSubmittedAt = s.Now()
		return s.queue(EventSubmit, r)
	})
}

// RequestChanges gives the request back to the applicant.
func (s *Server) RequestChanges(ctx context.Context, id int64, reason string) ([]Delivery, error) {
	return s.act(ctx, id, func(r *Request) error {
		if err := s.moveWithReason(r, EventRequestChanges, reason); err != nil {
			return err
		}
		return s.queue(EventRequestChanges, r)
	})
}

// Refuse refuses a request; the refusal of a reopening brings it back to
// validated, and its webhook, built before the data are restored, carries the
// rejected ones (datapass.md, 2.10).
func (s *Server) Refuse(ctx context.Context, id int64, reason string) ([]Delivery, error) {
	return s.act(ctx, id, func(r *Request) error {
		again := reopening(r)
		if err := s.moveWithReason(r, EventRefuse, reason); err != nil {
			return err
		}
		if !again {
			return s.queue(EventRefuse, r)
		}
		r.LastValidatedAt = s.Now()
		return s.queueThenRestore(EventRefuse, r)
	})
}

// Archive deletes a request that no active habilitation needs.
func (s *Server) Archive(ctx context.Context, id int64) ([]Delivery, error) {
	return s.act(ctx, id, func(r *Request) error {
		if r.hasActive() {
			return fmt.Errorf("archive of request %d, which has an active habilitation: %w", id, ErrIllegal)
		}
		if err := s.move(r, EventArchive, ""); err != nil {
			return err
		}
		return s.queue(EventArchive, r)
	})
}

// CancelReopening gives up an update; reason may be empty when the applicant does.
func (s *Server) CancelReopening(ctx context.Context, id int64, reason string) ([]Delivery, error) {
	return s.act(ctx, id, func(r *Request) error {
		if err := s.move(r, EventCancelReopening, reason); err != nil {
			return err
		}
		r.LastValidatedAt = s.Now()
		return s.queueThenRestore(EventCancelReopening, r)
	})
}

// Transfer changes the applicant.
func (s *Server) Transfer(ctx context.Context, id int64, to Applicant) ([]Delivery, error) {
	return s.act(ctx, id, func(r *Request) error {
		to.Email = strings.ToLower(to.Email)
		switch {
		case to.Email == r.Applicant.Email:
			return fmt.Errorf("transfer of request %d to its applicant (different_user): %w", id, ErrIllegal)
		case to.Organization != "" && to.Organization != r.Organization.SIRET:
			return fmt.Errorf("transfer of request %d outside its organisation (different_organization): %w", id, ErrIllegal)
		case r.State == Draft && !reopening(r) && len(r.Habilitations) == 0:
			return fmt.Errorf("transfer of request %d in draft: %w", id, ErrIllegal)
		}
		s.identify(&to, nil)
		r.Applicant = to
		s.record(r, EventTransfer, "")
		return s.queue(EventTransfer, r)
	})
}

// TransferToOrganization changes the organisation; past habilitations follow,
// since they read it through the request (datapass.md, 1.5).
func (s *Server) TransferToOrganization(ctx context.Context, id int64, to Organization) ([]Delivery, error) {
	return s.act(ctx, id, func(r *Request) error {
		s.identify(nil, &to)
		var err error
		if len(to.INSEE) > 0 {
			if to.INSEE, err = toJSONB(to.INSEE); err != nil {
				return fmt.Errorf("INSEE's answer: %w", err)
			}
		}
		r.Organization = to
		s.record(r, EventTransfer, "")
		return s.queue(EventTransfer, r)
	})
}

// AddHistory writes an event that changes nothing and sends nothing, such as
// bulk_update or instructor_message.
func (s *Server) AddHistory(ctx context.Context, id int64, event EventName) error {
	if !slices.Contains(otherEvents, event) {
		return fmt.Errorf("event %q has a method of its own, or does not exist: %w", event, ErrIllegal)
	}
	_, err := s.act(ctx, id, func(r *Request) error {
		s.record(r, event, "")
		return nil
	})
	return err
}

// SetINSEE is the answer of API Sirene, which DataPass fetches after the creation.
func (s *Server) SetINSEE(ctx context.Context, id int64, name string, payload []byte) error {
	text, err := toJSONB(payload)
	if err != nil {
		return fmt.Errorf("INSEE's answer: %w", err)
	}
	_, err = s.act(ctx, id, func(r *Request) error {
		r.Organization.Name, r.Organization.INSEE = name, text
		return nil
	})
	return err
}

func (s *Server) moveWithReason(r *Request, event EventName, reason string) error {
	if strings.TrimSpace(reason) == "" {
		return fmt.Errorf("%s of request %d without a reason: %w", event, r.ID, ErrIllegal)
	}
	return s.move(r, event, reason)
}

// queueThenRestore builds the body first, as DataPass does.
func (s *Server) queueThenRestore(event EventName, r *Request) error {
	if err := s.queue(event, r); err != nil {
		return err
	}
	if h := r.latest(ofDefinition(r.Definition)); h != nil {
		r.Fields = h.Fields.With(nil)
	}
	return nil
}

func orNow(t, now time.Time) time.Time {
	if t.IsZero() {
		return now
	}
	return t
}
