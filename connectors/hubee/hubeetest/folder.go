package hubeetest

import (
	"fmt"
	"net/http"
	"slices"
	"time"
	"unicode/utf8"
)

const maxExternalID = 30 // of a folder and of a case (hubee.md, 6)

type folderRequest struct {
	ID            string             `json:"-"` // a seed's
	ProcessCode   string             `json:"processCode"`
	ExternalID    string             `json:"externalId"`
	CloseDateTime *time.Time         `json:"closeDateTime"`
	Applicant     applicantBody      `json:"applicant"`
	Cases         []caseOfFolderBody `json:"cases"`
	Attachments   []attachmentBody   `json:"attachments"`
}

func (s *Server) createFolder(c *call) (answer, *refusal) {
	var in folderRequest
	if refused := c.decode(&in); refused != nil {
		return answer{}, refused
	}
	for i := range in.Cases {
		in.Cases[i].ID = "" // read only
	}
	for i := range in.Attachments {
		in.Attachments[i].ID = ""
	}
	if faults := in.faults(c); len(faults) > 0 {
		return answer{}, invalid(faults)
	}
	if refused := s.mayReceive(in); refused != nil {
		return answer{}, refused
	}
	transmitter := c.caller.Organization
	if n := s.byExternalID[transmitter.String()+" "+in.ExternalID]; n > 0 && s.switches.DuplicateFolderRefused {
		return answer{}, refuse(http.StatusBadRequest, fmt.Sprintf("Folder %s already exists", in.ExternalID)) // inferred
	}
	return answer{body: s.addFolder(in, transmitter, c.partner).body()}, nil
}

// faults are what the published schema lets through (hubee.md, HS-4).
func (in folderRequest) faults(c *call) []string {
	var out []string
	add := func(at, text string) { out = append(out, c.fault("body", violation{at, text})) }
	if len(in.Cases) == 0 {
		add("/cases", tooShort(1, 0))
	}
	if len(in.Attachments) == 0 {
		add("/attachments", tooShort(1, 0))
	}
	known := map[string]bool{}
	for i, one := range in.Cases {
		if n := utf8.RuneCountInString(one.ExternalID); n > maxExternalID {
			add(fmt.Sprintf("/cases/%d/externalId", i),
				fmt.Sprintf("String \"%s\" is too long (length: %d, maximum allowed: %d)", one.ExternalID, n, maxExternalID))
		}
		if known[one.ExternalID] {
			add(fmt.Sprintf("/cases/%d/externalId", i), fmt.Sprintf("Case %s is there twice", one.ExternalID)) // inferred
		}
		known[one.ExternalID] = true
	}
	for i, a := range in.Attachments {
		for j, recipient := range a.Recipients {
			if !known[recipient] {
				add(fmt.Sprintf("/attachments/%d/recipients/%d", i, j), fmt.Sprintf("No case has the external id %q", recipient)) // inferred
			}
		}
	}
	if email := in.Applicant.Email; email != nil && !validEmail(*email) {
		out = append(out, "#/applicant/email: String is not a valid email value")
	}
	return out
}

// mayReceive checks each recipient and, where the process has rules for files,
// each file. It needs the lock.
func (s *Server) mayReceive(in folderRequest) *refusal {
	for _, one := range in.Cases {
		if s.organizations[one.Recipient] == nil || one.Recipient.Type != string(SI) {
			return refuse(http.StatusBadRequest, fmt.Sprintf("Case recipient %s does not exist", one.Recipient))
		}
		sub := s.bySubscriber[subscriberKey{one.Recipient, in.ProcessCode}]
		if sub == nil || !sub.active() {
			return refuse(http.StatusBadRequest, fmt.Sprintf("Case recipient %s does not suscribed to %s", one.Recipient, in.ProcessCode))
		}
	}
	p := s.processes[in.ProcessCode]
	for _, a := range in.Attachments {
		if p != nil && !p.takes(a) {
			return refuse(http.StatusBadRequest, fmt.Sprintf("Attachment %s is not allowed by %s", a.FileName, p.Code)) // inferred
		}
	}
	return nil
}

