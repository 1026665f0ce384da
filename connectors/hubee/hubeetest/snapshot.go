package hubeetest

import (
	"slices"
	"time"
)

// Snapshot is what GET /_admin/state shows: no applicant, no content, no secret.
type Snapshot struct {
	Now           time.Time           `json:"now"`
	Switches      Switches            `json:"switches"`
	Totals        Totals              `json:"totals"`
	Organizations []string            `json:"organizations"`
	Subscriptions []SubscriptionState `json:"subscriptions"`
	Folders       []FolderState       `json:"folders"`
	Notifications []NotificationState `json:"notifications"`
}

// Totals count what the simulator holds.
type Totals struct {
	Folders       int                `json:"folders"`
	Complete      int                `json:"complete"`   // HUBEE_COMPLETED or further, every file RECEIVED
	Duplicates    int                `json:"duplicates"` // folders whose external id another one has too
	Cases         map[Status]int     `json:"cases"`
	Attachments   map[FileStatus]int `json:"attachments"`
	Events        int                `json:"events"`
	Notifications map[string]int     `json:"notifications"` // by recipient
	Mails         int                `json:"mails"`
}

// SubscriptionState is a subscription.
type SubscriptionState struct {
	ID          string `json:"id"`
	DatapassID  int64  `json:"datapassId"`
	ProcessCode string `json:"processCode"`
	Subscriber  string `json:"subscriber"`
	Status      string `json:"status"`
	AccessMode  string `json:"accessMode"`
	Delegate    string `json:"delegate"`
}

// FolderState is a folder.
type FolderState struct {
	ID           string            `json:"id"`
	ExternalID   string            `json:"externalId"`
	ProcessCode  string            `json:"processCode"`
	GlobalStatus Status            `json:"globalStatus"`
	Transmitter  string            `json:"transmitter"`
	Created      time.Time         `json:"created"`
	Cases        []CaseState       `json:"cases"`
	Attachments  []AttachmentState `json:"attachments"`
}

// Complete reports a folder that was completed with every file.
func (f FolderState) Complete() bool {
	return f.GlobalStatus.reached() >= HubeeCompleted.reached() &&
		!slices.ContainsFunc(f.Attachments, func(a AttachmentState) bool { return a.Status != Received })
}

// CaseState is a case and its events, oldest first.
type CaseState struct {
	ID         string       `json:"id"`
	ExternalID string       `json:"externalId"`
	Recipient  string       `json:"recipient"`
	Status     Status       `json:"status"`
	Events     []EventState `json:"events"`
}

// EventState is an event.
type EventState struct {
	ID          string            `json:"id"`
	Transmitter string            `json:"transmitter"`
	ActionType  string            `json:"actionType"`
	Status      string            `json:"status"`
	NewStatus   Status            `json:"caseNewStatus"`
	Message     string            `json:"message"`
	Attachments []AttachmentState `json:"attachments"`
}

// AttachmentState is a file; Uploads counts the PUTs that reached it.
type AttachmentState struct {
	ID       string     `json:"id"`
	FileName string     `json:"fileName"`
	MimeType string     `json:"mimeType"`
	Size     int64      `json:"size"`
	Status   FileStatus `json:"status"`
	Digest   string     `json:"digest"`
	Uploads  int        `json:"uploads"`
}

// NotificationState is one that waits in a queue.
type NotificationState struct {
	ID          string `json:"id"`
	Recipient   string `json:"recipient"`
	ProcessCode string `json:"processCode"`
	CaseID      string `json:"caseId"`
	EventID     string `json:"eventId"`
}

