package hubeetest

import "regexp"

var (
	siretPattern = regexp.MustCompile(`[0-9]{14}`)
	emailPattern = regexp.MustCompile(`^[a-zA-Z0-9._-]+@[a-zA-Z0-9._-]{2,}\.[a-z]{2,4}$`)
	phonePattern = regexp.MustCompile(`^\+[0-9]{10,20}$|^[0-9]{10,20}$`)
)

type properties map[string]*schema

func text(maxLength int) *schema { return &schema{kind: "string", maxLength: maxLength} }

func textOrNull(maxLength int) *schema {
	return &schema{kind: "string", maxLength: maxLength, nullable: true}
}

func dateOrNull() *schema { return &schema{kind: "string", format: "date-time", nullable: true} }

func readOnly(s *schema) *schema {
	made := *s
	made.readOnly = true
	return &made
}

func id() *schema { return &schema{kind: "string", format: "uuid"} }

func arrayOf(items *schema) *schema { return &schema{kind: "array", items: items} }

// The schemas of api_folder_v1.2.7.yaml, under their names there.
var (
	organizationIdentifier = &schema{
		kind: "object", required: []string{"type", "companyRegister", "branchCode"},
		properties: properties{
			"type":            text(20),
			"companyRegister": {kind: "string", maxLength: 14, pattern: siretPattern},
			"branchCode":      text(10),
		},
	}

	applicant = &schema{
		kind: "object", required: []string{"firstName", "lastName"},
		properties: properties{
			"firstName": text(255), "lastName": text(255),
			"email": {kind: "string", format: "email", maxLength: 320, nullable: true},
		},
	}

	partnerInfo = &schema{
		kind: "object",
		properties: properties{
			"editorName": readOnly(textOrNull(50)), "applicationName": readOnly(textOrNull(50)),
			"softwareVersion": readOnly(textOrNull(50)),
		},
	}
	partnerInfoOrNull = &schema{nullable: true, readOnly: true, allOf: []*schema{partnerInfo}}

	notificationSchema = &schema{
		kind: "object", required: []string{"id", "recipient", "transmitter", "processCode", "dateTime"},
		properties: properties{
			"id":        readOnly(id()),
			"recipient": organizationIdentifier, "transmitter": organizationIdentifier,
			"processCode": text(30),
			"caseId":      {kind: "string", format: "uuid", nullable: true},
			"eventId":     {kind: "string", format: "uuid", nullable: true},
			"dateTime":    dateOrNull(),
		},
	}

	attachmentSchema = &schema{
		kind: "object", required: []string{"id", "fileName", "type", "size", "mimeType", "status"},
		properties: properties{
			"id": readOnly(id()), "status": readOnly(text(9)),
			"fileName": text(255), "type": text(100), "size": {kind: "integer"}, "mimeType": text(255),
		},
	}

	eventSchema = &schema{
		kind:     "object",
		required: []string{"id", "transmitter", "createDateTime", "updateDateTime", "actionType", "notification", "status"},
		properties: properties{
			"id":          readOnly(id()),
			"transmitter": {readOnly: true, allOf: []*schema{organizationIdentifier}},
			"message":     textOrNull(1000), "comment": textOrNull(1000),
			"actionType": textOrNull(100), "author": textOrNull(255),
			"notification":   {kind: "boolean", nullable: true},
			"createDateTime": readOnly(dateOrNull()), "updateDateTime": readOnly(dateOrNull()),
			"status":            readOnly(text(12)),
			"caseCurrentStatus": textOrNull(15), "caseNewStatus": textOrNull(15),
			"partnerAttributes": textOrNull(1024),
			"attachments":       arrayOf(attachmentSchema),
			"partnerInfo":       partnerInfoOrNull,
		},
	}

	caseSchema = &schema{
		kind: "object", required: []string{"id", "status", "recipient", "externalId", "processCode", "createDateTime"},
		properties: properties{
			"id": id(), "status": text(15), "recipient": organizationIdentifier, "externalId": text(30),
			"updateDateTime": dateOrNull(), "transmissionDateTime": readOnly(dateOrNull()),
			"processCode": text(30), "createDateTime": {kind: "string", format: "date-time"},
			"closeDateTime": dateOrNull(), "partnerAttributes": textOrNull(1024),
			"applicant": applicant, "attachments": arrayOf(attachmentSchema), "events": arrayOf(eventSchema),
		},
	}

	caseOfFolder = &schema{
		kind: "object", required: []string{"id", "externalId", "status", "recipient"},
		properties: properties{
			"id": readOnly(id()), "status": readOnly(text(15)), "recipient": organizationIdentifier,
			// 30 in Case: the handler keeps to that (hubee.md, 6).
			"externalId":     text(100),
			"updateDateTime": readOnly(dateOrNull()), "transmissionDateTime": readOnly(dateOrNull()),
			"partnerAttributes": textOrNull(1024),
		},
	}

	folderSchema = &schema{
		kind: "object",
		required: []string{
			"id", "externalId", "globalStatus", "cases", "attachments", "applicant", "processCode", "createDateTime",
		},
		properties: properties{
			"id": readOnly(id()), "globalStatus": readOnly(text(15)), "processCode": text(30),
			"createDateTime": readOnly(&schema{kind: "string", format: "date-time"}),
			"closeDateTime":  dateOrNull(), "applicant": applicant, "externalId": text(30),
			"updateDateTime": readOnly(dateOrNull()), "partnerInfo": partnerInfoOrNull,
			// The file writes minLength on these arrays, which checks nothing (hubee.md, 6).
			"cases": arrayOf(caseOfFolder),
			"attachments": arrayOf(&schema{allOf: []*schema{attachmentSchema, {
				kind: "object", required: []string{"recipients"},
				properties: properties{"recipients": {kind: "array", minItems: 1, items: &schema{}}},
			}}}),
		},
	}

	folderPatch = &schema{
		kind: "object", required: []string{"globalStatus"},
		properties: properties{"globalStatus": text(50), "closeDateTime": {kind: "string", format: "date-time"}},
	}
	casePatch  = &schema{kind: "object", properties: properties{"status": text(50)}}
	eventPatch = &schema{kind: "object", properties: properties{"status": text(12)}}

	migration = &schema{kind: "object", properties: properties{
		"organizationSource": organizationIdentifier, "organizationTarget": organizationIdentifier,
	}}
	migrated = &schema{kind: "object", properties: properties{"caseUpdated": {kind: "number"}}}

	idsForPurge = arrayOf(&schema{kind: "object", properties: properties{"folder_attachment_id": id(), "case_id": id()}})
)

