package registry

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// Letters about the life of a key, by the names of their templates.
const (
	LetterKeyExpiring  = "cle_expire_bientot"
	LetterKeyExpired   = "cle_expiree"
	LetterKeyProlonged = "cle_prolongee"
	LetterKeyArchived  = "cle_archivee"
)

// Refusals about keys.
const (
	RefusedKeyState    habilitation.RefusalCode = "key_state"          // it is not in a state that allows it
	RefusedTooEarly    habilitation.RefusalCode = "prolong_too_early"  // its end is not near
	RefusedNoCutover   habilitation.RefusalCode = "cutover"            // the interruption was not accepted
	RefusedIsRotation  habilitation.RefusalCode = "prolong_is_rotated" // its end cannot be moved: another key is needed, which was not accepted
	RefusedAllowedIPs  habilitation.RefusalCode = "allowed_ips"
	RefusedRequestOver habilitation.RefusalCode = "request_over" // archived or revoked
)

// permit refuses what a caller may not do to a key, and hides it from those who
// may not know of it. nil is the hub or an operator.
func (u *unit) permit(by *habilitation.Viewer, action habilitation.KeyAction, req habilitation.Request, c store.Credential) error {
	if by == nil {
		return nil
	}
	if by.AccessTo(req, u.provider(req.Definition)) == habilitation.AccessNone {
		return fmt.Errorf("credential %s: %w", c.ID, store.ErrNotFound)
	}
	if !by.MayKey(action, req, u.provider(c.Definition), c.Definition) {
		return &habilitation.Refusal{Code: habilitation.RefusedNotAllowed, State: req.State, Message: "Vous ne pouvez pas faire cette action sur cette clé."}
	}
	return nil
}

func (r *Registry) provider(definition string) string {
	if d, ok := r.catalogue.Definition(definition); ok {
		return d.Provider
	}
	return ""
}

// RevokeCredential ends one credential for ever. One that is over already stays
// as it is: the command does nothing.
type RevokeCredential struct {
	CredentialID uuid.UUID
	By           *habilitation.Viewer // nil: the hub, an operator or a machine of Definitions
	Definitions  []string             // that the machine may act on, "*" for all; nil with By
	Reason       string
}

func (cmd *RevokeCredential) apply(ctx context.Context, u *unit) error {
	c, req, err := u.lockCredential(ctx, cmd.CredentialID)
	if err != nil {
		return err
	}
	if cmd.By == nil && cmd.Definitions != nil && !slices.Contains(cmd.Definitions, "*") && !slices.Contains(cmd.Definitions, c.Definition) {
		return fmt.Errorf("credential %s: %w", c.ID, store.ErrNotFound)
	}
	if err := u.permit(cmd.By, habilitation.KeyRevoke, req, c); err != nil {
		return err
	}
	return u.revoke(ctx, req, c, cmd.Reason)
}

// SetAllowedIPs restricts a key to addresses and networks, none for any. It is
// what introspection answers; a gateway keeps to it.
type SetAllowedIPs struct {
	CredentialID uuid.UUID
	By           *habilitation.Viewer
	Addresses    []string // IP or CIDR

	Allowed []string // result: as they are kept
}

// maxAllowedIPs bounds the list: it travels with each introspection.
const maxAllowedIPs = 100

func (cmd *SetAllowedIPs) apply(ctx context.Context, u *unit) error {
	c, req, err := u.lockCredential(ctx, cmd.CredentialID)
	if err != nil {
		return err
	}
	if err := u.permit(cmd.By, habilitation.KeyRestrict, req, c); err != nil {
		return err
	}
	if cmd.Allowed, err = networks(cmd.Addresses); err != nil {
		return err
	}
	if state := habilitation.CredentialState(c.State); state.Final() || state.Revoking() {
		return &StateError{"credential " + c.Ref, c.State}
	}
	if slices.Equal(c.AllowedIps, cmd.Allowed) {
		return nil
	}
	c.AllowedIps = cmd.Allowed
	if err := u.tx.SaveCredential(ctx, c, u.at); err != nil {
		return err
	}
	return u.write(ctx, req.ID, "token.restricted", "credential", c.ID.String(), "", map[string]any{"allowed_ips": c.AllowedIps})
}

