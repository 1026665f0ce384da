package hubeetest

import (
	"fmt"
	"net/http"
	"slices"
)

// Process is a démarche: what its administrations may answer, which files it
// takes and when they are purged (hubee.md, 10; the shape is that of 2021).
type Process struct {
	Code                     string   `json:"code" yaml:"code"`
	Name                     string   `json:"name" yaml:"name"`
	Statuses                 []Status `json:"statuses" yaml:"statuses"` // that an SI may give; empty: all
	StatusBeforeFileDeletion Status   `json:"statusBeforeFileDeletion" yaml:"statusBeforeFileDeletion"`
	TimeBeforeFileDeletion   int      `json:"timeBeforeFileDeletion" yaml:"timeBeforeFileDeletion"`               // days, and one more
	TimeBeforeArchiving      int      `json:"timeBeforeArchiving" yaml:"timeBeforeArchiving"`                     // days in CLOSED
	TimeBeforeFolderDeletion int      `json:"timeBeforeFolderDeletion" yaml:"timeBeforeFolderDeletion"`           // days in ARCHIVED
	AttachmentMaxSizeEnabled int64    `json:"attachmentMaxSizeEnabled,omitempty" yaml:"attachmentMaxSizeEnabled"` // bytes; 0: HubEE's own
	AttachmentFormatsEnabled []string `json:"attachmentFormatsEnabled,omitempty" yaml:"attachmentFormatsEnabled"` // MIME types; empty: all
	AttachmentTypesEnabled   []string `json:"attachmentTypesEnabled,omitempty" yaml:"attachmentTypesEnabled"`     // empty: all
}

func (p *Process) takes(a attachmentBody) bool {
	allows := func(list []string, value string) bool { return len(list) == 0 || slices.Contains(list, value) }
	return (p.AttachmentMaxSizeEnabled == 0 || a.Size <= p.AttachmentMaxSizeEnabled) &&
		allows(p.AttachmentFormatsEnabled, a.MimeType) && allows(p.AttachmentTypesEnabled, a.Type)
}

func (s *Server) createProcess(c *call) (answer, *refusal) {
	var in Process
	if refused := c.decode(&in); refused != nil {
		return answer{}, refused
	}
	if s.processes[in.Code] != nil {
		return answer{}, refuse(http.StatusBadRequest, fmt.Sprintf("Process %s already exists", in.Code)) // inferred
	}
	s.processes[in.Code] = &in
	return answer{body: in}, nil
}

func (s *Server) getProcess(c *call) (answer, *refusal) {
	p := s.processes[c.param("code")]
	if p == nil {
		return answer{}, refuse(http.StatusNotFound, "Process is not found") // inferred
	}
	return answer{body: p}, nil
}

func (s *Server) putProcess(c *call) (answer, *refusal) {
	var in Process
	if refused := c.decode(&in); refused != nil {
		return answer{}, refused
	}
	switch {
	case s.processes[c.param("code")] == nil:
		return answer{}, refuse(http.StatusNotFound, "Process is not found") // inferred
	case in.Code != c.param("code"):
		return answer{}, refuse(http.StatusBadRequest, badRequest)
	}
	s.processes[in.Code] = &in
	return answer{body: in}, nil
}