// The schemas of api_subscription_v1.2.3.yaml.
var (
	emailSchema = &schema{kind: "string", format: "email", maxLength: 320, pattern: emailPattern}
	emailOrNull = &schema{kind: "string", format: "email", maxLength: 320, pattern: emailPattern, nullable: true}
	phoneOrNull = &schema{kind: "string", pattern: phonePattern, nullable: true}

	person = properties{
		"firstName": text(255), "lastName": text(255), "email": emailSchema, "function": textOrNull(255),
		"phoneNumber": phoneOrNull, "mobileNumber": phoneOrNull,
	}
	// Both lack "type: object" in the file.
	localAdministrator = &schema{properties: person}
	delegationActor    = &schema{properties: person, instead: delegatedEditor}

	// delegatedEditor is what production takes and gives where the file wants an
	// e-mail address: an organisation of type EDT, or three nulls (hubee.md, 6).
	delegatedEditor = &schema{
		kind: "object", nullable: true, required: []string{"type", "companyRegister", "branchCode"},
		properties: properties{
			"type":            {kind: "string", enum: []string{"EDT"}, nullable: true},
			"companyRegister": {kind: "string", maxLength: 14, pattern: siretPattern, nullable: true},
			"branchCode":      textOrNull(10),
		},
	}

	subscriptionSchema = &schema{
		kind:     "object",
		required: []string{"id", "datapassId", "notificationFrequency", "processCode", "subscriber", "localAdministrator"},
		properties: properties{
			"id":                    readOnly(id()),
			"datapassId":            {kind: "integer", format: "int64"},
			"processCode":           text(30),
			"subscriber":            organizationIdentifier,
			"accessMode":            {kind: "string", maxLength: 7, enum: []string{"PORTAIL", "API"}, nullable: true},
			"notificationFrequency": text(20),
			"activateDateTime":      dateOrNull(), "validateDateTime": dateOrNull(), "rejectDateTime": dateOrNull(),
			"endDateTime": dateOrNull(), "updateDateTime": dateOrNull(),
			"delegationActor": {
				kind: "object", nullable: true, required: []string{"email"},
				properties: properties{"email": emailOrNull}, instead: delegatedEditor,
			},
			"rejectionReason": textOrNull(1000), "status": textOrNull(20),
			"email": {kind: "string", format: "email", maxLength: 320, nullable: true},
			"localAdministrator": {
				kind: "object", required: []string{"email"}, properties: properties{"email": emailSchema},
			},
		},
	}

	subscriptionCreation = &schema{allOf: []*schema{subscriptionSchema, {
		kind:       "object",
		properties: properties{"localAdministrator": localAdministrator, "delegationActor": delegationActor},
	}}}
)

// Schemas of what the published files leave out (hubee.md, 5 and 6).
var (
	organizationSchema = &schema{
		kind:     "object",
		required: []string{"type", "companyRegister", "branchCode", "name", "postalCode", "territory", "email", "status"},
		properties: properties{
			"type": text(20), "companyRegister": {kind: "string", maxLength: 14, pattern: siretPattern}, "branchCode": text(10),
			"name": text(100), "code": textOrNull(10), "country": textOrNull(100), "postalCode": text(15), "territory": text(255),
			"email": emailSchema, "phoneNumber": {kind: "string", maxLength: 20, pattern: phonePattern, nullable: true},
			"status":         text(20),
			"createDateTime": readOnly(dateOrNull()), "updateDateTime": readOnly(dateOrNull()),
		},
	}

	processSchema = &schema{
		kind: "object", required: []string{"code", "name"},
		properties: properties{
			"code": text(30), "name": text(255),
			"statuses":                 {kind: "array", nullable: true, items: text(15)},
			"statusBeforeFileDeletion": textOrNull(15),
			"timeBeforeFileDeletion":   {kind: "integer"}, "timeBeforeArchiving": {kind: "integer"},
			"timeBeforeFolderDeletion": {kind: "integer"}, "attachmentMaxSizeEnabled": {kind: "integer", nullable: true},
			"attachmentFormatsEnabled": {kind: "array", nullable: true, items: text(255)},
			"attachmentTypesEnabled":   {kind: "array", nullable: true, items: text(100)},
		},
	}
)
