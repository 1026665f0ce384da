package hubeetest

import (
	"net/http"
	"slices"
)

func (s *Server) createEvent(c *call) (answer, *refusal) {
	found, refused := s.caseOf(c)
	if refused != nil {
		return answer{}, refused
	}
	var in eventBody
	if refused := c.decode(&in); refused != nil {
		return answer{}, refused
	}
	e, refused := s.addEvent(found, in, c.caller.Actor, c.caller.Organization, c.partner)
	if refused != nil {
		return answer{}, refused
	}
	return answer{body: e.view(c.caller.Actor)}, nil
}

// addEvent follows hubee.md, 8. It needs the lock.
func (s *Server) addEvent(c *caseFile, in eventBody, by Actor, from OrganizationID, partner *partnerInfoBody) (*event, *refusal) {
	if in.deposits() != (len(in.Attachments) > 0) {
		return nil, refuse(http.StatusBadRequest, badRequest)
	}
	if limit := s.switches.MaxEventsPerCase; limit > 0 && len(c.events) >= limit {
		return nil, refuse(http.StatusBadRequest, "Maximum number of events reached") // inferred
	}
	if in.CaseNewStatus != nil && *in.CaseNewStatus != "" && !s.switches.EventLeavesCase {
		if refused := s.mayMove(c, *in.CaseNewStatus, by); refused != nil {
			return nil, refused
		}
	}
	if by == Admin {
		from = c.folder.transmitter // it speaks for the OSL
	}
	e := &event{
		id: s.opts.NewID(), status: eventSent, file: c, transmitter: from, body: in, partner: partner, created: s.now(),
	}
	if in.deposits() {
		e.status = eventInProgress
	}
	for _, one := range in.Attachments {
		one.ID = "" // read only
		e.attachments = append(e.attachments, s.addAttachment(one))
	}
	e.body.Attachments = nil
	c.events = append(c.events, e)
	s.events[e.id] = e
	if e.status == eventSent {
		s.publish(e)
	}
	return e, nil
}

// publish makes a sent event known: it moves the case and notifies the other
// side. It needs the lock.
func (s *Server) publish(e *event) {
	if to := e.body.CaseNewStatus; to != nil && *to != "" && !s.switches.EventLeavesCase {
		s.move(e.file, *to)
	}
	if e.body.Notification == nil || !*e.body.Notification {
		return
	}
	to := e.file.recipient
	if e.transmitter == e.file.recipient {
		to = e.file.folder.transmitter
	} else {
		s.sendMail(e.file, "event")
	}
	s.notify(e.file, e, e.transmitter, to)
}

// eventOf finds the event that the path names; its own 404 text differs from
// route to route.
func (s *Server) eventOf(c *call, missing string) (*event, *refusal) {
	found, refused := s.caseOf(c)
	if refused != nil {
		if refused.status == http.StatusNotFound {
			refused = refuse(http.StatusNotFound, missing)
		}
		return nil, refused
	}
	e := s.events[c.param("eventId")]
	if e == nil || e.file != found {
		return nil, refuse(http.StatusNotFound, missing)
	}
	return e, nil
}

func (s *Server) getEvent(c *call) (answer, *refusal) {
	e, refused := s.eventOf(c, "event is not found")
	if refused != nil {
		return answer{}, refused
	}
	return answer{body: e.view(c.caller.Actor)}, nil
}

// patchEvent: SENT by the author once all files are there, RECEIVED by the reader.
func (s *Server) patchEvent(c *call) (answer, *refusal) {
	e, refused := s.eventOf(c, "event is not found")
	if refused != nil {
		return answer{}, refused
	}
	var in struct {
		Status string `json:"status"`
	}
	if refused := c.decode(&in); refused != nil {
		return answer{}, refused
	}
	author := c.caller.Organization == e.transmitter
	admin := c.caller.Actor == Admin
	switch {
	case in.Status == eventSent && !author && !admin, in.Status == eventReceived && author && !admin:
		return answer{}, forbidden()
	case in.Status == e.status:
	case in.Status == eventSent && e.status == eventInProgress:
		if slices.ContainsFunc(e.attachments, func(a *attachment) bool { return a.status != Received }) {
			return answer{}, refuse(http.StatusBadRequest, badRequest)
		}
		s.setEventStatus(e, eventSent)
		s.publish(e)
	case in.Status == eventReceived && e.status == eventSent:
		s.setEventStatus(e, eventReceived)
	default:
		return answer{}, refuse(http.StatusBadRequest, badRequest)
	}
	return answer{}, nil
}

func (s *Server) setEventStatus(e *event, status string) {
	now := s.now()
	e.status, e.updated = status, &now
}

func (s *Server) deleteEvent(c *call) (answer, *refusal) {
	e, refused := s.eventOf(c, "Event is not found")
	switch {
	case refused != nil:
		return answer{}, refused
	case c.caller.Actor != Admin && c.caller.Organization != e.transmitter:
		return answer{}, forbidden()
	case !e.body.deposits() || e.status != eventInProgress:
		return answer{}, refuse(http.StatusBadRequest, "Bad Request")
	}
	e.file.events = slices.DeleteFunc(e.file.events, func(held *event) bool { return held == e })
	s.dropEvent(e)
	return answer{}, nil
}

// dropEvent needs the lock.
func (s *Server) dropEvent(e *event) {
	delete(s.events, e.id)
	for _, a := range e.attachments {
		delete(s.attachments, a.id)
	}
}

func (s *Server) putEventAttachment(c *call) (answer, *refusal) {
	e, refused := s.eventOf(c, noMetadata)
	if refused != nil {
		return answer{}, refused
	}
	if c.caller.Actor != Admin && c.caller.Organization != e.transmitter {
		return answer{}, forbidden()
	}
	a := find(e.attachments, c.param("attachmentId"))
	if a == nil || a.status == Deleted {
		return answer{}, refuse(http.StatusNotFound, noMetadata)
	}
	if a.status == Received && e.status != eventInProgress {
		return answer{}, refuse(http.StatusBadRequest, badRequest)
	}
	return answer{}, s.store(a, c.body, c.digest)
}

func (s *Server) getEventAttachment(c *call) (answer, *refusal) {
	const missing = "file is not found"
	e, refused := s.eventOf(c, missing)
	if refused != nil {
		return answer{}, refused
	}
	return download(find(e.attachments, c.param("attachmentId")), missing)
}
