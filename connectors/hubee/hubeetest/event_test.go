package hubeetest

import (
	"testing"
	"time"
)

func TestHS8ADepositHasFilesAndNothingElseHas(t *testing.T) {
	t.Parallel()
	b := start(t)
	events := casesPath + "/" + seedCase + "/events"
	file := object{"fileName": "a.txt", "type": "T", "size": 3, "mimeType": "text/plain"}
	for name, body := range map[string]object{
		"a deposit without files":    {"actionType": attachDeposit, "notification": true},
		"a deposit of no file":       {"actionType": attachDeposit, "notification": true, "attachments": []any{}},
		"a status update with files": {"actionType": "STATUS_UPDATE", "notification": true, "attachments": []any{file}},
	} {
		if r := b.call(SI, "POST", events, body); r.Status != 400 {
			t.Errorf("%s: %d %s", name, r.Status, r.Text)
		}
	}
	b.call(SI, "POST", events, object{"actionType": "COM_ADD"}).want(400) // notification is missing
	if born := b.call(SI, "POST", events, object{"actionType": "COM_ADD", "notification": false, "attachments": []any{}}).want(201); born.str("status") != "SENT" {
		t.Errorf("%s", born.Text)
	}
	deposit := b.call(SI, "POST", events, object{"actionType": attachDeposit, "notification": true, "caseNewStatus": "IN_PROGRESS", "attachments": []any{file}}).want(201)
	at := events + "/" + deposit.str("id")
	if deposit.str("status") != "IN_PROGRESS" || b.Totals().Notifications[dinum.String()] != 1 || b.statusOf(seedCase) != HubeeNotified {
		t.Errorf("nothing is known of it before it is sent: %s %+v", deposit.Text, b.Totals())
	}
	b.call(SI, "PATCH", at, object{"status": "SENT"}).refused(400, "Bad request") // its file is missing
	upload := at + "/attachments/" + deposit.str("attachments.0.id")
	b.put(OSL, upload, []byte("oui")).refused(403, "Unauthorized user")
	b.put(SI, upload, []byte("non!")).refused(400, sizeMismatch)
	b.put(SI, upload, []byte("oui"), "digest", digestOf([]byte("oui"))).want(204)
	b.call(OSL, "PATCH", at, object{"status": "SENT"}).refused(403, "Unauthorized user")
	b.call(SI, "PATCH", at, object{"status": "SENT"}).want(204)
	if b.Totals().Notifications[dinum.String()] != 2 || b.statusOf(seedCase) != InProgress {
		t.Errorf("it is known once sent: %+v", b.Totals())
	}
	if got := b.call(OSL, "GET", upload, nil).want(200); got.Text != "oui" || got.Header.Get("digest") != digestOf([]byte("oui")) {
		t.Errorf("%+v", got)
	}
	b.call(SI, "PATCH", at, object{"status": "RECEIVED"}).refused(403, "Unauthorized user")
	b.call(OSL, "PATCH", at, object{"status": "RECEIVED"}).want(204)
	b.call(OSL, "PATCH", at, object{"status": "RECEIVED"}).want(204) // said twice
	b.call(SI, "PATCH", at, object{"status": "SENT"}).refused(400, "Bad request")
	b.call(SI, "DELETE", at, nil).refused(400, "Bad Request")

	second := events + "/" + b.call(SI, "POST", events, object{"actionType": attachDeposit, "notification": true, "attachments": []any{file}}).want(201).str("id")
	b.call(OSL, "DELETE", second, nil).refused(403, "Unauthorized user")
	b.call(SI, "DELETE", second, nil).want(204)
	b.call(SI, "GET", second, nil).refused(404, "event is not found")
}

