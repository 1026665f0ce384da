package habilitation

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Effect is something a transition does to the request, besides its state.
type Effect string

const (
	EffectCreate       Effect = "create"
	EffectAnswer       Effect = "replace answers"
	EffectSubmit       Effect = "last_submitted_at, consents"
	EffectGrant        Effect = "grant"
	EffectDeprecate    Effect = "earlier ones obsolete"
	EffectValidate     Effect = "last_validated_at"
	EffectEndReopening Effect = "end reopening"
	EffectRestore      Effect = "restore latest habilitation"
	EffectReopen       Effect = "reopened_at, reopening"
	EffectEnterStage   Effect = "enter next stage"
	EffectLeaveStage   Effect = "back to previous stage"
	EffectRevoke       Effect = "revoke habilitations"
	EffectTransfer     Effect = "transfer"
)

// decision is a situation being changed.
type decision struct {
	situation
	change *Change
	// about is the habilitation the event points to.
	about int64
	// extra are habilitations that get an event of their own.
	extra []int64
}

func (d *decision) apply(e Effect) {
	r, at := &d.change.Request, d.cmd.by().At
	switch e {
	case EffectCreate:
		d.create(d.cmd.(Create), at)
	case EffectAnswer:
		r.Data = d.cmd.(Update).Data.clone()
	case EffectSubmit:
		c := d.cmd.(Submit)
		r.LastSubmittedAt = at
		r.TermsAccepted = r.TermsAccepted || c.TermsAccepted
		r.DPOInformed = r.DPOInformed || c.DPOInformed
	case EffectGrant:
		d.grant(d.cmd.(Approve), at)
	case EffectDeprecate:
		d.deprecate()
	case EffectValidate:
		r.LastValidatedAt = at
	case EffectEndReopening:
		r.Reopening = false
	case EffectRestore:
		latest, _ := r.latest()
		r.Definition, r.Form, r.Data = latest.Definition, latest.Form, latest.Data.clone()
	case EffectReopen:
		d.reopen(at)
	case EffectEnterStage:
		d.enterStage()
	case EffectLeaveStage:
		sandbox, _ := r.latestOf(d.facts.Previous.Definition)
		r.Definition, r.Form, r.Data = d.facts.Previous.Definition, d.facts.Previous.Form, sandbox.Data.clone()
		r.TermsAccepted, r.DPOInformed = true, true
	case EffectRevoke:
		d.revoke(d.cmd.(Revoke))
	case EffectTransfer:
		switch c := d.cmd.(type) {
		case TransferToUser:
			r.Applicant = *c.To
		case TransferToOrganization:
			r.Organization = *c.To
		}
	default:
		panic("habilitation: no such effect: " + string(e))
	}
}

func (d *decision) create(c Create, at time.Time) {
	d.change.Request = Request{
		ID: c.ID, PublicID: c.PublicID, Origin: Native,
		Definition: d.facts.UID, Form: c.Form, Data: c.Data.clone(),
		Organization: c.Organization, Applicant: c.Applicant, ServiceProvider: c.ServiceProvider,
		CreatedAt: at,
	}
}

// grant snapshots the request into a new habilitation, and a linked
// FranceConnect one where the form embeds it (datapass.md, 1.5).
func (d *decision) grant(c Approve, at time.Time) {
	r := &d.change.Request
	granted := Habilitation{
		ID: -1, Definition: r.Definition, Form: r.Form, State: GrantActive, Data: r.Data.clone(),
		Organization: r.Organization, Applicant: r.Applicant, Message: c.Message, CreatedAt: at,
	}
	d.about = granted.ID
	if !d.embedsFranceConnect() {
		r.Habilitations = append(r.Habilitations, granted)
		return
	}
	linked := granted
	linked.ID, linked.ParentID, linked.Definition = -2, granted.ID, franceConnectDefinition
	linked.Data, linked.Message = franceConnectData(r.Data, d.facts.FranceConnectScopes), ""
	id := strconv.FormatInt(linked.ID, 10)
	r.Data[keyFranceConnectID], granted.Data[keyFranceConnectID] = id, id
	r.Habilitations = append(r.Habilitations, granted, linked)
	d.extra = append(d.extra, linked.ID)
}

func (d *decision) embedsFranceConnect() bool {
	data, modality := d.change.Request.Data, d.facts.EmbeddedModality
	return modality != "" && slices.Contains(data.Modalities(), modality) && data[keyFranceConnectID] == "" &&
		data[keyEmbeddedNature] != "" && data[keyEmbeddedEIDAS] != ""
}

