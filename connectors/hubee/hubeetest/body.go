package hubeetest

import "time"

// moment is written as folders, cases and notifications carry dates: "…:40.120Z".
type moment time.Time

func (m moment) MarshalText() ([]byte, error) {
	return []byte(time.Time(m).UTC().Format("2006-01-02T15:04:05.000Z")), nil
}

// offsetMoment is written as events, organisations and subscriptions carry
// dates: "…:02.438+00:00".
type offsetMoment time.Time

func (m offsetMoment) MarshalText() ([]byte, error) {
	return []byte(time.Time(m).UTC().Format("2006-01-02T15:04:05.000-07:00")), nil
}

func momentOrNull(t *time.Time) *moment {
	if t == nil {
		return nil
	}
	m := moment(*t)
	return &m
}

func offsetOrNull(t *time.Time) *offsetMoment {
	if t == nil {
		return nil
	}
	m := offsetMoment(*t)
	return &m
}

type applicantBody struct {
	FirstName string  `json:"firstName" yaml:"firstName"`
	LastName  string  `json:"lastName" yaml:"lastName"`
	Email     *string `json:"email" yaml:"email"`
}

type partnerInfoBody struct {
	EditorName      *string `json:"editorName"`
	ApplicationName *string `json:"applicationName"`
	SoftwareVersion *string `json:"softwareVersion"`
}

type attachmentBody struct {
	ID         string     `json:"id,omitempty"`
	Status     FileStatus `json:"status,omitempty"`
	FileName   string     `json:"fileName"`
	Type       string     `json:"type"`
	Size       int64      `json:"size"`
	MimeType   string     `json:"mimeType"`
	Recipients []string   `json:"recipients,omitempty"`
}

type caseOfFolderBody struct {
	ID                   string         `json:"id,omitempty"`
	Status               Status         `json:"status,omitempty"`
	Recipient            OrganizationID `json:"recipient"`
	ExternalID           string         `json:"externalId"`
	UpdateDateTime       *moment        `json:"updateDateTime"`
	TransmissionDateTime *moment        `json:"transmissionDateTime"`
	PartnerAttributes    *string        `json:"partnerAttributes"`
}

type folderBody struct {
	ID             string             `json:"id"`
	GlobalStatus   Status             `json:"globalStatus"`
	ProcessCode    string             `json:"processCode"`
	CreateDateTime moment             `json:"createDateTime"`
	CloseDateTime  *moment            `json:"closeDateTime"`
	Applicant      applicantBody      `json:"applicant"`
	ExternalID     string             `json:"externalId"`
	UpdateDateTime *moment            `json:"updateDateTime"`
	PartnerInfo    *partnerInfoBody   `json:"partnerInfo"`
	Cases          []caseOfFolderBody `json:"cases"`
	Attachments    []attachmentBody   `json:"attachments"`
}

func (f *folder) body() folderBody {
	out := folderBody{
		ID: f.id, GlobalStatus: f.status, ProcessCode: f.processCode, CreateDateTime: moment(f.created),
		CloseDateTime: momentOrNull(f.closed), Applicant: f.applicant, ExternalID: f.externalID,
		UpdateDateTime: momentOrNull(f.updated), PartnerInfo: f.partner,
		Cases: []caseOfFolderBody{}, Attachments: []attachmentBody{},
	}
	for _, c := range f.cases {
		out.Cases = append(out.Cases, caseOfFolderBody{
			ID: c.id, Status: c.status, Recipient: c.recipient, ExternalID: c.externalID,
			UpdateDateTime: momentOrNull(c.updated), TransmissionDateTime: momentOrNull(c.transmitted),
			PartnerAttributes: c.partnerAttributes,
		})
	}
	for _, a := range f.attachments {
		shown := a.body()
		shown.Recipients = a.recipients
		out.Attachments = append(out.Attachments, shown)
	}
	return out
}

func (a *attachment) body() attachmentBody {
	return attachmentBody{
		ID: a.id, Status: a.status, FileName: a.fileName, Type: a.kind, Size: a.size, MimeType: a.mimeType,
	}
}

