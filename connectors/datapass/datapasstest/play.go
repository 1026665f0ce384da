package datapasstest

import (
	"context"
	"fmt"
)

// Play is what a person gives with an event; each event reads what it needs.
type Play struct {
	Reason       string        // request_changes, refuse, revoke, cancel_reopening
	Message      string        // approve
	Fields       Fields        // update
	Applicant    *Applicant    // transfer to another person
	Organization *Organization // transfer to another organisation
}

// Play plays one event of a request by its name, as the method of that name does.
func (s *Server) Play(ctx context.Context, id int64, event EventName, p Play) error {
	events := map[EventName]func() error{
		EventUpdate:          func() error { return second(s.Update(ctx, id, p.Fields)) },
		EventSubmit:          func() error { return second(s.Submit(ctx, id)) },
		EventRequestChanges:  func() error { return second(s.RequestChanges(ctx, id, p.Reason)) },
		EventApprove:         func() error { return second(s.Approve(ctx, id, Approval{Message: p.Message})) },
		EventRefuse:          func() error { return second(s.Refuse(ctx, id, p.Reason)) },
		EventRevoke:          func() error { return second(s.Revoke(ctx, id, p.Reason)) },
		EventArchive:         func() error { return second(s.Archive(ctx, id)) },
		EventReopen:          func() error { return second(s.Reopen(ctx, id)) },
		EventCancelReopening: func() error { return second(s.CancelReopening(ctx, id, p.Reason)) },
		EventTransfer:        func() error { return s.transfer(ctx, id, p) },
		EventStartNextStage:  func() error { return s.StartNextStage(ctx, id) },
		EventCancelNextStage: func() error { return s.CancelNextStage(ctx, id) },
	}
	play, ok := events[event]
	if !ok {
		return fmt.Errorf("event %q: %w", event, ErrNotFound)
	}
	return play()
}

func (s *Server) transfer(ctx context.Context, id int64, p Play) error {
	switch {
	case p.Organization != nil:
		return second(s.TransferToOrganization(ctx, id, *p.Organization))
	case p.Applicant != nil && p.Applicant.Email != "":
		return second(s.Transfer(ctx, id, *p.Applicant))
	default:
		return fmt.Errorf("transfer of request %d: to whom: %w", id, ErrIllegal)
	}
}

func second[T any](_ T, err error) error { return err }
