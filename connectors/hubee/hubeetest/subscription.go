package hubeetest

import (
	"fmt"
	"net/http"
	"time"
)

// Statuses of a subscription.
const (
	active   = "Actif"
	inactive = "Inactif"
)

// Delegation is the actor that a subscription is delegated to: an editor's
// organisation, or an e-mail address.
type Delegation struct {
	Email           *string `json:"email,omitempty" yaml:"email"`
	Type            *string `json:"type" yaml:"type"`
	CompanyRegister *string `json:"companyRegister" yaml:"companyRegister"`
	BranchCode      *string `json:"branchCode" yaml:"branchCode"`
}

// Administrator is the administration's own, as a subscription names it.
type Administrator struct {
	Email        string  `json:"email" yaml:"email"`
	FirstName    *string `json:"firstName,omitempty" yaml:"firstName"`
	LastName     *string `json:"lastName,omitempty" yaml:"lastName"`
	Function     *string `json:"function,omitempty" yaml:"function"`
	PhoneNumber  *string `json:"phoneNumber,omitempty" yaml:"phoneNumber"`
	MobileNumber *string `json:"mobileNumber,omitempty" yaml:"mobileNumber"`
}

// SubscriptionBody is a subscription as a client writes it.
type SubscriptionBody struct {
	DatapassID            int64          `json:"datapassId" yaml:"datapassId"`
	ProcessCode           string         `json:"processCode" yaml:"processCode"`
	Subscriber            OrganizationID `json:"subscriber" yaml:"subscriber"`
	AccessMode            *string        `json:"accessMode" yaml:"accessMode"`
	NotificationFrequency string         `json:"notificationFrequency" yaml:"notificationFrequency"`
	ActivateDateTime      *time.Time     `json:"activateDateTime" yaml:"activateDateTime"`
	ValidateDateTime      *time.Time     `json:"validateDateTime" yaml:"validateDateTime"`
	RejectDateTime        *time.Time     `json:"rejectDateTime" yaml:"rejectDateTime"`
	EndDateTime           *time.Time     `json:"endDateTime" yaml:"endDateTime"`
	UpdateDateTime        *time.Time     `json:"updateDateTime" yaml:"updateDateTime"`
	DelegationActor       *Delegation    `json:"delegationActor" yaml:"delegationActor"`
	RejectionReason       *string        `json:"rejectionReason" yaml:"rejectionReason"`
	Status                *string        `json:"status" yaml:"status"`
	Email                 *string        `json:"email" yaml:"email"`
	LocalAdministrator    Administrator  `json:"localAdministrator" yaml:"localAdministrator"`
}

type subscription struct {
	id      string
	body    SubscriptionBody
	created time.Time
	name    string // the subscriber's
}

func (s *subscription) active() bool { return s.body.Status != nil && *s.body.Status == active }

type subscriberView struct {
	OrganizationID
	Name string `json:"name"`
}

// subscriptionView has every key, null or not, in the dates' own form.
type subscriptionView struct {
	SubscriptionBody
	ID                 string         `json:"id"`
	Subscriber         subscriberView `json:"subscriber"`
	CreationDateTime   offsetMoment   `json:"creationDateTime"`
	ActivateDateTime   *offsetMoment  `json:"activateDateTime"`
	ValidateDateTime   *offsetMoment  `json:"validateDateTime"`
	RejectDateTime     *offsetMoment  `json:"rejectDateTime"`
	EndDateTime        *offsetMoment  `json:"endDateTime"`
	UpdateDateTime     *offsetMoment  `json:"updateDateTime"`
	DelegationActor    Delegation     `json:"delegationActor"`
	LocalAdministrator any            `json:"localAdministrator"`
}

// view shows the local administrator by his address alone.
func (s *subscription) view() subscriptionView {
	b := s.body
	out := subscriptionView{
		SubscriptionBody: b, ID: s.id, Subscriber: subscriberView{b.Subscriber, s.name}, CreationDateTime: offsetMoment(s.created),
		ActivateDateTime: offsetOrNull(b.ActivateDateTime), ValidateDateTime: offsetOrNull(b.ValidateDateTime),
		RejectDateTime: offsetOrNull(b.RejectDateTime), EndDateTime: offsetOrNull(b.EndDateTime),
		UpdateDateTime:     offsetOrNull(b.UpdateDateTime),
		LocalAdministrator: map[string]string{"email": b.LocalAdministrator.Email},
	}
	if b.DelegationActor != nil {
		out.DelegationActor = *b.DelegationActor
	}
	return out
}

// emailFaults are the service's own words behind the gateway's check.
func (b SubscriptionBody) emailFaults() string {
	if b.Email != nil && !validEmail(*b.Email) {
		return "#/email: String is not a valid email value"
	}
	return ""
}

