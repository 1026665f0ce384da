package connectors

import (
	"context"
	"errors"
	"time"
)

// Causes that a FolderService or a ReceiverDirectory gives beside the class of
// its error, for errors.Is.
var (
	// ErrNotSubscribed: the recipient has no active subscription to the process.
	ErrNotSubscribed = errors.New("the recipient has no active subscription")
	// ErrUnknownRecipient: the hub of the administrations knows no such organization.
	ErrUnknownRecipient = errors.New("the recipient does not exist")
	// ErrAlreadyExists: the object is there already, made by us or by another.
	ErrAlreadyExists = errors.New("it already exists")
)

// OrganizationRef is the key of an organization at HubEE: type, SIRET and branch
// code together (hubee.md, 1). Two organizations may share one of the last two.
type OrganizationRef struct {
	Type   string `json:"type"`            // "SI" for a commune, "OSL" for us, "EDT" for an editor
	SIRET  string `json:"companyRegister"` // 14 digits
	Branch string `json:"branchCode"`      // INSEE COG code, 5 characters
}

// String prints it as HubEE does: SI-21040107100019-04107.
func (o OrganizationRef) String() string { return o.Type + "-" + o.SIRET + "-" + o.Branch }

// FolderStatus is the state of a folder or a case, HubEE's own words (hubee.md, 7).
// Words that are not listed are kept as they are.
type FolderStatus string

// The states in which the hub acts.
const (
	FolderReceived    FolderStatus = "HUBEE_RECEIVED"  // created, not complete: nobody was told
	FolderCompleted   FolderStatus = "HUBEE_COMPLETED" // all data sent
	FolderNotified    FolderStatus = "HUBEE_NOTIFIED"  // the recipient was told
	CaseSent          FolderStatus = "SENT"
	CaseReceived      FolderStatus = "SI_RECEIVED"
	CaseInProgress    FolderStatus = "IN_PROGRESS"
	CaseAddAwaiting   FolderStatus = "ADD_AWAITING"
	CaseIntegrationKO FolderStatus = "SI_INTG_ERROR"
	CaseDone          FolderStatus = "DONE"
	CaseRefused       FolderStatus = "REFUSED"
	FolderClosed      FolderStatus = "CLOSED"
)

// FileStatus is the state of an attachment (hubee.md, 6).
type FileStatus string

// The states of an attachment.
const (
	FilePending   FileStatus = "PENDING"   // waited for
	FileReceived  FileStatus = "RECEIVED"  // stored
	FileCorrupted FileStatus = "CORRUPTED" // refused by the antivirus
	FileRejected  FileStatus = "REJECTED"  // does not match its metadata
	FileDeleted   FileStatus = "DELETED"   // purged
)

// FolderDraft is a folder with one case, as it is created.
type FolderDraft struct {
	Process        string // process code, 30 characters at most
	ExternalID     string // ours, drawn and committed before the call, 30 characters at most
	CaseExternalID string // 30 characters at most
	FirstNames     Secret // of the applicant, 255 characters at most
	LastName       Secret // 255 characters at most
	Recipient      OrganizationRef
	Files          []FolderFile // at least one
}

// FolderFile is what is said of an attachment before its bytes.
type FolderFile struct {
	Name string // 255 characters at most
	Type string // 100 characters at most
	MIME string
	Size int64 // bytes, exact
}

// Folder is a folder as HubEE shows it, without its applicant.
type Folder struct {
	ID         string
	ExternalID string
	Status     FolderStatus
	Cases      []FolderCase
	Files      []StoredFile
}

// FolderCase is the part of a folder that one recipient sees.
type FolderCase struct {
	ID         string
	ExternalID string
	Status     FolderStatus
}

// StoredFile is an attachment with HubEE's id.
type StoredFile struct {
	ID     string
	Name   string
	Size   int64
	Status FileStatus
}

// FolderNotice is one entry of our queue: a new case, or an event of a case.
// The queue is shared by all processes of the organization: a notice of another
// process is never ours to delete (hubee.md, 8, 7).
type FolderNotice struct {
	ID      string
	Process string
	CaseID  string
	EventID string // "" for a new case
}

