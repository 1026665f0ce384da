package habilitation

import "slices"

// Consequence is something that must follow a change; the registry queues it in
// the change's transaction.
type Consequence interface {
	withIDs(assign func(*int64)) Consequence
}

// IssueCredentials: a definition has its first active habilitation. One
// credential per provider of the definition.
type IssueCredentials struct{ Grant }

// UpdateGrants: another habilitation of the definition took over. The
// credentials stay, their token_id too; their rights become exactly these.
type UpdateGrants struct{ Grant }

// Grant is what an active habilitation gives.
type Grant struct {
	Definition   string
	Habilitation int64
	Scopes       []string // sorted, unique; a definition's fixed scopes are not among them
	Modalities   []string
}

// RevokeCredentials: a definition lost its last active habilitation. Every
// credential of it ends now, at every provider.
type RevokeCredentials struct {
	Definition   string
	Habilitation int64 // the last one
}

// ApplyArchivePolicy: the request is archived; each API's policy says what
// becomes of its credentials.
type ApplyArchivePolicy struct{}

// CancelPendingHandovers: the request changed hands; links and reveals that
// wait are cancelled, credentials stay.
type CancelPendingHandovers struct{}

// CancelPendingWork: a first request was refused; whatever was prepared is cancelled.
type CancelPendingWork struct{}

// NotifyWebhooks: subscribers of the definition are told. Habilitation is the
// one the event is about, 0 for the request as a whole.
type NotifyWebhooks struct {
	Event        EventName
	Definition   string
	Habilitation int64
}

// ReadSource: what the source sent cannot be all of the truth; its API is to be
// read for this request.
type ReadSource struct{}

func (c IssueCredentials) withIDs(assign func(*int64)) Consequence {
	assign(&c.Habilitation)
	return c
}

func (c UpdateGrants) withIDs(assign func(*int64)) Consequence {
	assign(&c.Habilitation)
	return c
}

func (c RevokeCredentials) withIDs(assign func(*int64)) Consequence {
	assign(&c.Habilitation)
	return c
}

func (c NotifyWebhooks) withIDs(assign func(*int64)) Consequence {
	assign(&c.Habilitation)
	return c
}

func (c SendMail) withIDs(assign func(*int64)) Consequence {
	assign(&c.Habilitation)
	return c
}

func (c ApplyArchivePolicy) withIDs(func(*int64)) Consequence     { return c }
func (c CancelPendingHandovers) withIDs(func(*int64)) Consequence { return c }
func (c CancelPendingWork) withIDs(func(*int64)) Consequence      { return c }
func (c ReadSource) withIDs(func(*int64)) Consequence             { return c }

// follow compares a request before and after (tokens.md, 5). It reads states,
// never the name of an event: events can be lost. before is the zero Request
// for a new one.
func follow(before, after Request) []Consequence {
	list := followGrants(before, after)
	became := func(s State) bool { return before.State != s && after.State == s }
	if became(Archived) && before.State != "" {
		list = append(list, ApplyArchivePolicy{})
	}
	if became(Refused) {
		list = append(list, CancelPendingWork{})
	}
	if before.State != "" && changedHands(before, after) {
		list = append(list, CancelPendingHandovers{})
	}
	return list
}

func followGrants(before, after Request) []Consequence {
	var list []Consequence
	for _, definition := range definitionsOf(after, before) {
		was, had := before.inForce(definition)
		is, has := after.inForce(definition)
		switch {
		case has && !had:
			list = append(list, IssueCredentials{grantOf(is)})
		case has && (was.ID != is.ID || !slices.Equal(was.Data.Scopes(), is.Data.Scopes())):
			list = append(list, UpdateGrants{grantOf(is)})
		case had && !has && !leftToArchivePolicy(after, definition):
			list = append(list, RevokeCredentials{Definition: definition, Habilitation: was.ID})
		}
	}
	return list
}

// leftToArchivePolicy: an archived request ends its credentials by the API's
// policy, unless the definition's newest habilitation was revoked.
func leftToArchivePolicy(after Request, definition string) bool {
	if after.State != Archived {
		return false
	}
	newest, ok := after.newest(func(h Habilitation) bool { return h.Definition == definition })
	return ok && newest.State != GrantRevoked
}

func grantOf(h Habilitation) Grant {
	return Grant{Definition: h.Definition, Habilitation: h.ID, Scopes: h.Data.Scopes(), Modalities: h.Data.Modalities()}
}

// definitionsOf lists the definitions that have a habilitation, by first appearance.
func definitionsOf(requests ...Request) []string {
	var list []string
	for _, r := range requests {
		for _, h := range r.Habilitations {
			if !slices.Contains(list, h.Definition) {
				list = append(list, h.Definition)
			}
		}
	}
	return list
}

func changedHands(before, after Request) bool {
	return !sameApplicant(before.Applicant, after.Applicant) || !sameOrganization(before.Organization, after.Organization)
}

func sameApplicant(a, b Applicant) bool {
	if a.ID != 0 && b.ID != 0 {
		return a.ID == b.ID
	}
	return a.Email == b.Email
}

func sameOrganization(a, b Organization) bool {
	if a.ID != 0 && b.ID != 0 {
		return a.ID == b.ID
	}
	return a.SIRET == b.SIRET && (a.SIRET != "" || a.Name == b.Name)
}