// networks gives addresses and networks in one form each, without repeats.
func networks(list []string) ([]string, error) {
	refuse := func(n int, what string) error {
		return &habilitation.Refusal{
			Code: RefusedAllowedIPs, Message: "Les adresses admises contiennent une erreur.", Pointer: fmt.Sprintf("/allowed_ips/%d", n),
			Faults: []habilitation.FieldError{{Key: fmt.Sprint(n), Message: what}},
		}
	}
	if len(list) > maxAllowedIPs {
		return nil, refuse(maxAllowedIPs, fmt.Sprintf("%d adresses au plus", maxAllowedIPs))
	}
	kept := []string{}
	for n, text := range list {
		prefix, err := netip.ParsePrefix(text)
		if addr, aerr := netip.ParseAddr(text); aerr == nil && addr.Zone() == "" {
			prefix, err = netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()), nil
		}
		if err != nil {
			return nil, refuse(n, "une adresse IP ou un réseau (192.0.2.0/24) est attendu")
		}
		one := prefix.Masked().String()
		if prefix.IsSingleIP() {
			one = prefix.Addr().String()
		}
		if !slices.Contains(kept, one) {
			kept = append(kept, one)
		}
	}
	slices.Sort(kept)
	return kept, nil
}

// ProlongWay says how a key gets a later end.
type ProlongWay string

const (
	ProlongAtHub     ProlongWay = "hub"      // the hub ends it: nothing to ask its manager
	ProlongAtManager ProlongWay = "manager"  // its manager moves the end, by a job
	ProlongRotates   ProlongWay = "rotation" // the end is written into the key: a new one takes its place
)

// ProlongPlan says, before a prolongation, what it would do.
type ProlongPlan struct {
	Way       ProlongWay   `json:"way"`
	ExpiresAt time.Time    `json:"expires_at"`
	From      time.Time    `json:"from"` // the first moment at which it can be asked for
	Rotation  RotationPlan `json:"rotation"`
}

// prolongGrace is the overlap of a prolongation that is a rotation: the old key
// may end before.
const prolongGrace = 30 * 24 * time.Hour

// defaultProlongWindow is that of a definition without settings (tokens.md, 6).
const defaultProlongWindow = 90 * 24 * time.Hour

func (r *Registry) planProlong(c store.Credential, at time.Time) (ProlongPlan, error) {
	can, err := r.capabilities(c)
	if err != nil {
		return ProlongPlan{}, err
	}
	plan := ProlongPlan{Way: ProlongAtHub, ExpiresAt: at.AddDate(0, 18, 0)}
	window := defaultProlongWindow
	if policy, known := r.policies.Policy(c.Definition); known {
		if policy.Lifetime != nil {
			plan.ExpiresAt = policy.Lifetime(at)
		}
		if policy.ProlongWindow > 0 {
			window = policy.ProlongWindow
		}
	}
	if c.ExpiresAt != nil {
		plan.From = c.ExpiresAt.Add(-window)
	}
	switch {
	case can.FixedExpiry:
		plan.Way, plan.Rotation = ProlongRotates, PlanRotation(can, prolongGrace)
	case can.NativeExpiry:
		plan.Way = ProlongAtManager
	}
	return plan, nil
}

// PlanProlong says what a prolongation of a credential would do.
func (r *Registry) PlanProlong(ctx context.Context, id uuid.UUID) (ProlongPlan, error) {
	c, err := r.store.Credential(ctx, id)
	if err != nil {
		return ProlongPlan{}, err
	}
	return r.planProlong(c, r.now().UTC())
}

// ProlongCredential gives a key another life of its definition's length. The
// notices of its end start anew.
type ProlongCredential struct {
	CredentialID uuid.UUID
	By           *habilitation.Viewer
	// AcceptRotation and AcceptCutover: what the plan said was told and accepted.
	AcceptRotation, AcceptCutover bool

	Plan  ProlongPlan // result
	NewID uuid.UUID   // result: of the new credential, where it is a rotation
}

