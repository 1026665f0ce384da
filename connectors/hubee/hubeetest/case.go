package hubeetest

import (
	"net/http"
)

// caseOf finds the case that the path names, for who may see it.
func (s *Server) caseOf(c *call) (*caseFile, *refusal) {
	found := s.cases[c.param("caseId")]
	switch {
	case found == nil:
		return nil, refuse(http.StatusNotFound, "Case is not found")
	case !s.sees(c.caller, found):
		return nil, forbidden()
	default:
		return found, nil
	}
}

// sees: the OSL its own, the SI what it received of its process, ADMIN all. An SI
// sees nothing of a folder that is still being filled. It needs the lock.
func (s *Server) sees(who Credential, c *caseFile) bool {
	switch who.Actor {
	case Admin:
		return true
	case OSL:
		return c.folder.transmitter == who.Organization
	case SI:
		return c.recipient == who.Organization && s.ofItsProcess(who, c.folder.processCode) &&
			c.status.reached() >= HubeeCompleted.reached()
	default:
		return false
	}
}

// ofItsProcess: an SI's pair belongs to one subscription (hubee.md, 2).
func (s *Server) ofItsProcess(who Credential, process string) bool {
	return who.Actor != SI || who.ProcessCode == "" || who.ProcessCode == process || s.switches.SIReadsAllProcesses
}

func (s *Server) getCase(c *call) (answer, *refusal) {
	found, refused := s.caseOf(c)
	if refused != nil {
		return answer{}, refused
	}
	return answer{body: found.body(c.caller.Actor, c.query.Get("lite") == "true")}, nil
}

func (s *Server) patchCase(c *call) (answer, *refusal) {
	found, refused := s.caseOf(c)
	if refused != nil {
		return answer{}, refused
	}
	var in struct {
		Status Status `json:"status"`
	}
	if refused := c.decode(&in); refused != nil {
		return answer{}, refused
	}
	if refused := s.mayMove(found, in.Status, c.caller.Actor); refused != nil {
		return answer{}, refused
	}
	s.move(found, in.Status)
	return answer{}, nil
}

func (s *Server) getCaseAttachment(c *call) (answer, *refusal) {
	const missing = "File is not found"
	found, refused := s.caseOf(c)
	if refused != nil {
		if refused.status == http.StatusNotFound {
			refused = refuse(http.StatusNotFound, missing)
		}
		return answer{}, refused
	}
	return download(find(found.attachmentsOfThisCase, c.param("attachmentId")), missing)
}

// migrateCases is the portal's: cases, events and notifications of one
// organisation go to another (a commune nouvelle).
func (s *Server) migrateCases(c *call) (answer, *refusal) {
	var in struct {
		Source OrganizationID `json:"organizationSource"`
		Target OrganizationID `json:"organizationTarget"`
	}
	if refused := c.decode(&in); refused != nil {
		return answer{}, refused
	}
	if s.organizations[in.Source] == nil || s.organizations[in.Target] == nil {
		return answer{}, refuse(http.StatusNotFound, "Organization is not found")
	}
	if c.caller.Actor == SI && c.caller.Organization != in.Source {
		return answer{}, forbidden()
	}
	updated := 0
	for _, f := range s.folderOrder {
		for _, one := range f.cases {
			if one.recipient != in.Source || !s.ofItsProcess(c.caller, f.processCode) {
				continue
			}
			one.recipient = in.Target
			for _, e := range one.events {
				if e.transmitter == in.Source {
					e.transmitter = in.Target
				}
			}
			updated++
		}
	}
	s.moveNotifications(in.Source, in.Target)
	return answer{body: map[string]int{"caseUpdated": updated}}, nil
}
