package registry

import (
	"context"
	"slices"

	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// ApprovalPlan is what an approval of a request, as it is now, would open.
type ApprovalPlan struct {
	Request    int64  `json:"request"`
	DataPass   int64  `json:"datapass_id,omitempty"`
	Definition string `json:"definition"`
	// Configured is false while no settings say who serves the definition: its keys
	// would wait.
	Configured bool             `json:"configured"`
	Scopes     []string         `json:"scopes"`
	Managers   []ManagerPlan    `json:"managers"`
	KeyTo      string           `json:"key_to"`    // role of who gets the one-time link
	Endpoints  []EndpointToPlan `json:"endpoints"` // that are told
}

// ManagerPlan is what it would do at one manager. Credential is one that lives
// there already: its rights change and it stays.
type ManagerPlan struct {
	Manager    string `json:"manager"`
	Subject    string `json:"subject"`
	Credential string `json:"credential,omitempty"`
	State      string `json:"state,omitempty"`
}

// EndpointToPlan is an endpoint that would be told.
type EndpointToPlan struct {
	ID          int64  `json:"id"`
	Description string `json:"description"`
	Editor      string `json:"editor,omitempty"`
}

// PlanApproval reads what an approval would do, and does nothing.
func (r *Registry) PlanApproval(ctx context.Context, requestID int64) (ApprovalPlan, error) {
	req, err := r.store.Request(ctx, requestID)
	if err != nil {
		return ApprovalPlan{}, err
	}
	policy, known := r.policies.Policy(req.Definition)
	plan := ApprovalPlan{Request: req.ID, Definition: req.Definition, Configured: known, Scopes: req.Data.Scopes(), KeyTo: roleApplicant}
	if req.Origin == habilitation.Mirrored {
		plan.DataPass = req.ExternalID
	}
	if req.Data["contact_technique_email"] != "" {
		plan.KeyTo = roleTechnical
	}
	credentials, err := r.store.Credentials(ctx, requestID)
	if err != nil {
		return ApprovalPlan{}, err
	}
	for _, manager := range policy.Managers {
		m := ManagerPlan{Manager: manager, Subject: habilitation.SubjectRef(req.ID)}
		at := slices.IndexFunc(credentials, func(c store.Credential) bool {
			state := habilitation.CredentialState(c.State)
			return c.Manager == manager && c.Definition == req.Definition && (state.Usable() || state.Provisioning()) && state != habilitation.CredentialRotating
		})
		if at >= 0 {
			m.Credential, m.State = credentials[at].Ref, credentials[at].State
		}
		plan.Managers = append(plan.Managers, m)
	}
	id, siret := editorOf(req)
	endpoints, err := r.store.Endpoints(ctx)
	for _, e := range endpoints {
		if e.Enabled && (e.Definition == req.Definition || e.Editor != "" && (e.Editor == id || e.Editor == siret)) {
			plan.Endpoints = append(plan.Endpoints, EndpointToPlan{e.ID, e.Description, e.Editor})
		}
	}
	return plan, err
}