func (cmd *ProlongCredential) apply(ctx context.Context, u *unit) error {
	c, req, err := u.lockCredential(ctx, cmd.CredentialID)
	if err != nil {
		return err
	}
	if err := u.permit(cmd.By, habilitation.KeyProlong, req, c); err != nil {
		return err
	}
	if req.State == habilitation.Archived || req.State == habilitation.Revoked {
		return &habilitation.Refusal{Code: RefusedRequestOver, State: req.State, Message: "La demande n’est plus en vigueur : la clé ne peut pas être prolongée."}
	}
	if _, err := habilitation.NextCredential(habilitation.CredentialState(c.State), habilitation.CredentialProlong); err != nil || !passes(c, u.at) || c.ExpiresAt == nil {
		return &StateError{"credential " + c.Ref, c.State}
	}
	if cmd.Plan, err = u.planProlong(c, u.at); err != nil {
		return err
	}
	if c.ProlongUntil != nil { // asked for already: the job is on its way
		cmd.Plan.ExpiresAt = *c.ProlongUntil
		return nil
	}
	if u.at.Before(cmd.Plan.From) {
		return &habilitation.Refusal{
			Code: RefusedTooEarly, State: req.State,
			Message: fmt.Sprintf("La clé ne peut être prolongée qu’à partir du %s.", frenchTime(cmd.Plan.From)),
		}
	}
	switch cmd.Plan.Way {
	case ProlongRotates:
		if !cmd.AcceptRotation {
			return &habilitation.Refusal{
				Code: RefusedIsRotation, State: req.State, Pointer: "/accept_rotation",
				Message: "La fin de cette clé ne peut pas être déplacée : la prolonger, c’est en créer une nouvelle, à installer avant la fin de l’ancienne.",
			}
		}
		cmd.NewID, cmd.Plan.Rotation, err = u.rotate(ctx, c, req, rotationAsked{prolongGrace, "prolongation", cmd.AcceptCutover})
		return err
	case ProlongAtManager:
		c.ProlongUntil = &cmd.Plan.ExpiresAt
		if err := u.tx.SaveCredential(ctx, c, u.at); err != nil {
			return err
		}
		if err := u.tx.RecordStep(ctx, c.ID, store.Step{Name: habilitation.StepProlong, State: "waiting"}); err != nil {
			return err
		}
		u.then(ProvisioningRequested{c.ID, c.Manager})
		return u.write(ctx, req.ID, "token.prolong_requested", "credential", c.ID.String(), "", map[string]any{"until": c.ProlongUntil})
	default:
		return u.prolonged(ctx, req, c, cmd.Plan.ExpiresAt)
	}
}

// CredentialProlonged records that the manager took the later end.
type CredentialProlonged struct {
	CredentialID uuid.UUID
	Until        time.Time
}

func (cmd *CredentialProlonged) apply(ctx context.Context, u *unit) error {
	c, req, err := u.lockCredential(ctx, cmd.CredentialID)
	if err != nil {
		return err
	}
	if c.ProlongUntil == nil || !c.ProlongUntil.Equal(cmd.Until) {
		return &StateError{"credential " + c.Ref, c.State} // revoked, rotated or done meanwhile
	}
	if err := u.tx.RecordStep(ctx, c.ID, store.Step{Name: habilitation.StepProlong, State: "done", FinishedAt: u.at}); err != nil {
		return err
	}
	if err := u.partnerAnswered(ctx, c.Manager); err != nil {
		return err
	}
	return u.prolonged(ctx, req, c, cmd.Until)
}

