package hubeetest

import "net/http"

const (
	tokenPath    = "/oauth2/token"
	foldersBase  = "/teledossiers/v1"
	referential  = "/referential/v1"
	maxEditorLen = 50 // editorName, applicationName, softwareVersion
)

// parameter is one of a query.
type parameter struct {
	name        string
	schema      *schema
	unpublished bool // accepted though the file does not have it (hubee.md, 3)
}

// route is one operation. The table below is what a call is held to; a test
// compares it with the published files.
type route struct {
	method, base, path string
	scopes             []Actor
	// practice are scopes that the file does not name and HubEE takes (hubee.md, 5).
	practice []Actor
	query    []parameter
	digest   bool    // takes the header "digest"
	body     *schema // JSON
	binary   bool    // application/octet-stream
	patch    bool    // also served as POST with X-HTTP-Method-Override: PATCH
	status   int
	answer   *schema // JSON; nil for none or for a file
	handle   func(*Server, *call) (answer, *refusal)
	// unpublished: not in the files (hubee.md, 5).
	unpublished bool
}

var (
	everybody  = []Actor{OSL, SI, Admin}
	senders    = []Actor{OSL, Admin}
	freeText   = &schema{kind: "string"}
	wholeOrNot = &schema{kind: "integer"}
)

func routes() []route {
	return append(folderRoutes(), referentialRoutes()...)
}

func folderRoutes() []route {
	list := []route{
		{
			method: "GET", path: "/notifications", scopes: everybody, status: http.StatusOK,
			query: []parameter{
				{name: "maxResult", schema: &schema{kind: "number"}},
				{name: "processCode", schema: arrayOf(freeText)},
				{name: "processPriority", schema: arrayOf(freeText)},
				{name: "eventDetails", schema: freeText, unpublished: true},
			},
			answer: arrayOf(notificationSchema), handle: (*Server).listNotifications,
		},
		{
			method: "DELETE", path: "/notifications/{notificationId}", scopes: everybody, status: http.StatusNoContent,
			handle: (*Server).deleteNotification,
		},
		{
			method: "POST", path: "/folders", scopes: senders, body: folderSchema,
			status: http.StatusCreated, answer: folderSchema, handle: (*Server).createFolder,
		},
		{
			method: "GET", path: "/folders/{folderId}", scopes: senders,
			status: http.StatusOK, answer: folderSchema, handle: (*Server).getFolder,
		},
		{
			method: "PATCH", path: "/folders/{folderId}", scopes: senders, body: folderPatch, patch: true,
			status: http.StatusNoContent, handle: (*Server).patchFolder,
		},
		{
			method: "DELETE", path: "/folders/{folderId}", scopes: senders,
			status: http.StatusNoContent, handle: (*Server).deleteFolder,
		},
		{
			method: "PUT", path: "/folders/{folderId}/attachments/{attachmentId}", scopes: senders, digest: true, binary: true,
			status: http.StatusNoContent, handle: (*Server).putFolderAttachment,
		},
		{
			method: "PUT", path: "/cases/migrate", scopes: []Actor{SI, Admin}, body: migration,
			status: http.StatusOK, answer: migrated, handle: (*Server).migrateCases,
		},
		{
			method: "GET", path: "/cases/{caseId}", scopes: everybody,
			query:  []parameter{{name: "lite", schema: text(14)}},
			status: http.StatusOK, answer: caseSchema, handle: (*Server).getCase,
		},
		{
			method: "PATCH", path: "/cases/{caseId}", scopes: everybody, body: casePatch, patch: true,
			status: http.StatusNoContent, handle: (*Server).patchCase,
		},
		{
			method: "GET", path: "/cases/{caseId}/attachments/{attachmentId}", scopes: everybody,
			status: http.StatusOK, handle: (*Server).getCaseAttachment,
		},
		{
			method: "POST", path: "/cases/{caseId}/events", scopes: everybody, body: eventSchema,
			status: http.StatusCreated, answer: eventSchema, handle: (*Server).createEvent,
		},
		{
			method: "GET", path: "/cases/{caseId}/events/{eventId}", scopes: everybody,
			status: http.StatusOK, answer: eventSchema, handle: (*Server).getEvent,
		},
		{
			method: "PATCH", path: "/cases/{caseId}/events/{eventId}", scopes: everybody, body: eventPatch, patch: true,
			status: http.StatusNoContent, handle: (*Server).patchEvent,
		},
		{
			method: "DELETE", path: "/cases/{caseId}/events/{eventId}", scopes: everybody,
			status: http.StatusNoContent, handle: (*Server).deleteEvent,
		},
		{
			method: "PUT", path: "/cases/{caseId}/events/{eventId}/attachments/{attachmentId}", scopes: everybody,
			digest: true, binary: true, status: http.StatusNoContent, handle: (*Server).putEventAttachment,
		},
		{
			method: "GET", path: "/cases/{caseId}/events/{eventId}/attachments/{attachmentId}", scopes: everybody,
			digest: true, status: http.StatusOK, handle: (*Server).getEventAttachment,
		},
		{
			method: "GET", path: "/attachmentsIdsForPurge", scopes: everybody,
			status: http.StatusOK, answer: idsForPurge, handle: (*Server).listIDsForPurge,
		},
		{
			method: "PUT", path: "/idsPurged", scopes: everybody, body: idsForPurge,
			status: http.StatusNoContent, handle: (*Server).markPurged,
		},
	}
	for i := range list {
		list[i].base = foldersBase
	}
	return list
}

