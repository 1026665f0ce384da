package hubeetest

import (
	"net/http"
	"slices"
	"time"
)

const day = 24 * time.Hour

// planPurge looks again at the folder's files once the process's delay is over
// (hubee.md, 10). It needs the lock.
func (s *Server) planPurge(f *folder) {
	p := s.processes[f.processCode]
	if p == nil || p.StatusBeforeFileDeletion == "" {
		return
	}
	delay := time.Duration(p.TimeBeforeFileDeletion+1) * day
	for _, a := range f.attachments {
		if !a.purgePlanned && s.purgeable(f, a, p) {
			a.purgePlanned = true
			s.plan(s.Now().Add(delay), func() {
				a.purgePlanned = false
				if s.purgeable(f, a, p) {
					a.judge(Deleted)
				}
			})
		}
	}
	for _, c := range f.cases {
		for _, e := range c.events {
			for _, a := range e.attachments {
				if !a.purgePlanned && c.status.reached() >= p.StatusBeforeFileDeletion.reached() {
					a.purgePlanned = true
					s.plan(s.Now().Add(delay), func() { a.judge(Deleted) })
				}
			}
		}
	}
}

// purgeable: all the cases that the file is for have come far enough.
func (s *Server) purgeable(f *folder, a *attachment, p *Process) bool {
	return a.status != Deleted && !slices.ContainsFunc(f.cases, func(c *caseFile) bool {
		return slices.Contains(a.recipients, c.externalID) && c.status.reached() < p.StatusBeforeFileDeletion.reached()
	})
}

// planArchive archives a case that stays closed, then deletes its folder. It
// needs the lock.
func (s *Server) planArchive(c *caseFile) {
	p := s.processes[c.folder.processCode]
	if p == nil || p.TimeBeforeArchiving <= 0 {
		return
	}
	since := c.since
	s.plan(since.Add(time.Duration(p.TimeBeforeArchiving)*day), func() {
		if c.status != Closed || !c.since.Equal(since) || s.cases[c.id] != c {
			return
		}
		s.move(c, Archived)
		if p.TimeBeforeFolderDeletion > 0 {
			s.plan(s.Now().Add(time.Duration(p.TimeBeforeFolderDeletion)*day), func() { s.dropArchived(c.folder) })
		}
	})
}

func (s *Server) dropArchived(f *folder) {
	if s.folders[f.id] == f && !slices.ContainsFunc(f.cases, func(c *caseFile) bool { return c.status != Archived }) {
		s.dropFolder(f)
	}
}

type purgedID struct {
	FolderAttachmentID string `json:"folder_attachment_id"`
	CaseID             string `json:"case_id"`
}

// listIDsForPurge gives the files of which the portal may still hold a copy.
func (s *Server) listIDsForPurge(c *call) (answer, *refusal) {
	out := []purgedID{}
	for _, f := range s.folderOrder {
		for _, one := range f.cases {
			if !s.sees(c.caller, one) {
				continue
			}
			for _, a := range one.attachmentsOfThisCase {
				if a.status == Deleted && !one.purgedInPortal[a.id] {
					out = append(out, purgedID{a.id, one.id})
				}
			}
		}
	}
	return answer{body: out}, nil
}

// markPurged takes them off that list.
func (s *Server) markPurged(c *call) (answer, *refusal) {
	var in []purgedID
	if refused := c.decode(&in); refused != nil {
		return answer{}, refused
	}
	for _, p := range in {
		one := s.cases[p.CaseID]
		if one == nil || find(one.attachmentsOfThisCase, p.FolderAttachmentID) == nil {
			return answer{}, refuse(http.StatusBadRequest, badRequest)
		}
		if !s.sees(c.caller, one) {
			return answer{}, forbidden()
		}
	}
	for _, p := range in {
		s.cases[p.CaseID].purgedInPortal[p.FolderAttachmentID] = true
	}
	return answer{}, nil
}