func (u *unit) prolonged(ctx context.Context, req habilitation.Request, c store.Credential, until time.Time) error {
	if err := move(&c, habilitation.CredentialProlong); err != nil {
		return err
	}
	before := c.ExpiresAt
	c.ExpiresAt, c.ProlongUntil = &until, nil
	if err := u.tx.SaveCredential(ctx, c, u.at); err != nil {
		return err
	}
	detail := map[string]any{"from": before, "until": until}
	if err := u.write(ctx, req.ID, "token.prolonged", "credential", c.ID.String(), "", detail); err != nil {
		return err
	}
	if err := u.publish(ctx, req, c, "token.prolonged", nil); err != nil {
		return err
	}
	return u.mailContacts(ctx, req, LetterKeyProlonged, fmt.Sprintf("prolonged/%s/%d", c.ID, until.Unix()), map[string]string{
		"definition": u.label(c.Definition), "organization": req.Organization.Name, "until": frenchTime(until),
	})
}

// notices are the days before an end at which its people are told, of a
// definition without settings (tokens.md, 6).
var notices = []int{90, 60, 30, 14, 7, 1, 0}

func (r *Registry) noticesOf(definition string) []int {
	if policy, known := r.policies.Policy(definition); known && policy.Notices != nil {
		return policy.Notices
	}
	return notices
}

const day = 24 * time.Hour

// NoticeHorizon is how long before its end a key may have to be told of.
func (r *Registry) NoticeHorizon() time.Duration {
	return time.Duration(max(slices.Max(notices), r.settings.EarliestNotice)) * day
}

// WatchEnd does what is due as a key comes near its end: its people are told
// once for each notice, of those that passed unseen the last one only, and at
// the end it is closed, here at once and at its manager by a job.
type WatchEnd struct{ CredentialID uuid.UUID }

func (cmd *WatchEnd) apply(ctx context.Context, u *unit) error {
	c, req, err := u.lockCredential(ctx, cmd.CredentialID)
	if err != nil {
		return err
	}
	state := habilitation.CredentialState(c.State)
	if c.ExpiresAt == nil || !state.Usable() && state != habilitation.CredentialSuspended {
		return nil
	}
	// The old key of a rotation has been told of: its place is taken.
	if state != habilitation.CredentialRotating {
		if err := u.notice(ctx, req, &c); err != nil {
			return err
		}
	}
	if c.ExpiresAt.After(u.at) {
		return nil
	}
	return u.expire(ctx, req, c)
}

// notice tells of the nearest threshold that has passed, unless it was told.
func (u *unit) notice(ctx context.Context, req habilitation.Request, c *store.Credential) error {
	end := *c.ExpiresAt
	since := valueOf(c.IssuedAt)
	var due []int
	for _, days := range u.noticesOf(c.Definition) {
		at := end.Add(-time.Duration(days) * day)
		if !at.After(u.at) && (at.After(since) || days == 0) { // a notice before its issue is none
			due = append(due, days)
		}
	}
	if len(due) == 0 {
		return nil
	}
	slices.Sort(due)
	nearest, told := due[0], false
	for _, days := range due { // those that passed unseen count as told
		isNew, err := u.tx.InsertNotice(ctx, c.ID, days, end, u.at)
		if err != nil {
			return err
		}
		told = told || isNew && days == nearest
	}
	if !told {
		return nil
	}
	if c.State == string(habilitation.CredentialActive) {
		if err := move(c, habilitation.CredentialNearEnd); err != nil {
			return err
		}
		if err := u.tx.SaveCredential(ctx, *c, u.at); err != nil {
			return err
		}
	}
	detail := map[string]any{"days": nearest, "expires_at": c.ExpiresAt}
	if err := u.write(ctx, req.ID, "token.expiring", "credential", c.ID.String(), "", detail); err != nil {
		return err
	}
	if err := u.publish(ctx, req, *c, "token.expiring", detail); err != nil {
		return err
	}
	letter := LetterKeyExpiring
	if !end.After(u.at) {
		letter = LetterKeyExpired
	}
	left := int((end.Sub(u.at) + day - 1) / day)
	return u.mailContacts(ctx, req, letter, fmt.Sprintf("expiry/%s/%d/%d", c.ID, nearest, end.Unix()), map[string]string{
		"definition": u.label(c.Definition), "organization": req.Organization.Name, "until": frenchTime(end), "left": frenchDays(left),
		"key": c.ID.String(),
	})
}

func frenchDays(n int) string {
	if n <= 1 {
		return "moins d’un jour"
	}
	return fmt.Sprintf("moins de %d jours", n)
}