func referentialRoutes() []route {
	registrars := []Actor{DataPass, Admin}
	list := []route{
		{
			method: "POST", path: "/subscriptions", scopes: registrars, body: subscriptionCreation,
			status: http.StatusCreated, answer: subscriptionCreation, handle: (*Server).createSubscription,
		},
		{
			method: "GET", path: "/subscriptions", scopes: senders, practice: []Actor{DataPass},
			query: []parameter{
				{name: "processCode", schema: arrayOf(freeText)},
				{name: "status", schema: text(20)},
				{name: "companyRegister", schema: &schema{kind: "string", maxLength: 14, pattern: siretPattern}},
				{name: "delegationActorEmail", schema: &schema{kind: "string", maxLength: 320, pattern: emailPattern}},
				{name: "orderBy", schema: text(40)},
				{name: "offSet", schema: wholeOrNot},
				{name: "maxResult", schema: wholeOrNot},
				{name: "datapassId", schema: wholeOrNot, unpublished: true},
			},
			status: http.StatusOK, answer: arrayOf(subscriptionSchema), handle: (*Server).listSubscriptions,
		},
		{
			method: "GET", path: "/subscriptions/{subscriptionId}", scopes: senders, practice: []Actor{DataPass},
			status: http.StatusOK, answer: subscriptionSchema, handle: (*Server).getSubscription,
		},
		{
			method: "PUT", path: "/subscriptions/{subscriptionId}", scopes: []Actor{Admin}, body: subscriptionSchema,
			status: http.StatusOK, answer: subscriptionSchema, handle: (*Server).putSubscription,
		},
		{
			method: "POST", path: "/organizations", scopes: registrars, body: organizationSchema, unpublished: true,
			status: http.StatusCreated, answer: organizationSchema, handle: (*Server).createOrganization,
		},
		{
			method: "GET", path: "/organizations", scopes: registrars, unpublished: true,
			status: http.StatusOK, answer: arrayOf(organizationSchema), handle: (*Server).listOrganizations,
		},
		{
			method: "GET", path: "/organizations/{organization}", scopes: registrars, unpublished: true,
			status: http.StatusOK, answer: organizationSchema, handle: (*Server).getOrganization,
		},
		{
			method: "PUT", path: "/organizations/{organization}", scopes: registrars, body: organizationSchema, unpublished: true,
			status: http.StatusOK, answer: organizationSchema, handle: (*Server).putOrganization,
		},
		{
			method: "POST", path: "/processes", scopes: []Actor{Admin}, body: processSchema, unpublished: true,
			status: http.StatusCreated, answer: processSchema, handle: (*Server).createProcess,
		},
		{
			method: "GET", path: "/processes/{code}", scopes: []Actor{Admin}, unpublished: true,
			status: http.StatusOK, answer: processSchema, handle: (*Server).getProcess,
		},
		{
			method: "PUT", path: "/processes/{code}", scopes: []Actor{Admin}, body: processSchema, unpublished: true,
			status: http.StatusOK, answer: processSchema, handle: (*Server).putProcess,
		},
	}
	for i := range list {
		list[i].base = referential
	}
	return list
}
