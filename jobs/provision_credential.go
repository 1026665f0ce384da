package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
	"github.com/passerelle-hub/passerelle/internal/token"
)

// ProvisionCredentialArgs names a credential to make, or whose rights changed.
type ProvisionCredentialArgs struct {
	CredentialID uuid.UUID `json:"credential_id"`
}

// Kind is the job's name in the queue.
func (ProvisionCredentialArgs) Kind() string { return "provision_credential" }

// InsertOpts gives its tries; its queue is its manager's.
func (ProvisionCredentialArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{MaxAttempts: maxAttempts}
}

type provisionCredential struct {
	river.WorkerDefaults[ProvisionCredentialArgs]
	*Workers
}

// The steps of a provisioning, in their order. Each finished one is recorded:
// after a crash the work goes on behind the last.
const (
	StepPrepare = habilitation.StepPrepare
	StepSubject = habilitation.StepSubject
	StepGrants  = habilitation.StepGrants
	StepIssue   = habilitation.StepIssue
	StepVerify  = habilitation.StepVerify
)

// Work brings the credential to active, one worker per request at a time.
func (w *provisionCredential) Work(ctx context.Context, job *river.Job[ProvisionCredentialArgs]) error {
	return w.withCredential(ctx, job.Args.CredentialID, func(ctx context.Context, c store.Credential, m Manager) error {
		p := provisioning{Workers: w.Workers, manager: m, id: c.ID}
		return p.run(ctx)
	})
}

// withCredential runs work on a credential under the lease of its request, so
// that two processes never act for the same request at once, and settles a
// partner's error.
func (w *Workers) withCredential(ctx context.Context, id uuid.UUID, work func(context.Context, store.Credential, Manager) error) error {
	c, err := w.Store.Credential(ctx, id)
	if err != nil {
		return err
	}
	m, ok := w.Managers[c.Manager]
	if !ok {
		return fmt.Errorf("credential %s waits for connector %q, which this process does not have", c.Ref, c.Manager)
	}
	release, ok, err := w.Store.Gate().Lock(ctx, fmt.Sprintf("request/%d", c.RequestID), w.LeaseFor)
	if err != nil {
		return err
	}
	if !ok {
		return river.JobSnooze(time.Second)
	}
	defer release()
	if err := work(ctx, c, m); err != nil {
		return w.settle(ctx, c.Manager, err)
	}
	return nil
}

func isStateError(err error) bool {
	var state *registry.StateError
	return errors.As(err, &state)
}

func ignoreStateError(err error) error {
	if isStateError(err) {
		return nil
	}
	return err
}

// provisioning is one run of the sequence. State is read again before each
// step: a revocation in between ends it.
type provisioning struct {
	*Workers
	manager Manager
	id      uuid.UUID
}

func (p *provisioning) run(ctx context.Context) error {
	for {
		c, err := p.Store.Credential(ctx, p.id)
		if err != nil {
			return err
		}
		step, do, err := p.next(ctx, c)
		if err != nil || do == nil {
			return err
		}
		if err := p.Registry.Record(ctx, &registry.StartStep{CredentialID: p.id, Step: step}); err != nil {
			return ignoreStateError(err) // revoked or cancelled meanwhile: whoever did that follows up
		}
		if err := do(ctx, c); err != nil {
			if isStateError(err) {
				return nil
			}
			return p.fail(ctx, step, err)
		}
	}
}

// next gives the first step that is not done, none when the credential is live
// and its manager knows its rights.
func (p *provisioning) next(ctx context.Context, c store.Credential) (string, func(context.Context, store.Credential) error, error) {
	state := habilitation.CredentialState(c.State)
	switch {
	case state == habilitation.CredentialRequested:
		return StepPrepare, p.prepare, nil
	case state.Usable() && c.GrantsPending:
		return StepGrants, p.changeGrants, nil
	case state.Usable() && c.ProlongUntil != nil:
		return habilitation.StepProlong, p.prolong, nil
	case !state.Provisioning():
		return "", nil, nil
	}
	steps, err := p.Store.Steps(ctx, c.ID)
	if err != nil {
		return "", nil, err
	}
	done := map[string]bool{}
	for _, s := range steps {
		done[s.Name] = s.State == "done"
	}
	switch {
	case !done[StepSubject]:
		return StepSubject, p.subject, nil
	case !done[StepGrants]:
		return StepGrants, p.grants, nil
	case !done[StepIssue]:
		return StepIssue, p.issue, nil
	default:
		return StepVerify, p.verify, nil
	}
}

func (p *provisioning) fail(ctx context.Context, step string, err error) error {
	record := &registry.FailStep{CredentialID: p.id, Step: step, Err: err}
	if rerr := p.recordOutcome(ctx, record); rerr != nil && !isStateError(rerr) {
		return rerr
	}
	return err
}

func (p *provisioning) prepare(ctx context.Context, _ store.Credential) error {
	cmd := &registry.PrepareCredential{CredentialID: p.id}
	if p.manager.Capabilities().CallerSecret {
		value, err := token.New(token.ClientKey, p.TokenEnv)
		if err != nil {
			return err
		}
		cmd.Secret, cmd.Hint = connectors.NewSecret(value.Value()), value.Display()
	}
	return p.Registry.Record(ctx, cmd)
}