func TestHS8TheOtherSideIsToldWhenAsked(t *testing.T) {
	t.Parallel()
	b := start(t)
	events := casesPath + "/" + seedCase + "/events"
	queue := func(of OrganizationID) int { return b.Totals().Notifications[of.String()] }
	osl, si := queue(dinum), queue(majastres)
	quiet := statusUpdate(SIReceived)
	quiet["notification"] = false
	b.call(SI, "POST", events, quiet).want(201)
	if queue(dinum) != osl || queue(majastres) != si {
		t.Error("a quiet event told somebody")
	}
	b.call(SI, "POST", events, statusUpdate(AddAwaiting)).want(201)
	b.call(OSL, "POST", events, object{"actionType": "SENDING_MESSAGE", "notification": true, "message": "Voici"}).want(201)
	if queue(dinum) != osl+1 || queue(majastres) != si+1 {
		t.Errorf("%+v", b.Totals())
	}
	secret := b.call(SI, "POST", events, object{"actionType": "COM_ADD", "notification": false, "comment": "note interne"}).want(201)
	if secret.str("comment") != "note interne" {
		t.Errorf("%s", secret.Text)
	}
	if shown := b.call(OSL, "GET", events+"/"+secret.str("id"), nil).want(200); shown.get("comment") != nil {
		t.Errorf("the OSL reads the comment: %s", shown.Text)
	}
	// The answer to a question sends the case on, and the hub tells the administration.
	b.mark(OSL, seedCase, HubeeCompleted).want(204)
	if b.statusOf(seedCase) != HubeeNotified || queue(majastres) != si+2 {
		t.Errorf("%s %+v", b.statusOf(seedCase), b.Totals())
	}
}

func TestHS8AnEventMovesTheCaseUnlessTheSwitchSaysNo(t *testing.T) {
	t.Parallel()
	b := start(t)
	events := casesPath + "/" + seedCase + "/events"
	b.call(SI, "POST", events, statusUpdate(InProgress)).want(201)
	b.mark(SI, seedCase, InProgress).want(204) // the other order, taken too
	if got := b.statusOf(seedCase); got != InProgress {
		t.Errorf("%s", got)
	}
	b.call(SI, "POST", events, statusUpdate(Closed)).refused(403, "Unauthorized user")

	b.SetSwitches(func(s *Switches) { s.EventLeavesCase = true })
	b.call(SI, "POST", events, statusUpdate(Done)).want(201)
	if got := b.statusOf(seedCase); got != InProgress {
		t.Errorf("the event moved the case to %s", got)
	}
	b.SetSwitches(func(s *Switches) { s.MaxEventsPerCase = 2 })
	for range 2 { // for ever
		b.call(SI, "POST", events, statusUpdate(Done)).refused(400, "Maximum number of events reached")
	}
}

