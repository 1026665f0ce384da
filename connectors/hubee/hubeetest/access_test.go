package hubeetest

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestHS1ARequestIsRefusedInTheGatewaysWords(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 31)
	base := func(change func(object)) object {
		made := newFolder("A")
		change(made)
		return made
	}
	cases := map[string]struct {
		actor        Actor
		method, path string
		body         any
		text         string // after "Bad Request : Validation failed.\n"
	}{
		"a key that is missing": {
			OSL, "POST", folders, base(func(o object) { delete(o, "applicant") }),
			`[ERROR][REQUEST][POST /teledossiers/v1/folders @body] Object has missing required properties (["applicant"])`,
		},
		"a key that is missing further down": {
			OSL, "POST", folders, base(func(o object) { o["applicant"] = object{"lastName": "X"} }),
			`[ERROR][REQUEST][POST /teledossiers/v1/folders @body] [Path '/applicant'] Object has missing required properties (["firstName"])`,
		},
		"a text that is too long": {
			OSL, "POST", folders, base(func(o object) { o["externalId"] = long }),
			`[ERROR][REQUEST][POST /teledossiers/v1/folders @body] [Path '/externalId'] String "` + long + `" is too long (length: 31, maximum allowed: 30)`,
		},
		"another type": {
			OSL, "PATCH", folders + "/" + seedFolder,
			object{"globalStatus": 3},
			`[ERROR][REQUEST][PATCH /teledossiers/v1/folders/` + seedFolder + ` @body] [Path '/globalStatus'] Instance type (integer) does not match any allowed primitive type (allowed: ["string"])`,
		},
		"a path that is no UUID": {
			SI, "DELETE", notifications + "/dddddd", nil,
			`[ERROR][REQUEST][DELETE /teledossiers/v1/notifications/dddddd @path.notificationId] Input string "dddddd" is not a valid UUID`,
		},
		"a number that is none": {
			SI, "GET", notifications + "?maxResult=vingt", nil,
			`[ERROR][REQUEST][GET /teledossiers/v1/notifications @query.maxResult] Instance type (string) does not match any allowed primitive type (allowed: ["integer","number"]`,
		},
		"a query parameter that is not published": {
			OSL, "GET", subscriptions + "?processType=x", nil,
			`[ERROR][REQUEST][GET /referential/v1/subscriptions @query.processType] Query parameter 'processType' is unexpected on path "/subscriptions"`,
		},
		"an empty organisation": {
			Admin, "POST", organizations,
			object{"phoneNumber": nil},
			`[ERROR][REQUEST][POST /referential/v1/organizations @body] Object has missing required properties (["branchCode","companyRegister","email","name","postalCode","status","territory","type"])`,
		},
		"an empty subscription": {
			DataPass, "POST", subscriptions,
			object{"status": nil},
			"[ERROR][REQUEST][POST /referential/v1/subscriptions @body] Instance failed to match all required schemas (matched only 1 out of 2)\n" +
				"\t* /allOf/0: Object has missing required properties ([\"datapassId\",\"localAdministrator\",\"notificationFrequency\",\"processCode\",\"subscriber\"])",
		},
	}
	b := start(t)
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := b.call(c.actor, c.method, c.path, c.body)
			r.t = t
			r.refused(400, "Bad Request : Validation failed.\n"+c.text)
		})
	}
	for _, good := range []string{notifications + "?eventDetails=true&maxResult=3&processCode=A&processCode=B", subscriptions + "?datapassId=48231"} {
		b.call(OSL, "GET", good, nil).want(200)
	}
	header := b.as(OSL).Clone()
	header.Set("editorName", strings.Repeat("e", 51))
	if r := b.callWith(header, "GET", notifications, nil).want(400); !strings.Contains(r.Text, "@header.editorName") {
		t.Errorf("%s", r.Text)
	}
	header = b.as(OSL).Clone()
	header.Set("Content-Type", "text/plain")
	b.send("POST", folders, header, []byte("{}")).want(400)
	header.Set("Content-Type", "application/json")
	for _, broken := range []string{"", "{", "{}x", "<html>"} {
		b.send("POST", folders, header, []byte(broken)).want(400)
	}
	b.call(OSL, "GET", foldersBase+"/rien", nil).want(404)
	b.call(OSL, "POST", folders+"/"+seedFolder, object{"globalStatus": "X"}).refused(405, "Method not allowed")
	header.Set("X-HTTP-Method-Override", "DELETE")
	b.callWith(header, "POST", folders+"/"+seedFolder, object{"globalStatus": "X"}).refused(405, "Method not allowed")
}

func TestHS1AnAnswerThatBreaksTheRulesIsTheGateways500(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.mu.Lock()
	b.folders[seedFolder].externalID = strings.Repeat("x", 31)
	b.mu.Unlock()
	r := b.call(OSL, "GET", folders+"/"+seedFolder, nil).want(500)
	if !strings.Contains(r.str("errors.0.message"), "Bad Response : Validation failed.\n[ERROR][RESPONSE][GET /teledossiers/v1/folders/"+seedFolder+"] [Path '/externalId']") {
		t.Errorf("%s", r.Text)
	}
}