func (s *Server) createSubscription(c *call) (answer, *refusal) {
	var in SubscriptionBody
	if refused := c.decode(&in); refused != nil {
		return answer{}, refused
	}
	if text := in.emailFaults(); text != "" {
		return answer{}, refuse(http.StatusBadRequest, text)
	}
	if s.organizations[in.Subscriber] == nil {
		return answer{}, refuse(http.StatusBadRequest, fmt.Sprintf("Organization %s does not exist", in.Subscriber)) // inferred
	}
	if s.processes[in.ProcessCode] == nil {
		return answer{}, refuse(http.StatusBadRequest, fmt.Sprintf("Process %s does not exist", in.ProcessCode)) // inferred
	}
	if s.bySubscriber[subscriberKey{in.Subscriber, in.ProcessCode}] != nil {
		return answer{}, refuse(http.StatusBadRequest,
			fmt.Sprintf("Subscription %s for organization %s already exists", in.ProcessCode, in.Subscriber))
	}
	// Whatever was asked: a person at HubEE activates and delegates (hubee.md, 11).
	status := inactive
	in.Status, in.AccessMode, in.ActivateDateTime, in.DelegationActor = &status, nil, nil, nil
	sub := s.addSubscription("", in)
	if after := time.Duration(s.switches.ActivateAfter); after > 0 {
		s.plan(s.Now().Add(after), func() { s.activate(sub, "API", nil) })
	}
	return answer{body: sub.view()}, nil
}

// addSubscription needs the lock.
func (s *Server) addSubscription(given string, in SubscriptionBody) *subscription {
	sub := &subscription{id: firstOf(given, s.opts.NewID), body: in, created: s.now(), name: s.organizations[in.Subscriber].body.Name}
	s.subscriptions[sub.id] = sub
	s.bySubscriber[subscriberKey{in.Subscriber, in.ProcessCode}] = sub
	s.order = append(s.order, sub)
	return sub
}

// activate is what a person at HubEE does: it also makes the pair that the
// portal shows, when the subscription has none. It needs the lock.
func (s *Server) activate(sub *subscription, accessMode string, editor *Delegation) {
	now, status := s.now(), active
	sub.body.Status, sub.body.AccessMode = &status, &accessMode
	if sub.body.ActivateDateTime == nil {
		sub.body.ActivateDateTime = &now
	}
	if editor != nil {
		sub.body.DelegationActor = editor
	}
	sub.body.UpdateDateTime = &now
	s.pairFor(sub)
}

// pairFor makes an SI credential for the subscription unless there is one. It
// needs the lock.
func (s *Server) pairFor(sub *subscription) {
	for _, c := range s.credentials {
		if c.Actor == SI && c.Organization == sub.body.Subscriber && (c.ProcessCode == "" || c.ProcessCode == sub.body.ProcessCode) {
			return
		}
	}
	c := Credential{
		Actor: SI, ClientID: newToken(), ClientSecret: newToken(), Organization: sub.body.Subscriber,
		ProcessCode: sub.body.ProcessCode, Scopes: []string{string(SI)},
	}
	s.RegisterSecret(c.ClientSecret)
	s.credentials = append(s.credentials, c)
}

func (s *Server) subscriptionOf(c *call) (*subscription, *refusal) {
	if sub := s.subscriptions[c.param("subscriptionId")]; sub != nil {
		return sub, nil
	}
	return nil, refuse(http.StatusNotFound, "Subscription is not found")
}

func (s *Server) getSubscription(c *call) (answer, *refusal) {
	sub, refused := s.subscriptionOf(c)
	if refused != nil {
		return answer{}, refused
	}
	return answer{body: sub.view()}, nil
}

// putSubscription replaces all but the couple that the subscription is for.
func (s *Server) putSubscription(c *call) (answer, *refusal) {
	sub, refused := s.subscriptionOf(c)
	if refused != nil {
		return answer{}, refused
	}
	var in SubscriptionBody
	if refused := c.decode(&in); refused != nil {
		return answer{}, refused
	}
	if text := in.emailFaults(); text != "" {
		return answer{}, refuse(http.StatusBadRequest, text)
	}
	if in.Subscriber != sub.body.Subscriber || in.ProcessCode != sub.body.ProcessCode {
		return answer{}, refuse(http.StatusBadRequest, badRequest)
	}
	now := s.now()
	in.UpdateDateTime = &now
	// What GET gave has the address only: the rest of the person stays.
	if in.LocalAdministrator.Email == sub.body.LocalAdministrator.Email && in.LocalAdministrator.LastName == nil {
		in.LocalAdministrator = sub.body.LocalAdministrator
	}
	sub.body = in
	if sub.active() {
		s.pairFor(sub)
	}
	return answer{body: sub.view()}, nil
}