func TestHS9TheQueueIsSharedShuffledAndBounded(t *testing.T) {
	t.Parallel()
	b := start(t)
	for _, reference := range []string{"A", "B", "C", "D", "E", "F"} {
		b.sent(reference)
	}
	read := func(actor Actor, query string) []any {
		return b.call(actor, "GET", notifications+query, nil).want(200).list()
	}
	if got := read(SI, ""); len(got) != 7 {
		t.Errorf("an SI's pair sees %d, want those of its process", len(got))
	}
	foreign := read(OSL, "")
	if len(foreign) != 1 || foreign[0].(map[string]any)["processCode"] != "ProactiviteCnousBoursiers" {
		t.Errorf("an OSL sees all processes of its organisation: %v", foreign)
	}
	if got := read(OSL, "?processCode=FormulaireQF"); len(got) != 0 {
		t.Errorf("%v", got)
	}
	b.SetSwitches(func(s *Switches) { s.SIReadsAllProcesses = true })
	if got := read(SI, ""); len(got) != 8 {
		t.Errorf("an SI's pair sees %d of all processes", len(got))
	}
	if got := read(SI, "?processPriority=ProactiviteCnousBoursiers&maxResult=1"); got[0].(map[string]any)["processCode"] != "ProactiviteCnousBoursiers" {
		t.Errorf("%v", got)
	}
	for i := range 30 {
		b.sent(string(rune('a'+i%26)) + string(rune('0'+i/26)))
	}
	if got := read(SI, ""); len(got) != 25 {
		t.Errorf("a batch of %d", len(got))
	}
	if got := read(SI, "?maxResult=100"); len(got) != 38 {
		t.Errorf("all are %d", len(got))
	}
	orders := map[string]bool{}
	for range 5 {
		orders[compactJSON(read(SI, "?maxResult=100"))] = true
	}
	if len(orders) < 2 {
		t.Error("the order is always the same")
	}
	details := read(SI, "?eventDetails=true&maxResult=1")[0].(map[string]any)
	if _, ok := details["eventStatus"]; !ok {
		t.Errorf("%v", details)
	}
	// Given again until it is deleted, then gone.
	first := foreign[0].(map[string]any)["id"].(string)
	b.call(OSL, "DELETE", notifications+"/"+first, nil).want(204)
	b.call(OSL, "DELETE", notifications+"/"+first, nil).refused(404, "Notification is not found")
	if got := read(OSL, ""); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

func TestHS10FilesArePurgedAndFoldersArchivedOnTheClock(t *testing.T) {
	t.Parallel()
	b := start(t)
	folder, one := b.sent("P")
	file := b.Folders("Formulaire-QF-P")[0].Attachments[0].ID
	download := casesPath + "/" + one + "/attachments/" + file
	b.mark(SI, one, InProgress).want(204)
	forward := func(days int) {
		b.Advance(time.Duration(days) * day)
		b.tokens = map[Actor]string{}
	}
	forward(400)
	b.call(SI, "GET", download, nil).want(200) // never closed, never purged
	b.mark(OSL, one, Closed).want(204)
	forward(30)
	b.call(SI, "GET", download, nil).want(200)
	if got := b.call(SI, "GET", foldersBase+"/attachmentsIdsForPurge", nil).want(200).list(); len(got) != 0 {
		t.Errorf("%v", got)
	}
	forward(1)
	b.call(SI, "GET", download, nil).refused(404, "File is not found")
	if got := b.call(OSL, "GET", casesPath+"/"+one, nil).str("attachments.0.status"); got != string(Deleted) {
		t.Errorf("%s", got)
	}
	purged := b.call(SI, "GET", foldersBase+"/attachmentsIdsForPurge", nil).want(200).list()
	if len(purged) != 2 {
		t.Errorf("%v", purged)
	}
	b.call(SI, "PUT", foldersBase+"/idsPurged", purged).want(204)
	if got := b.call(SI, "GET", foldersBase+"/attachmentsIdsForPurge", nil).want(200).list(); len(got) != 0 {
		t.Errorf("%v", got)
	}
	forward(29)
	if got := b.statusOf(one); got != Archived {
		t.Errorf("%s", got)
	}
	b.mark(OSL, one, HubeeNotified).refused(400, "Bad request")
	forward(30)
	b.call(OSL, "GET", folders+"/"+folder, nil).refused(404, "Folder is not found")
	b.call(OSL, "GET", casesPath+"/"+one, nil).refused(404, "Case is not found")
	if got := len(b.Folders("Formulaire-QF-P")); got != 0 {
		t.Errorf("%d folders", got)
	}
}

func TestHS10AReopenedCaseKeepsItsFiles(t *testing.T) {
	t.Parallel()
	b := start(t)
	_, one := b.sent("K")
	download := casesPath + "/" + one + "/attachments/" + b.Folders("Formulaire-QF-K")[0].Attachments[0].ID
	b.mark(SI, one, InProgress).want(204)
	b.mark(OSL, one, Closed).want(204)
	b.Advance(10 * day)
	b.tokens = map[Actor]string{}
	b.mark(OSL, one, HubeeNotified).want(204)
	b.Advance(100 * day)
	b.tokens = map[Actor]string{}
	b.call(SI, "GET", download, nil).want(200)
	if got := b.statusOf(one); got != HubeeNotified {
		t.Errorf("%s", got)
	}
}
