package hubeetest

import (
	"strings"
	"time"
)

// Actor is who calls, and the scope of his tokens (hubee.md, 1).
type Actor string

// The actors.
const (
	OSL      Actor = "OSL"
	SI       Actor = "SI"
	DataPass Actor = "DATAPASS"
	Admin    Actor = "ADMIN"
)

// Status is that of a case, and the global one of a folder (hubee.md, 7).
type Status string

// The statuses.
const (
	HubeeReceived  Status = "HUBEE_RECEIVED"
	HubeeCompleted Status = "HUBEE_COMPLETED"
	HubeeNotified  Status = "HUBEE_NOTIFIED"
	Sent           Status = "SENT"
	SIReceived     Status = "SI_RECEIVED"
	InProgress     Status = "IN_PROGRESS"
	AddAwaiting    Status = "ADD_AWAITING"
	SIIntgError    Status = "SI_INTG_ERROR"
	Refused        Status = "REFUSED"
	Done           Status = "DONE"
	Closed         Status = "CLOSED"
	Archived       Status = "ARCHIVED"
)

// FileStatus is that of an attachment (hubee.md, 6).
type FileStatus string

// The statuses of an attachment.
const (
	Pending   FileStatus = "PENDING"
	Received  FileStatus = "RECEIVED"
	Corrupted FileStatus = "CORRUPTED"
	Rejected  FileStatus = "REJECTED"
	Deleted   FileStatus = "DELETED"
)

// Statuses of an event.
const (
	eventInProgress = "IN_PROGRESS"
	eventSent       = "SENT"
	eventReceived   = "RECEIVED"
)

const attachDeposit = "ATTACH_DEPOSIT"

// OrganizationID names an organisation: no part of it does so alone.
type OrganizationID struct {
	Type            string `json:"type" yaml:"type"`
	CompanyRegister string `json:"companyRegister" yaml:"companyRegister"`
	BranchCode      string `json:"branchCode" yaml:"branchCode"`
}

// String is the form of HubEE's paths and texts: "SI-21040107100019-04107".
func (o OrganizationID) String() string {
	return o.Type + "-" + o.CompanyRegister + "-" + o.BranchCode
}

func parseOrganizationID(text string) (OrganizationID, bool) {
	parts := strings.SplitN(text, "-", 3)
	if len(parts) != 3 {
		return OrganizationID{}, false
	}
	return OrganizationID{parts[0], parts[1], parts[2]}, true
}

// folder is what an OSL sent.
type folder struct {
	id, processCode, externalID string
	status                      Status
	applicant                   applicantBody
	transmitter                 OrganizationID
	partner                     *partnerInfoBody
	created                     time.Time
	updated, closed             *time.Time
	cases                       []*caseFile
	attachments                 []*attachment
}

// caseFile is the part of a folder that one administration receives.
type caseFile struct {
	id, externalID        string
	folder                *folder
	recipient             OrganizationID
	status                Status
	since                 time.Time // it has this status
	partnerAttributes     *string
	updated, closed       *time.Time
	transmitted           *time.Time
	events                []*event
	attachmentsOfThisCase []*attachment
	purgedInPortal        map[string]bool // by attachment id
}

type attachment struct {
	id, fileName, kind, mimeType string
	size                         int64
	status                       FileStatus
	recipients                   []string // external ids of cases; nil for an event's
	content                      []byte
	digest                       string // base64 SHA-256 of what was stored
	uploads                      int
	purgePlanned                 bool
}

type event struct {
	id, status  string
	file        *caseFile
	transmitter OrganizationID
	body        eventBody
	partner     *partnerInfoBody
	created     time.Time
	updated     *time.Time
	attachments []*attachment
}

type notification struct {
	id                     string
	recipient, transmitter OrganizationID
	processCode            string
	file                   *caseFile
	event                  *event // nil: a new case
	at                     time.Time
}

// Mail is one that HubEE would send to an administration.
type Mail struct {
	At           time.Time `json:"at"`
	To           string    `json:"to"`
	Organization string    `json:"organization"`
	ProcessCode  string    `json:"processCode"`
	CaseID       string    `json:"caseId"`
	Reason       string    `json:"reason"` // "new_case" or "event"
}

// progress orders statuses by how far a case has come.
var progress = map[Status]int{
	HubeeReceived: 0, HubeeCompleted: 1, HubeeNotified: 2, Sent: 3, SIReceived: 4, InProgress: 5, AddAwaiting: 5,
	SIIntgError: 5, Refused: 6, Done: 6, Closed: 7, Archived: 8,
}

// reached is what the purge, and the folder that follows its cases, compare.
func (s Status) reached() int { return progress[s] }
