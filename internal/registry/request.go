package registry

import (
	"context"
	"errors"
	"slices"

	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// Target names a request, who acts on it and on which version of it. After
// Record it holds what the command made of the request.
//
// The error is store.ErrNotFound where the caller may not know of the request,
// a *habilitation.Refusal where the rules say no, an *AnswersError where the
// answers cannot be read.
type Target struct {
	ID      int64
	Caller  habilitation.Viewer
	Version int64 // the one that the caller saw (If-Match); 0: not checked

	Request habilitation.Request // result
	Changed bool                 // result; false: an update without any difference
}

// UpdateRequest changes answers. Answers is a JSON object of the keys to
// change; an empty or null answer erases its key.
type UpdateRequest struct {
	Target
	Answers []byte
	ByAPI   bool // by a developer's application
}

// Submit sends a request to its instructors. Consents given earlier stay.
type Submit struct {
	Target
	TermsAccepted bool
	DPOInformed   bool
}

// Approve grants an habilitation; Message is optional.
type Approve struct {
	Target
	Message string
}

// Refuse refuses a request, or its update when it is being reopened.
type Refuse struct {
	Target
	Reason string
}

// RequestChanges sends a request back to its applicant.
type RequestChanges struct {
	Target
	Reason string
}

// RevokeRequest revokes a whole request, or one of its habilitations.
type RevokeRequest struct {
	Target
	Habilitation int64 // 0: all
	Reason       string
}

// Archive removes a request from sight, for ever.
type Archive struct{ Target }

// Reopen opens a validated request to an update; Habilitation 0 is the latest
// of its definition.
type Reopen struct {
	Target
	Habilitation int64
}

// CancelReopening drops an update.
type CancelReopening struct {
	Target
	Reason string
}

// StartNextStage goes from sandbox to production.
type StartNextStage struct{ Target }

// CancelNextStage goes back from production to sandbox.
type CancelNextStage struct{ Target }

// TransferToUser gives a request to another member of its organisation.
type TransferToUser struct {
	Target
	Email string
}

// TransferToOrganization moves a request to another organisation that the hub
// knows.
type TransferToOrganization struct {
	Target
	SIRET string
}

func (cmd *UpdateRequest) apply(ctx context.Context, u *unit) error {
	return u.decide(ctx, &cmd.Target, func(d *deliberation) (habilitation.Command, error) {
		update := habilitation.Update{By: d.by, ByAPI: cmd.ByAPI, Data: d.request.Data}
		if d.mirrored() {
			return update, nil
		}
		var answers habilitation.Data
		answers, d.fault = readAnswers(d.definition, cmd.Answers)
		update.Data = d.definition.Merge(d.form, d.request.Data, answers)
		if d.request.State != habilitation.Submitted {
			return update, nil
		}
		// Its instructors decide on what is there: a change may leave nothing
		// wrong that was right when it was submitted (datapass.md, 5.1).
		facts, err := u.submissionFacts(ctx, d.definition, d.request.Organization, d.request.ID)
		if err != nil {
			return nil, err
		}
		faults := func(data habilitation.Data) []habilitation.FieldError {
			return d.definition.CheckSubmission(d.form, habilitation.Submission{Data: data, TermsAccepted: true, DPOInformed: true}, facts)
		}
		before := faults(d.request.Data)
		update.Faults = slices.DeleteFunc(faults(update.Data), func(f habilitation.FieldError) bool { return slices.Contains(before, f) })
		return update, nil
	})
}

func (cmd *Submit) apply(ctx context.Context, u *unit) error {
	return u.decide(ctx, &cmd.Target, func(d *deliberation) (habilitation.Command, error) {
		submit := habilitation.Submit{By: d.by, TermsAccepted: cmd.TermsAccepted, DPOInformed: cmd.DPOInformed}
		if d.mirrored() {
			return submit, nil
		}
		var err error
		if submit.Since, err = u.tx.KnownAnswers(ctx, d.request.ID); err != nil {
			return nil, err
		}
		facts, err := u.submissionFacts(ctx, d.definition, d.request.Organization, d.request.ID)
		if err != nil {
			return nil, err
		}
		submit.Faults = d.definition.CheckSubmission(d.form, habilitation.Submission{
			Data: d.request.Data, TermsAccepted: cmd.TermsAccepted || d.request.TermsAccepted, DPOInformed: cmd.DPOInformed || d.request.DPOInformed,
		}, facts)
		return submit, nil
	}, store.AnswersAhead)
}

func (cmd *Approve) apply(ctx context.Context, u *unit) error {
	return u.decide(ctx, &cmd.Target, func(d *deliberation) (habilitation.Command, error) {
		return habilitation.Approve{By: d.by, Message: cmd.Message}, nil
	}, store.GrantAhead)
}

func (cmd *Refuse) apply(ctx context.Context, u *unit) error {
	return u.decide(ctx, &cmd.Target, func(d *deliberation) (habilitation.Command, error) {
		return habilitation.Refuse{By: d.by, Reason: cmd.Reason}, nil
	})
}

func (cmd *RequestChanges) apply(ctx context.Context, u *unit) error {
	return u.decide(ctx, &cmd.Target, func(d *deliberation) (habilitation.Command, error) {
		return habilitation.RequestChanges{By: d.by, Reason: cmd.Reason}, nil
	})
}

func (cmd *RevokeRequest) apply(ctx context.Context, u *unit) error {
	return u.decide(ctx, &cmd.Target, func(d *deliberation) (habilitation.Command, error) {
		return habilitation.Revoke{By: d.by, Habilitation: cmd.Habilitation, Reason: cmd.Reason}, nil
	})
}

func (cmd *Archive) apply(ctx context.Context, u *unit) error {
	return u.decide(ctx, &cmd.Target, func(d *deliberation) (habilitation.Command, error) {
		return habilitation.Archive{By: d.by}, nil
	})
}

func (cmd *Reopen) apply(ctx context.Context, u *unit) error {
	return u.decide(ctx, &cmd.Target, func(d *deliberation) (habilitation.Command, error) {
		return habilitation.Reopen{By: d.by, Habilitation: cmd.Habilitation}, nil
	})
}

func (cmd *CancelReopening) apply(ctx context.Context, u *unit) error {
	return u.decide(ctx, &cmd.Target, func(d *deliberation) (habilitation.Command, error) {
		return habilitation.CancelReopening{By: d.by, Reason: cmd.Reason}, nil
	})
}

func (cmd *StartNextStage) apply(ctx context.Context, u *unit) error {
	return u.decide(ctx, &cmd.Target, func(d *deliberation) (habilitation.Command, error) {
		return habilitation.StartNextStage{By: d.by}, nil
	})
}

func (cmd *CancelNextStage) apply(ctx context.Context, u *unit) error {
	return u.decide(ctx, &cmd.Target, func(d *deliberation) (habilitation.Command, error) {
		return habilitation.CancelNextStage{By: d.by}, nil
	})
}

func (cmd *TransferToUser) apply(ctx context.Context, u *unit) error {
	return u.decide(ctx, &cmd.Target, func(d *deliberation) (habilitation.Command, error) {
		transfer := habilitation.TransferToUser{By: d.by}
		person, err := u.tx.PersonByEmail(ctx, cmd.Email)
		if errors.Is(err, store.ErrNotFound) {
			return transfer, nil // the rules say so
		}
		if err != nil {
			return nil, err
		}
		transfer.To = &person.Applicant
		transfer.Member, err = u.tx.IsMember(ctx, person.ID, d.request.Organization.ID)
		return transfer, err
	})
}

func (cmd *TransferToOrganization) apply(ctx context.Context, u *unit) error {
	return u.decide(ctx, &cmd.Target, func(d *deliberation) (habilitation.Command, error) {
		transfer := habilitation.TransferToOrganization{By: d.by}
		organization, err := u.tx.OrganizationBySIRET(ctx, cmd.SIRET)
		if errors.Is(err, store.ErrNotFound) {
			return transfer, nil // the rules say so
		}
		transfer.To = &organization
		return transfer, err
	})
}
