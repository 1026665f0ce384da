package hubeetest

import (
	"net/http"
	"slices"
	"time"
)

// statusRule is one row of hubee.md, 7: who may give a status to a case, and
// from which. The statuses that are missing belong to the hub.
type statusRule struct {
	to        Status
	by        Actor
	from      []Status // the contract's
	tolerated []Status // the workflow sheet's besides
	reopens   bool     // from any status
}

var statusRules = []statusRule{
	{to: HubeeCompleted, by: OSL, from: []Status{AddAwaiting}}, // the answer to a question (8.5)
	{to: HubeeNotified, by: OSL, reopens: true},
	{to: Sent, by: SI, from: []Status{HubeeNotified}},
	{to: SIReceived, by: SI, from: []Status{Sent}, tolerated: []Status{HubeeNotified}},
	{to: InProgress, by: SI, from: []Status{SIReceived}, tolerated: []Status{HubeeNotified, Sent}},
	{to: AddAwaiting, by: SI, from: []Status{InProgress}, tolerated: []Status{HubeeNotified, Sent, SIReceived}},
	{
		to: SIIntgError, by: SI, from: []Status{SIReceived, InProgress, AddAwaiting, Done},
		tolerated: []Status{HubeeNotified, Sent},
	},
	{to: Refused, by: SI, from: []Status{SIReceived, InProgress, AddAwaiting}, tolerated: []Status{HubeeNotified, Sent}},
	{to: Done, by: SI, from: []Status{SIReceived, InProgress, AddAwaiting}, tolerated: []Status{Sent}},
	{to: Closed, by: OSL, from: []Status{SIReceived, InProgress, AddAwaiting, Done, Refused}},
}

// mayMove says whether an actor may give a status to the case now. The status
// that it has is always good: the same call may come twice. It needs the lock.
func (s *Server) mayMove(c *caseFile, to Status, by Actor) *refusal {
	i := slices.IndexFunc(statusRules, func(r statusRule) bool { return r.to == to })
	if i < 0 {
		return refuse(http.StatusBadRequest, badRequest)
	}
	rule := statusRules[i]
	if by != rule.by && by != Admin {
		return forbidden()
	}
	// What an SI may say depends on the process; the rest is the hub's own.
	if p := s.processes[c.folder.processCode]; rule.by == SI && p != nil && len(p.Statuses) > 0 && !slices.Contains(p.Statuses, to) {
		return refuse(http.StatusBadRequest, badRequest)
	}
	if c.status == to || (rule.reopens && c.status.reached() > HubeeReceived.reached() && c.status != Archived) || slices.Contains(rule.from, c.status) ||
		(s.switches.Rules != Strict && slices.Contains(rule.tolerated, c.status)) {
		return nil
	}
	return refuse(http.StatusBadRequest, badRequest)
}

// move gives the case a status; its folder and the purge follow. It needs the lock.
func (s *Server) move(c *caseFile, to Status) {
	if c.status == to {
		return
	}
	now := s.now()
	c.status, c.since, c.updated = to, now, &now
	c.closed = nil
	if to == Closed || to == Archived {
		c.closed = &now
	}
	s.follow(c.folder)
	s.planPurge(c.folder)
	switch to {
	case HubeeCompleted:
		s.plan(s.Now().Add(time.Duration(s.switches.NotifyAfter)), func() { s.notifyNewCase(c) })
		if s.switches.NotifyAfter <= 0 {
			s.settle()
		}
	case Closed:
		s.planArchive(c)
	}
}

// follow gives the folder the status of the case that has come least far.
// CLOSED is the OSL's to give, once its cases are (hubee.md, 7). It needs the lock.
func (s *Server) follow(f *folder) {
	least := f.cases[0].status
	for _, c := range f.cases {
		if c.status.reached() < least.reached() {
			least = c.status
		}
	}
	if least == Closed || f.status == least {
		return
	}
	now := s.now()
	f.status, f.updated = least, &now
	if least.reached() < Closed.reached() {
		f.closed = nil // reopened
	}
}

// notifyNewCase is the hub's own step from HUBEE_COMPLETED to HUBEE_NOTIFIED. It
// needs the lock.
func (s *Server) notifyNewCase(c *caseFile) {
	if c.status != HubeeCompleted || s.cases[c.id] != c {
		return
	}
	s.move(c, HubeeNotified)
	s.notify(c, nil, c.folder.transmitter, c.recipient)
	s.sendMail(c, "new_case")
}