// addFolder needs the lock.
func (s *Server) addFolder(in folderRequest, transmitter OrganizationID, partner *partnerInfoBody) *folder {
	now := s.now()
	f := &folder{
		id: firstOf(in.ID, s.opts.NewID), processCode: in.ProcessCode, externalID: in.ExternalID, status: HubeeReceived,
		applicant: in.Applicant, transmitter: transmitter, partner: partner, created: now, closed: in.CloseDateTime,
	}
	for _, one := range in.Cases {
		c := &caseFile{
			id: firstOf(one.ID, s.opts.NewID), externalID: one.ExternalID, folder: f, recipient: one.Recipient, status: HubeeReceived,
			since: now, partnerAttributes: one.PartnerAttributes, purgedInPortal: map[string]bool{},
		}
		f.cases = append(f.cases, c)
		s.cases[c.id] = c
	}
	for _, one := range in.Attachments {
		a := s.addAttachment(one)
		a.recipients = one.Recipients
		f.attachments = append(f.attachments, a)
		for _, c := range f.cases {
			if slices.Contains(a.recipients, c.externalID) {
				c.attachmentsOfThisCase = append(c.attachmentsOfThisCase, a)
			}
		}
	}
	s.folders[f.id] = f
	s.folderOrder = append(s.folderOrder, f)
	s.byExternalID[transmitter.String()+" "+f.externalID]++
	return f
}

// folderOf finds the folder that the path names, for its OSL or an administrator.
func (s *Server) folderOf(c *call) (*folder, *refusal) {
	f := s.folders[c.param("folderId")]
	switch {
	case f == nil:
		return nil, refuse(http.StatusNotFound, "Folder is not found")
	case c.caller.Actor != Admin && f.transmitter != c.caller.Organization:
		return nil, forbidden()
	default:
		return f, nil
	}
}

func (s *Server) getFolder(c *call) (answer, *refusal) {
	f, refused := s.folderOf(c)
	if refused != nil {
		return answer{}, refused
	}
	return answer{body: f.body()}, nil
}

func (s *Server) patchFolder(c *call) (answer, *refusal) {
	f, refused := s.folderOf(c)
	if refused != nil {
		return answer{}, refused
	}
	var in struct {
		GlobalStatus  Status     `json:"globalStatus"`
		CloseDateTime *time.Time `json:"closeDateTime"`
	}
	if refused := c.decode(&in); refused != nil {
		return answer{}, refused
	}
	return answer{}, s.setGlobalStatus(f, in.GlobalStatus, in.CloseDateTime)
}

// setGlobalStatus changes the folder only, but for HUBEE_COMPLETED; CLOSED asks
// that its cases are. It needs the lock.
func (s *Server) setGlobalStatus(f *folder, to Status, closed *time.Time) *refusal {
	now := s.now()
	switch {
	case to == HubeeCompleted && f.status == HubeeReceived:
		if s.switches.CompletionNeedsFiles && slices.ContainsFunc(f.attachments, func(a *attachment) bool { return a.status == Pending }) {
			return refuse(http.StatusBadRequest, badRequest)
		}
		f.status, f.updated = HubeeCompleted, &now
		for _, c := range f.cases {
			c.transmitted = &now
			s.move(c, HubeeCompleted)
		}
		return nil
	case to == HubeeCompleted && f.status.reached() > HubeeReceived.reached() && f.status.reached() < Closed.reached():
		return nil // said twice
	case to == Closed && f.status != HubeeReceived:
		if slices.ContainsFunc(f.cases, func(c *caseFile) bool { return c.status.reached() < Closed.reached() }) {
			return refuse(http.StatusBadRequest, badRequest)
		}
		if f.status != Closed {
			f.status, f.updated, f.closed = Closed, &now, &now
			if closed != nil {
				f.closed = closed
			}
		}
		return nil
	default:
		return refuse(http.StatusBadRequest, badRequest)
	}
}

func (s *Server) deleteFolder(c *call) (answer, *refusal) {
	f, refused := s.folderOf(c)
	if refused != nil {
		return answer{}, refused
	}
	if f.status != HubeeReceived || slices.ContainsFunc(f.cases, func(c *caseFile) bool { return len(c.events) > 0 }) {
		return answer{}, refuse(http.StatusBadRequest, badRequest)
	}
	s.dropFolder(f)
	return answer{}, nil
}

// dropFolder removes the folder and all that hangs on it. It needs the lock.
func (s *Server) dropFolder(f *folder) {
	for _, a := range f.attachments {
		delete(s.attachments, a.id)
	}
	for _, c := range f.cases {
		delete(s.cases, c.id)
		for _, e := range c.events {
			s.dropEvent(e)
		}
		s.dropNotifications(c.recipient, func(n *notification) bool { return n.file == c })
		s.dropNotifications(f.transmitter, func(n *notification) bool { return n.file == c })
	}
	delete(s.folders, f.id)
	s.folderOrder = slices.DeleteFunc(s.folderOrder, func(held *folder) bool { return held == f })
	s.byExternalID[f.transmitter.String()+" "+f.externalID]--
}

// firstOf gives the id of a seed, else a new one.
func firstOf(given string, newID func() string) string {
	if given != "" {
		return given
	}
	return newID()
}
