package hubee

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
)

// Sender is HubEE in the role of an online service.
type Sender struct{ *client }

var _ connectors.FolderService = (*Sender)(nil)

// The objects of hubee.md, 6, as far as they are read or written.
type (
	folderJSON struct {
		ID           string       `json:"id"`
		GlobalStatus string       `json:"globalStatus"`
		ExternalID   string       `json:"externalId"`
		Cases        []caseJSON   `json:"cases"`
		Attachments  []storedJSON `json:"attachments"`
	}
	caseJSON struct {
		ID         string `json:"id"`
		ExternalID string `json:"externalId"`
		Status     string `json:"status"`
	}
	storedJSON struct {
		ID       string `json:"id"`
		FileName string `json:"fileName"`
		Size     int64  `json:"size"`
		Status   string `json:"status"`
	}
	folderRequestJSON struct {
		ProcessCode string            `json:"processCode"`
		ExternalID  string            `json:"externalId"`
		Applicant   applicantJSON     `json:"applicant"`
		Cases       []caseRequestJSON `json:"cases"`
		Attachments []fileRequestJSON `json:"attachments"`
	}
	applicantJSON struct {
		FirstName string `json:"firstName"`
		LastName  string `json:"lastName"`
	}
	caseRequestJSON struct {
		Recipient  connectors.OrganizationRef `json:"recipient"`
		ExternalID string                     `json:"externalId"`
	}
	fileRequestJSON struct {
		FileName   string   `json:"fileName"`
		Type       string   `json:"type"`
		Size       int64    `json:"size"`
		MIMEType   string   `json:"mimeType"`
		Recipients []string `json:"recipients"`
	}
	eventJSON struct {
		ID             string   `json:"id"`
		ActionType     string   `json:"actionType"`
		Status         string   `json:"status"`
		CaseNewStatus  string   `json:"caseNewStatus"`
		Message        *string  `json:"message"`
		CreateDateTime dateTime `json:"createDateTime"`
	}
	noticeJSON struct {
		ID          string  `json:"id"`
		ProcessCode string  `json:"processCode"`
		CaseID      *string `json:"caseId"`
		EventID     *string `json:"eventId"`
	}
)

// dateTime reads RFC 3339; HubEE writes Z and +00:00. What is no date is the zero
// time: nothing that the hub decides depends on it.
type dateTime struct{ time.Time }

// UnmarshalText reads it.
func (d *dateTime) UnmarshalText(text []byte) error {
	d.Time, _ = time.Parse(time.RFC3339Nano, string(text))
	return nil
}

func (f folderJSON) folder() connectors.Folder {
	out := connectors.Folder{ID: f.ID, ExternalID: f.ExternalID, Status: connectors.FolderStatus(f.GlobalStatus)}
	for _, c := range f.Cases {
		out.Cases = append(out.Cases, connectors.FolderCase{ID: c.ID, ExternalID: c.ExternalID, Status: connectors.FolderStatus(c.Status)})
	}
	for _, a := range f.Attachments {
		out.Files = append(out.Files, connectors.StoredFile{ID: a.ID, Name: a.FileName, Size: a.Size, Status: connectors.FileStatus(a.Status)})
	}
	return out
}

// CreateFolder makes a folder with one case.
func (s *Sender) CreateFolder(ctx context.Context, d connectors.FolderDraft) (connectors.Folder, error) {
	if err := s.check(d); err != nil {
		return connectors.Folder{}, err
	}
	in := folderRequestJSON{
		ProcessCode: d.Process, ExternalID: d.ExternalID,
		Applicant: applicantJSON{FirstName: d.FirstNames.Reveal(), LastName: d.LastName.Reveal()},
		Cases:     []caseRequestJSON{{Recipient: d.Recipient, ExternalID: d.CaseExternalID}},
	}
	for _, f := range d.Files {
		in.Attachments = append(in.Attachments, fileRequestJSON{
			FileName: f.Name, Type: f.Type, Size: f.Size, MIMEType: f.MIME, Recipients: []string{d.CaseExternalID},
		})
	}
	var out folderJSON
	err := s.call(ctx, outbound.Call{
		Op: "create a folder", Method: http.MethodPost, Route: foldersBase + "/folders", In: in, Out: &out,
		Secrets: []connectors.Secret{d.FirstNames, d.LastName},
	})
	if err != nil {
		return connectors.Folder{}, err
	}
	return s.sound(out, "create a folder")
}