func TestHS2TokensAreOfOneHourForBasicAndTheClientsScopes(t *testing.T) {
	t.Parallel()
	b := start(t)
	osl := b.Credential(OSL)
	granted := b.token(osl, "OSL").want(200)
	if granted.get("expires_in") != 3600.0 || granted.str("token_type") != "Bearer" || granted.str("scope") != "OSL" {
		t.Errorf("%s", granted.Text)
	}
	b.SetSwitches(func(s *Switches) { s.BareToken = true })
	if bare := b.token(osl, "OSL").want(200); bare.get("expires_in") != nil || bare.str("access_token") == "" {
		t.Errorf("%s", bare.Text)
	}

	form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	inForm := b.send("POST", tokenPath, form, []byte("grant_type=client_credentials&scope=OSL&client_id="+osl.ClientID+"&client_secret="+osl.ClientSecret))
	if inForm.want(401).str("error") != "invalid_client" {
		t.Errorf("%s", inForm.Text)
	}
	for name, r := range map[string]result{
		"invalid_client": b.token(Credential{ClientID: osl.ClientID, ClientSecret: "faux"}, "OSL").want(401),
		"invalid_scope":  b.token(osl, "osl").want(400),
	} {
		if r.str("error") != name {
			t.Errorf("%s: %s", name, r.Text)
		}
	}
	if r := b.token(osl, "ADMIN").want(400); r.str("error") != "invalid_scope" {
		t.Errorf("another actor's scope: %s", r.Text)
	}

	header := http.Header{"Authorization": {"Bearer " + granted.str("access_token")}}
	b.Advance(TokenLife - time.Second)
	b.send("GET", notifications, header, nil).want(200)
	b.Advance(time.Second)
	b.send("GET", notifications, header, nil).want(401)
	b.send("GET", notifications, nil, nil).want(401)
	b.tokens = map[Actor]string{}
	fresh := b.as(OSL)
	b.ExpireTokens()
	b.send("GET", notifications, fresh, nil).want(401)
	fresh = b.with(osl)
	b.RemoveCredential(osl.ClientID)
	b.send("GET", notifications, fresh, nil).want(401)
	b.token(osl, "OSL").want(401)
}

func TestHS3RightsAreOfTheScopeTheOrganisationAndTheProcess(t *testing.T) {
	t.Parallel()
	b := start(t)
	otherOSL := b.AddCredential(Credential{Actor: OSL, Organization: OrganizationID{"OSL", "22770001000019", "77372"}})
	otherSI := b.AddCredential(Credential{Actor: SI, Organization: OrganizationID{"SI", "21350998700011", "35998"}})
	otherProcess := b.AddCredential(Credential{Actor: SI, Organization: majastres, ProcessCode: "ProactiviteCnousBoursiers"})
	event := b.call(SI, "POST", casesPath+"/"+seedCase+"/events", object{"actionType": "COM_ADD", "notification": false}).want(201).str("id")
	waiting := b.call(SI, "GET", notifications, nil).want(200).str("0.id")

	paths := map[string]string{
		"GET " + folders + "/" + seedFolder:                              "Folder is not found",
		"DELETE " + folders + "/" + seedFolder:                           "Folder is not found",
		"GET " + casesPath + "/" + seedCase:                              "Case is not found",
		"GET " + casesPath + "/" + seedCase + "/attachments/" + seedJSON: "File is not found",
		"GET " + casesPath + "/" + seedCase + "/events/" + event:         "event is not found",
		"DELETE " + casesPath + "/" + seedCase + "/events/" + event:      "Event is not found",
		"DELETE " + notifications + "/" + waiting:                        "Notification is not found",
	}
	for call, missing := range paths {
		method, path, _ := strings.Cut(call, " ")
		strangers := []Credential{otherOSL}
		if !strings.HasPrefix(path, folders) {
			strangers = append(strangers, otherSI, otherProcess)
		}
		for _, stranger := range strangers {
			b.callWith(b.with(stranger), method, path, nil).refused(403, "Unauthorized user")
		}
		last := path[strings.LastIndex(path, "/")+1:]
		b.call(Admin, method, strings.Replace(path, last, nobody, 1), nil).refused(404, missing)
	}
	b.call(OSL, "PATCH", casesPath+"/"+seedCase+"/events/"+nobody, object{"status": "RECEIVED"}).refused(404, "event is not found")
	b.put(OSL, folders+"/"+seedFolder+"/attachments/"+nobody, nil).refused(404, "Binary meta-data is not found")
	b.put(SI, casesPath+"/"+seedCase+"/events/"+event+"/attachments/"+nobody, nil).refused(404, "Binary meta-data is not found")
	b.call(SI, "GET", casesPath+"/"+seedCase+"/events/"+event+"/attachments/"+nobody, nil).refused(404, "file is not found")
	b.call(OSL, "GET", subscriptions+"/"+nobody, nil).refused(404, "Subscription is not found")
	b.call(DataPass, "GET", organizations+"/SI-1-2", nil).refused(404, "Organization is not found")

	// A scope that the route does not take.
	for call, actor := range map[string]Actor{
		"GET " + folders + "/" + seedFolder:   SI,
		"GET " + subscriptions:                SI,
		"POST " + subscriptions:               OSL,
		"PUT " + subscriptions + "/" + nobody: DataPass,
		"GET " + notifications:                DataPass,
		"GET " + organizations:                OSL,
	} {
		method, path, _ := strings.Cut(call, " ")
		b.call(actor, method, path, nil).refused(403, "Unauthorized user")
	}
	b.callWith(b.with(otherProcess), "GET", casesPath+"/"+foreignOne, nil).want(200)
}

func TestAFolderThatIsStillFilledIsNotSeenByTheAdministration(t *testing.T) {
	t.Parallel()
	b := start(t)
	made := b.call(OSL, "POST", folders, newFolder("H")).want(201)
	b.call(SI, "GET", casesPath+"/"+made.str("cases.0.id"), nil).refused(403, "Unauthorized user")
}