func (p *provisioning) subject(ctx context.Context, c store.Credential) error {
	s, err := p.subjectOf(ctx, c)
	if err != nil {
		return err
	}
	id, err := p.manager.EnsureSubject(ctx, s)
	if err != nil {
		return err
	}
	return p.Registry.Record(ctx, &registry.SubjectEnsured{CredentialID: p.id, SubjectID: id})
}

func (p *provisioning) grants(ctx context.Context, c store.Credential) error {
	if err := p.manager.EnsureGrants(ctx, c.SubjectID, nil, grantsOf(c)); err != nil {
		return err
	}
	return p.Registry.Record(ctx, &registry.GrantsEnsured{CredentialID: p.id, Scopes: c.Scopes})
}

func (p *provisioning) changeGrants(ctx context.Context, c store.Credential) error {
	handle, err := c.ManagerHandle()
	if err != nil {
		return err
	}
	if err := p.manager.EnsureGrants(ctx, c.SubjectID, []connectors.Handle{handle}, grantsOf(c)); err != nil {
		return err
	}
	return p.Registry.Record(ctx, &registry.GrantsEnsured{CredentialID: p.id, Scopes: c.Scopes})
}

// prolong moves the end at the manager, and reads it back before anybody is told.
func (p *provisioning) prolong(ctx context.Context, c store.Credential) error {
	handle, err := c.ManagerHandle()
	if err != nil {
		return err
	}
	until := *c.ProlongUntil
	if err := p.manager.Expire(ctx, handle, until); err != nil {
		return err
	}
	found, err := p.manager.Lookup(ctx, handle)
	if err != nil {
		return err
	}
	// Managers count in seconds.
	if found.Live != connectors.Alive || !found.ExpiresAt.IsZero() && found.ExpiresAt.Before(until.Truncate(time.Second)) {
		return &connectors.Error{
			Class: connectors.Pending, Partner: c.Manager, Op: habilitation.StepProlong, After: readAgainAfter(p.Now().Sub(c.UpdatedAt)),
			Detail: "the manager does not show the later end yet: the key is " + string(found.Live),
		}
	}
	return p.Registry.Record(ctx, &registry.CredentialProlonged{CredentialID: p.id, Until: until})
}

func (p *provisioning) issue(ctx context.Context, c store.Credential) error {
	s, err := p.subjectOf(ctx, c)
	if err != nil {
		return err
	}
	secret, err := p.Store.OpenSecret(c)
	if err != nil {
		return err
	}
	r := connectors.IssueRequest{
		Subject: s, SubjectID: c.SubjectID, Ref: c.Ref, Public: c.ID.String(), Secret: secret, Grants: grantsOf(c),
	}
	if c.ExpiresAt != nil {
		r.ExpiresAt = *c.ExpiresAt
	}
	if c.Replaces != nil {
		return p.rotate(ctx, c, r)
	}
	issued, err := p.manager.Issue(ctx, r)
	if err != nil {
		return err
	}
	return p.Registry.Record(ctx, &registry.CredentialIssued{
		CredentialID: p.id, Handle: issued.Handle, Secret: issued.Secret,
	})
}

func (p *provisioning) verify(ctx context.Context, c store.Credential) error {
	handle, err := c.ManagerHandle()
	if err != nil {
		return err
	}
	found, err := p.manager.Lookup(ctx, handle)
	if err != nil {
		return err
	}
	if found.Live != connectors.Alive {
		// One key's matter: the manager answers, its queue goes on.
		return &connectors.Error{
			Class: connectors.Pending, Partner: c.Manager, Op: "verify", After: readAgainAfter(p.Now().Sub(c.UpdatedAt)),
			Detail: "the manager does not show the key as live: " + string(found.Live),
		}
	}
	return p.Registry.Record(ctx, &registry.CredentialVerified{CredentialID: p.id})
}

// subjectOf names the holder to a manager: organisation and title, no person.
func (w *Workers) subjectOf(ctx context.Context, c store.Credential) (connectors.Subject, error) {
	r, err := w.Store.Request(ctx, c.RequestID)
	if err != nil {
		return connectors.Subject{}, err
	}
	labels := map[string]string{"hub_request": fmt.Sprint(r.ID), "definition": c.Definition, "siret": r.Organization.SIRET}
	description := fmt.Sprintf("Passerelle %s, demande %d", w.Owner, r.ID)
	if r.Origin == habilitation.Mirrored {
		description = fmt.Sprintf("DataPass D%d", r.ExternalID)
		labels["datapass_id"] = fmt.Sprint(r.ExternalID)
	}
	name := r.Organization.Name
	if title := r.Data["intitule"]; title != "" {
		name += " - " + title
	}
	return connectors.Subject{
		Ref: habilitation.SubjectRef(r.ID), Name: name, Description: description, Owner: w.Owner, Labels: labels,
	}, nil
}

func grantsOf(c store.Credential) connectors.Grants {
	return connectors.Grants{Definition: c.Definition, Scopes: c.Scopes}
}