// CaseEvent is what happened to a case. Message is free text of an agent: it may
// hold personal data.
type CaseEvent struct {
	ID        string
	Action    string // "STATUS_UPDATE", "ATTACH_DEPOSIT", "SENDING_MESSAGE", ...
	Status    string // "SENT" until its reader marks it "RECEIVED"
	NewStatus FolderStatus
	Message   Secret
	At        time.Time
}

// FolderService carries a folder to an administration, and brings back what
// became of it: HubEE in the role of an online service (hubee.md, 4 and 9).
//
// Errors: NotFound for an id that is not (or no longer) there; Rejected with
// ErrNotSubscribed or ErrUnknownRecipient when the recipient cannot receive;
// Conflict with ErrAlreadyExists for an external id that HubEE refuses a second
// time; Temporary whenever the outcome is unknown: look before repeating.
type FolderService interface {
	// CreateFolder makes it in FolderReceived. It cannot be looked up by its
	// external id: after a lost answer it is made again under the same one.
	CreateFolder(ctx context.Context, d FolderDraft) (Folder, error)
	Folder(ctx context.Context, id string) (Folder, error)
	// Upload sends the bytes of one attachment, with their SHA-256.
	Upload(ctx context.Context, folderID, fileID string, content []byte) error
	// CompleteFolder hands it over: from here on the recipient sees it.
	CompleteFolder(ctx context.Context, id string) error
	// CloseFolder and CloseCase end what the recipient has answered.
	CloseFolder(ctx context.Context, id string) error
	CloseCase(ctx context.Context, caseID, author, message string) error
	// DeleteFolder takes back one that is not complete.
	DeleteFolder(ctx context.Context, id string) error

	// Notices gives at most limit entries of our queue for a process, in no order.
	// An entry comes again until DeleteNotice.
	Notices(ctx context.Context, process string, limit int) ([]FolderNotice, error)
	Event(ctx context.Context, caseID, eventID string) (CaseEvent, error)
	// AcknowledgeEvent marks an event as read; DeleteNotice forgets its notice. One
	// that is gone already is a success.
	AcknowledgeEvent(ctx context.Context, caseID, eventID string) error
	DeleteNotice(ctx context.Context, id string) error
	HealthChecker
}

// Receiver is an organization that may receive folders, as it is created.
type Receiver struct {
	Ref        OrganizationRef
	Name       string // 100 characters at most
	PostalCode string
	Territory  string // 255 characters at most
	Email      Secret // HubEE's pattern: hubee.md, 6
	Phone      Secret // HubEE's pattern, or empty
}

// Subscription is the right and the wish of a receiver to get a process.
type Subscription struct {
	ID          string
	Process     string
	Receiver    OrganizationRef
	DataPassID  int64
	Status      string // "Inactif", "Actif", "Refusé", "Suspendu"
	AccessMode  string // "PORTAIL", "API", "" before activation
	Delegate    string // who acts for the receiver: an organization's key or an e-mail, "" for nobody
	CreatedAt   time.Time
	ActivatedAt time.Time // zero before activation
}

// Active reports whether folders reach the receiver.
func (s Subscription) Active() bool { return s.Status == "Actif" }

// SubscriptionDraft asks for a subscription; HubEE's team activates it by hand
// (hubee.md, 11).
type SubscriptionDraft struct {
	Process     string
	Receiver    OrganizationRef
	DataPassID  int64
	Email       Secret // where notices go
	ValidatedAt time.Time

	AdminEmail, AdminFirstName, AdminLastName, AdminFunction, AdminPhone Secret
}

// ReceiverDirectory registers who may receive: HubEE with the credential of
// onboarding (hubee.md, 5 and 11). Conflict with ErrAlreadyExists for what is
// there already: look it up and compare.
type ReceiverDirectory interface {
	Receiver(ctx context.Context, ref OrganizationRef) (Receiver, error)
	CreateReceiver(ctx context.Context, r Receiver) error
	// Subscriptions gives those of a process for a SIRET, "" for all SIRETs.
	Subscriptions(ctx context.Context, process, siret string) ([]Subscription, error)
	CreateSubscription(ctx context.Context, d SubscriptionDraft) (Subscription, error)
	HealthChecker
}