// embeddedPrefix marks the answers of an API Particulier request that belong to
// its FranceConnect part.
const embeddedPrefix = "fc_"

// keyAlternative is FranceConnect's own checkbox: another way to sign in exists.
const keyAlternative = "alternative_connexion"

// franceConnectData is the FranceConnect part of an API Particulier request as
// a FranceConnect request would hold it: the shared answers, its own legal
// frame, its own scopes.
func franceConnectData(data Data, scopes []string) Data {
	part := Data{}
	for key, value := range data {
		if !strings.HasPrefix(key, embeddedPrefix) {
			part[key] = value
		}
	}
	delete(part, ModalitiesKey)
	for _, key := range []string{keyLegalNature, keyLegalURL, keyLegalDocument} {
		delete(part, key)
	}
	for from, to := range map[string]string{
		keyEmbeddedNature: keyLegalNature, keyEmbeddedURL: keyLegalURL, keyEmbeddedDocument: keyLegalDocument,
		keyEmbeddedEIDAS: keyEIDAS, keyEmbeddedAlternative: keyAlternative,
	} {
		if data[from] != "" {
			part[to] = data[from]
		}
	}
	part[ScopesKey] = EncodeList(slices.DeleteFunc(data.Scopes(), func(s string) bool { return !slices.Contains(scopes, s) }))
	return part
}

// deprecate makes earlier habilitations of the granted one's definition
// obsolete, and those linked to them unless the new one still names them.
func (d *decision) deprecate() {
	r := &d.change.Request
	granted, _ := r.habilitation(d.about)
	named := granted.Data[keyFranceConnectID]
	for _, earlier := range slices.Clone(r.Habilitations) {
		if earlier.ID == granted.ID || earlier.Definition != granted.Definition || earlier.ParentID != 0 {
			continue
		}
		for _, i := range r.linked(earlier) {
			if id := r.Habilitations[i].ID; strconv.FormatInt(id, 10) != named {
				d.step(id, GrantDeprecate)
			}
		}
		d.step(earlier.ID, GrantDeprecate)
	}
}

// step moves an habilitation along its table; what the table does not allow
// leaves it as it is.
func (d *decision) step(id int64, event GrantEvent) {
	habilitations := d.change.Request.Habilitations
	i := slices.IndexFunc(habilitations, func(h Habilitation) bool { return h.ID == id })
	if next, ok := NextGrant(habilitations[i].State, event); ok {
		habilitations[i].State = next
	}
}

// NextGrant gives the state of an habilitation after an event, false where its
// table has no such row.
func NextGrant(state GrantState, event GrantEvent) (GrantState, bool) {
	for _, row := range GrantTransitions() {
		if row.Event == event && slices.Contains(row.From, state) {
			return row.To, true
		}
	}
	return state, false
}

func (d *decision) reopen(at time.Time) {
	r := &d.change.Request
	h, _ := d.target()
	if h.Definition != r.Definition {
		r.Definition, r.Form, r.Data = h.Definition, h.Form, h.Data.clone()
	}
	r.Reopening, r.ReopenedAt = true, at
	d.about = h.ID
}

// enterStage keeps the answers and takes those that only the next stage asks
// for from a former habilitation of it (datapass.md, 1.7).
func (d *decision) enterStage() {
	r := &d.change.Request
	former, ok := r.latestOf(d.facts.Next.Definition)
	if ok {
		maps.Copy(r.Data, only(former.Data, d.facts.NextOnlyKeys))
	}
	r.Definition, r.Form = d.facts.Next.Definition, d.facts.Next.Form
	r.TermsAccepted, r.DPOInformed = false, false
}

func only(data Data, keys []string) Data {
	part := Data{}
	for _, key := range keys {
		if value, ok := data[key]; ok {
			part[key] = value
		}
	}
	return part
}

// revoke ends every active habilitation, or one with those linked to it. Each
// gets one event of its own (datapass.md, 2.10, P).
func (d *decision) revoke(c Revoke) {
	r := &d.change.Request
	ending := d.indexesOfActive()
	if c.Habilitation != 0 {
		h, _ := d.target()
		at := slices.IndexFunc(r.Habilitations, func(other Habilitation) bool { return other.ID == h.ID })
		ending = append([]int{at}, r.linked(h)...)
	}
	for n, i := range ending {
		id := r.Habilitations[i].ID
		d.step(id, GrantRevoke)
		if n == 0 {
			d.about = id
		} else {
			d.extra = append(d.extra, id)
		}
	}
}