// check refuses here what HubEE would refuse, naming what is too long: our bug.
func (s *Sender) check(d connectors.FolderDraft) error {
	fault := ""
	for name, part := range map[string]struct {
		text string
		max  int
	}{
		"externalId": {d.ExternalID, maxExternalID}, "the case's externalId": {d.CaseExternalID, maxExternalID},
		"processCode": {d.Process, 30}, "firstName": {d.FirstNames.Reveal(), maxMetadata}, "lastName": {d.LastName.Reveal(), maxMetadata},
	} {
		if n := utf8.RuneCountInString(part.text); n == 0 || n > part.max {
			fault = fmt.Sprintf("%s has %d characters, not 1 to %d", name, n, part.max)
		}
	}
	if len(d.Files) == 0 {
		fault = "a folder needs a file"
	}
	if fault == "" {
		return nil
	}
	return &connectors.Error{Class: connectors.Rejected, Partner: s.deps.Name, Op: "create a folder", Detail: fault}
}

// sound refuses an answer that does not say which folder it is.
func (s *Sender) sound(f folderJSON, op string) (connectors.Folder, error) {
	if f.ID == "" || f.GlobalStatus == "" {
		return connectors.Folder{}, &connectors.Error{
			Class: connectors.Rejected, Partner: s.deps.Name, Op: op, Detail: "the answer holds no id or no globalStatus",
		}
	}
	return f.folder(), nil
}

// Folder reads one.
func (s *Sender) Folder(ctx context.Context, id string) (connectors.Folder, error) {
	var out folderJSON
	err := s.call(ctx, outbound.Call{
		Op: "read a folder", Method: http.MethodGet, Route: foldersBase + "/folders/{folderId}", Params: map[string]string{"folderId": id}, Out: &out,
	})
	if err != nil {
		return connectors.Folder{}, err
	}
	return s.sound(out, "read a folder")
}

// Upload sends one attachment.
func (s *Sender) Upload(ctx context.Context, folderID, fileID string, content []byte) error {
	sum := sha256.Sum256(content)
	err := s.call(ctx, outbound.Call{
		Op: "upload a file", Method: http.MethodPut, Route: foldersBase + "/folders/{folderId}/attachments/{attachmentId}",
		Params: map[string]string{"folderId": folderID, "attachmentId": fileID},
		Header: http.Header{"Content-Type": {"application/octet-stream"}, "Digest": {base64.StdEncoding.EncodeToString(sum[:])}},
		In:     content,
	})
	return err
}

// CompleteFolder hands it over.
func (s *Sender) CompleteFolder(ctx context.Context, id string) error {
	return s.patch(ctx, "complete a folder", foldersBase+"/folders/{folderId}", map[string]string{"folderId": id},
		map[string]string{"globalStatus": string(connectors.FolderCompleted)})
}

// CloseFolder ends it; its case is closed first (hubee.md, 7).
func (s *Sender) CloseFolder(ctx context.Context, id string) error {
	return s.patch(ctx, "close a folder", foldersBase+"/folders/{folderId}", map[string]string{"folderId": id},
		map[string]string{"globalStatus": string(connectors.FolderClosed), "closeDateTime": s.deps.Now().UTC().Format("2006-01-02T15:04:05.000Z07:00")})
}