// Snapshot gives all that the simulator holds now.
func (s *Server) Snapshot() Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	out := Snapshot{
		Now: s.Now(), Switches: s.switches, Totals: s.totals(), Organizations: []string{},
		Subscriptions: []SubscriptionState{}, Folders: []FolderState{}, Notifications: []NotificationState{},
	}
	for name := range s.organizations {
		out.Organizations = append(out.Organizations, name.String())
	}
	slices.Sort(out.Organizations)
	for _, sub := range s.order {
		out.Subscriptions = append(out.Subscriptions, SubscriptionState{
			ID: sub.id, DatapassID: sub.body.DatapassID, ProcessCode: sub.body.ProcessCode, Subscriber: sub.body.Subscriber.String(),
			Status: orEmpty(sub.body.Status), AccessMode: orEmpty(sub.body.AccessMode), Delegate: sub.delegate(),
		})
	}
	for _, f := range s.folderOrder {
		out.Folders = append(out.Folders, f.state())
	}
	for _, of := range out.Organizations {
		name, _ := parseOrganizationID(of)
		for _, n := range s.queues[name] {
			shown := NotificationState{ID: n.id, Recipient: of, ProcessCode: n.processCode, CaseID: n.file.id}
			if n.event != nil {
				shown.EventID = n.event.id
			}
			out.Notifications = append(out.Notifications, shown)
		}
	}
	return out
}

// Folders lists the folders of an external id, oldest first; "" lists all.
func (s *Server) Folders(externalID string) []FolderState {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	var out []FolderState
	for _, f := range s.folderOrder {
		if externalID == "" || f.externalID == externalID {
			out = append(out, f.state())
		}
	}
	return out
}

// File gives the bytes that are held of an attachment.
func (s *Server) File(id string) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	a := s.attachments[id]
	if a == nil || a.status != Received {
		return nil, false
	}
	return slices.Clone(a.content), true
}

// Totals counts what is held now.
func (s *Server) Totals() Totals {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	return s.totals()
}

// totals needs the lock.
func (s *Server) totals() Totals {
	out := Totals{
		Folders: len(s.folders), Cases: map[Status]int{}, Attachments: map[FileStatus]int{}, Events: len(s.events),
		Notifications: map[string]int{}, Mails: len(s.mails),
	}
	for _, f := range s.folderOrder {
		complete := f.status.reached() >= HubeeCompleted.reached()
		for _, a := range f.attachments {
			complete = complete && a.status == Received
			out.Attachments[a.status]++
		}
		if complete {
			out.Complete++
		}
		for _, c := range f.cases {
			out.Cases[c.status]++
		}
	}
	for _, n := range s.byExternalID {
		if n > 1 {
			out.Duplicates += n - 1
		}
	}
	for of, queue := range s.queues {
		if len(queue) > 0 {
			out.Notifications[of.String()] = len(queue)
		}
	}
	return out
}

func (f *folder) state() FolderState {
	out := FolderState{
		ID: f.id, ExternalID: f.externalID, ProcessCode: f.processCode, GlobalStatus: f.status, Transmitter: f.transmitter.String(),
		Created: f.created, Attachments: attachmentStates(f.attachments),
	}
	for _, c := range f.cases {
		shown := CaseState{ID: c.id, ExternalID: c.externalID, Recipient: c.recipient.String(), Status: c.status, Events: []EventState{}}
		for _, e := range c.events {
			one := EventState{
				ID: e.id, Transmitter: e.transmitter.String(), ActionType: orEmpty(e.body.ActionType), Status: e.status,
				Message: orEmpty(e.body.Message), Attachments: attachmentStates(e.attachments),
			}
			if e.body.CaseNewStatus != nil {
				one.NewStatus = *e.body.CaseNewStatus
			}
			shown.Events = append(shown.Events, one)
		}
		out.Cases = append(out.Cases, shown)
	}
	return out
}

func attachmentStates(list []*attachment) []AttachmentState {
	out := []AttachmentState{}
	for _, a := range list {
		out = append(out, AttachmentState{
			ID: a.id, FileName: a.fileName, MimeType: a.mimeType, Size: a.size, Status: a.status, Digest: a.digest, Uploads: a.uploads,
		})
	}
	return out
}