// expire ends a key whose time is over: the hub has refused it since that
// moment, its manager follows.
func (u *unit) expire(ctx context.Context, req habilitation.Request, c store.Credential) error {
	if err := move(&c, habilitation.CredentialExpire); err != nil {
		return err
	}
	c.ProlongUntil, c.GrantsPending = nil, false
	if _, err := u.endCopy(ctx, &c, store.CopyOver, ""); err != nil {
		return err
	}
	if err := u.tx.SaveCredential(ctx, c, u.at); err != nil {
		return err
	}
	if err := u.tx.CancelLinks(ctx, c.ID, u.at); err != nil {
		return err
	}
	u.then(EndDue{c.ID, c.Manager, u.at})
	if err := u.write(ctx, req.ID, "token.expired", "credential", c.ID.String(), "", map[string]any{"expires_at": c.ExpiresAt}); err != nil {
		return err
	}
	return u.publish(ctx, req, c, "token.expired", nil)
}

// DueRotations gives the keys that their definition's settings want replaced
// now, up to limit.
func (r *Registry) DueRotations(ctx context.Context, limit int) ([]uuid.UUID, error) {
	definitions, err := r.store.DefinitionsWithLiveKeys(ctx)
	if err != nil {
		return nil, err
	}
	now := r.now().UTC()
	var due []uuid.UUID
	for _, definition := range definitions {
		policy, known := r.policies.Policy(definition)
		if !known || policy.RotateAfter == nil {
			continue
		}
		// The age is counted in months: the other way round, each is asked.
		after := store.Issued{}
		for len(due) < limit {
			page, err := r.store.CredentialsIssuedBefore(ctx, definition, now, after, limit)
			if err != nil {
				return nil, err
			}
			young := false
			for _, c := range page {
				if young = policy.RotateAfter(c.At).After(now); young {
					break
				}
				due, after = append(due, c.ID), c
			}
			if young || len(page) < limit {
				break
			}
		}
	}
	return due, nil
}

// RotateOnSchedule replaces a key whose age its definition's settings bound. A
// manager without overlap is asked only where the settings accept the
// interruption: else *NoOverlapError.
type RotateOnSchedule struct{ CredentialID uuid.UUID }

func (cmd *RotateOnSchedule) apply(ctx context.Context, u *unit) error {
	c, req, err := u.lockCredential(ctx, cmd.CredentialID)
	if err != nil {
		return err
	}
	policy, known := u.policies.Policy(c.Definition)
	if !known || policy.RotateAfter == nil || c.IssuedAt == nil || policy.RotateAfter(*c.IssuedAt).After(u.at) {
		return nil
	}
	_, _, err = u.rotate(ctx, c, req, rotationAsked{policy.RotationGrace, "remplacement périodique", policy.RotationCutover})
	return err
}

// reissue replaces the keys of a definition whose rights changed and whose
// tokens say them themselves: where APIs check offline, nobody would see the new
// rights in the old token (tokens.md, 7.5). What loses a right ends at once.
func (u *unit) reissue(ctx context.Context, req habilitation.Request, c store.Credential, before []string) error {
	policy, known := u.policies.Policy(c.Definition)
	if !known || !policy.OfflineChecks {
		return nil
	}
	can, err := u.capabilities(c)
	if err != nil || can.GrantModel != connectors.GrantsAtIntrospection {
		return err
	}
	if _, err := habilitation.NextCredential(habilitation.CredentialState(c.State), habilitation.CredentialRotate); err != nil {
		return nil //nolint:nilerr // being made, replaced or over: the new rights are asked for there
	}
	grace := offlineGrace
	if slices.ContainsFunc(before, func(scope string) bool { return !slices.Contains(c.Scopes, scope) }) {
		grace = 0
	}
	_, _, err = u.rotate(ctx, c, req, rotationAsked{grace, "droits modifiés (" + strings.Join(c.Scopes, " ") + ")", true})
	return err
}

// offlineGrace is the longest life of a token that is checked offline.
const offlineGrace = time.Hour