// CloseCase ends it and tells the recipient: the status, then the event that
// carries the notice (hubee.md, 8, 4). Each is done unless it is done already.
func (s *Sender) CloseCase(ctx context.Context, caseID, author, message string) error {
	route, params := foldersBase+"/cases/{caseId}", map[string]string{"caseId": caseID}
	var before struct {
		caseJSON
		Events []eventJSON `json:"events"`
	}
	err := s.call(ctx, outbound.Call{Op: "read a case", Method: http.MethodGet, Route: route, Params: params, Out: &before})
	if err != nil {
		return err
	}
	closed := string(connectors.FolderClosed)
	if before.Status != closed {
		if err := s.patch(ctx, "close a case", route, params, map[string]string{"status": closed}); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(before.Events, func(e eventJSON) bool { return e.CaseNewStatus == closed }) {
		return nil
	}
	err = s.call(ctx, outbound.Call{
		Op: "tell that a case is closed", Method: http.MethodPost, Route: route + "/events", Params: params,
		In: map[string]any{
			"actionType": "STATUS_UPDATE", "notification": true, "author": author, "message": message,
			"caseCurrentStatus": before.Status, "caseNewStatus": closed,
		},
		Out: &eventJSON{},
	})
	return err
}

// DeleteFolder takes back one that is not complete; one that is gone is a success.
func (s *Sender) DeleteFolder(ctx context.Context, id string) error {
	err := s.call(ctx, outbound.Call{
		Op: "delete a folder", Method: http.MethodDelete, Route: foldersBase + "/folders/{folderId}", Params: map[string]string{"folderId": id},
	})
	return unlessGone(err)
}

// Notices reads a part of our queue. What is not of the process asked for is
// given too: the caller counts it and lets it be (HC-6).
func (s *Sender) Notices(ctx context.Context, process string, limit int) ([]connectors.FolderNotice, error) {
	var list []noticeJSON
	err := s.call(ctx, outbound.Call{
		Op: "read notices", Method: http.MethodGet, Route: foldersBase + "/notifications",
		Query: url.Values{"processCode": {process}, "maxResult": {strconv.Itoa(limit)}}, Out: &list,
	})
	if err != nil {
		return nil, err
	}
	var out []connectors.FolderNotice
	for _, n := range list {
		notice := connectors.FolderNotice{ID: n.ID, Process: n.ProcessCode}
		if n.CaseID != nil {
			notice.CaseID = *n.CaseID
		}
		if n.EventID != nil {
			notice.EventID = *n.EventID
		}
		out = append(out, notice)
	}
	return out, nil
}

// Event reads one.
func (s *Sender) Event(ctx context.Context, caseID, eventID string) (connectors.CaseEvent, error) {
	var out eventJSON
	err := s.call(ctx, outbound.Call{
		Op: "read an event", Method: http.MethodGet, Route: foldersBase + "/cases/{caseId}/events/{eventId}",
		Params: map[string]string{"caseId": caseID, "eventId": eventID}, Out: &out,
	})
	event := connectors.CaseEvent{
		ID: out.ID, Action: out.ActionType, Status: out.Status, NewStatus: connectors.FolderStatus(out.CaseNewStatus), At: out.CreateDateTime.Time,
	}
	if out.Message != nil {
		event.Message = connectors.NewSecret(*out.Message)
	}
	return event, err
}

// AcknowledgeEvent marks it as read.
func (s *Sender) AcknowledgeEvent(ctx context.Context, caseID, eventID string) error {
	return unlessGone(s.patch(ctx, "acknowledge an event", foldersBase+"/cases/{caseId}/events/{eventId}",
		map[string]string{"caseId": caseID, "eventId": eventID}, map[string]string{"status": "RECEIVED"}))
}

// DeleteNotice forgets it.
func (s *Sender) DeleteNotice(ctx context.Context, id string) error {
	err := s.call(ctx, outbound.Call{
		Op: "delete a notice", Method: http.MethodDelete, Route: foldersBase + "/notifications/{notificationId}", Params: map[string]string{"notificationId": id},
	})
	return unlessGone(err)
}

// Health reads one entry of the queue.
func (s *Sender) Health(ctx context.Context) (connectors.Health, error) {
	return s.health(ctx, outbound.Call{
		Op: "health", Method: http.MethodGet, Route: foldersBase + "/notifications", Query: url.Values{"maxResult": {"1"}}, Out: &[]noticeJSON{},
	})
}

func (s *Sender) patch(ctx context.Context, op, route string, params, body map[string]string) error {
	err := s.call(ctx, outbound.Call{Op: op, Method: http.MethodPatch, Route: route, Params: params, In: body})
	return err
}

// unlessGone: what should go and is not there has gone.
func unlessGone(err error) error {
	if connectors.Is(err, connectors.NotFound) {
		return nil
	}
	return err
}

// fits shortens a text to HubEE's limit in characters, at a space where there is one.
func fits(text string, limit int) string {
	text = strings.Join(strings.Fields(text), " ")
	if utf8.RuneCountInString(text) <= limit {
		return text
	}
	cut := string([]rune(text)[:limit])
	if i := strings.LastIndexByte(cut, ' '); i > 0 {
		return cut[:i]
	}
	return cut
}