type caseBody struct {
	ID                   string            `json:"id"`
	Status               Status            `json:"status"`
	Recipient            OrganizationID    `json:"recipient"`
	ExternalID           string            `json:"externalId"`
	UpdateDateTime       *moment           `json:"updateDateTime"`
	TransmissionDateTime *moment           `json:"transmissionDateTime"`
	ProcessCode          string            `json:"processCode"`
	CreateDateTime       moment            `json:"createDateTime"`
	CloseDateTime        *moment           `json:"closeDateTime"`
	PartnerAttributes    *string           `json:"partnerAttributes"`
	Applicant            applicantBody     `json:"applicant"`
	Attachments          *[]attachmentBody `json:"attachments,omitempty"`
	Events               *[]eventView      `json:"events,omitempty"`
}

// body shows the case to an actor; a light one has neither files nor events.
func (c *caseFile) body(to Actor, light bool) caseBody {
	out := caseBody{
		ID: c.id, Status: c.status, Recipient: c.recipient, ExternalID: c.externalID,
		UpdateDateTime: momentOrNull(c.updated), TransmissionDateTime: momentOrNull(c.transmitted),
		ProcessCode: c.folder.processCode, CreateDateTime: moment(c.folder.created), CloseDateTime: momentOrNull(c.closed),
		PartnerAttributes: c.partnerAttributes, Applicant: c.folder.applicant,
	}
	if light {
		return out
	}
	attachments, events := []attachmentBody{}, []eventView{}
	for _, a := range c.attachmentsOfThisCase {
		attachments = append(attachments, a.body())
	}
	for _, e := range c.events {
		events = append(events, e.view(to))
	}
	out.Attachments, out.Events = &attachments, &events
	return out
}

// eventBody is what a client sends.
type eventBody struct {
	Message           *string          `json:"message"`
	Comment           *string          `json:"comment"`
	ActionType        *string          `json:"actionType"`
	Author            *string          `json:"author"`
	Notification      *bool            `json:"notification"`
	CaseCurrentStatus *Status          `json:"caseCurrentStatus"`
	CaseNewStatus     *Status          `json:"caseNewStatus"`
	PartnerAttributes *string          `json:"partnerAttributes"`
	Attachments       []attachmentBody `json:"attachments"`
}

func (b eventBody) deposits() bool { return b.ActionType != nil && *b.ActionType == attachDeposit }

// eventView is what HubEE answers: what was sent, and the hub's own.
type eventView struct {
	eventBody
	ID             string           `json:"id"`
	Transmitter    OrganizationID   `json:"transmitter"`
	CreateDateTime offsetMoment     `json:"createDateTime"`
	UpdateDateTime *offsetMoment    `json:"updateDateTime"`
	Status         string           `json:"status"`
	Attachments    []attachmentBody `json:"attachments"`
	PartnerInfo    *partnerInfoBody `json:"partnerInfo"`
}

// view hides the comment from the OSL: it is for administrations only.
func (e *event) view(to Actor) eventView {
	out := eventView{
		eventBody: e.body, ID: e.id, Transmitter: e.transmitter, CreateDateTime: offsetMoment(e.created),
		UpdateDateTime: offsetOrNull(e.updated), Status: e.status, Attachments: []attachmentBody{}, PartnerInfo: e.partner,
	}
	if to == OSL {
		out.Comment = nil
	}
	for _, a := range e.attachments {
		out.Attachments = append(out.Attachments, a.body())
	}
	return out
}

type notificationBody struct {
	ID          string         `json:"id"`
	Recipient   OrganizationID `json:"recipient"`
	Transmitter OrganizationID `json:"transmitter"`
	ProcessCode string         `json:"processCode"`
	CaseID      string         `json:"caseId"`
	EventID     *string        `json:"eventId"`
	*eventDetails
	DateTime moment `json:"dateTime"`
}

type eventDetails struct {
	EventActionType *string `json:"eventActionType"`
	EventStatus     *string `json:"eventStatus"`
}

func (n *notification) body(details bool) notificationBody {
	out := notificationBody{
		ID: n.id, Recipient: n.recipient, Transmitter: n.transmitter, ProcessCode: n.processCode,
		CaseID: n.file.id, DateTime: moment(n.at),
	}
	if details {
		out.eventDetails = &eventDetails{}
	}
	if n.event != nil {
		out.EventID = &n.event.id
		if details {
			status := n.event.status
			out.EventActionType, out.EventStatus = n.event.body.ActionType, &status
		}
	}
	return out
}
