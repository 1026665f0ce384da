package hubeetest

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

var everyStatus = []Status{
	HubeeReceived, HubeeCompleted, HubeeNotified, Sent, SIReceived, InProgress, AddAwaiting, SIIntgError, Refused, Done, Closed, Archived,
}

// The table of hubee.md, 7, written a second time: status, who, from, tolerated.
var contractTable = map[Status]struct {
	by              Actor
	from, tolerated []Status
}{
	HubeeCompleted: {OSL, []Status{AddAwaiting}, nil},
	HubeeNotified:  {OSL, []Status{HubeeCompleted, HubeeNotified, Sent, SIReceived, InProgress, AddAwaiting, SIIntgError, Refused, Done, Closed}, nil},
	Sent:           {SI, []Status{HubeeNotified}, nil},
	SIReceived:     {SI, []Status{Sent}, []Status{HubeeNotified}},
	InProgress:     {SI, []Status{SIReceived}, []Status{HubeeNotified, Sent}},
	AddAwaiting:    {SI, []Status{InProgress}, []Status{HubeeNotified, Sent, SIReceived}},
	SIIntgError:    {SI, []Status{SIReceived, InProgress, AddAwaiting, Done}, []Status{HubeeNotified, Sent}},
	Refused:        {SI, []Status{SIReceived, InProgress, AddAwaiting}, []Status{HubeeNotified, Sent}},
	Done:           {SI, []Status{SIReceived, InProgress, AddAwaiting}, []Status{Sent}},
	Closed:         {OSL, []Status{SIReceived, InProgress, AddAwaiting, Done, Refused}, nil},
}

func TestHS7EveryPairOfStatusesAndActorsFollowsTheTable(t *testing.T) {
	t.Parallel()
	for _, rules := range []Rules{Strict, Tolerant} {
		b := start(t, func(s *Switches) { s.Rules = rules })
		_, id := b.sent("T")
		for _, from := range everyStatus {
			for _, to := range everyStatus {
				for _, actor := range []Actor{OSL, SI} {
					b.mu.Lock()
					c := b.cases[id]
					c.status = from
					refused := b.mayMove(c, to, actor)
					b.mu.Unlock()
					row, known := contractTable[to]
					status := 204
					switch {
					case !known:
						status = 400
					case row.by != actor:
						status = 403
					case from != to && !slices.Contains(row.from, from) && (rules == Strict || !slices.Contains(row.tolerated, from)):
						status = 400
					}
					got := 204
					if refused != nil {
						got = refused.status
					}
					if got != status {
						t.Errorf("%s: %s gives %s to a case in %s: %d, want %d", rules, actor, to, from, got, status)
					}
				}
			}
		}
	}
}

func TestHS7AFolderFollowsItsCases(t *testing.T) {
	t.Parallel()
	b := start(t, strict)
	body := newFolder("M")
	body["cases"] = []any{
		object{"recipient": majastres, "externalId": "Formulaire-QF-M-01"}, object{"recipient": majastres, "externalId": "Formulaire-QF-M-02"},
	}
	made := b.call(OSL, "POST", folders, body).want(201)
	folder, first, other := folders+"/"+made.str("id"), made.str("cases.0.id"), made.str("cases.1.id")
	global := func(want Status) {
		t.Helper()
		if got := b.call(OSL, "GET", folder, nil).want(200); got.str("globalStatus") != string(want) {
			t.Errorf("%s, want %s", got.Text, want)
		}
	}
	b.call(OSL, "PATCH", folder, object{"globalStatus": "CLOSED"}).refused(400, "Bad request")
	b.call(OSL, "PATCH", folder, object{"globalStatus": "IN_PROGRESS"}).refused(400, "Bad request")
	global(HubeeReceived)
	b.call(OSL, "PATCH", folder, object{"globalStatus": "HUBEE_COMPLETED"}).want(204)
	global(HubeeNotified)
	if got := b.call(OSL, "GET", folder, nil); got.get("cases.0.transmissionDateTime") == nil {
		t.Errorf("%s", got.Text)
	}
	for _, status := range []Status{Sent, SIReceived, InProgress, Done} {
		b.mark(SI, first, status).want(204)
	}
	b.mark(SI, other, Refused).refused(400, "Bad request") // strict: SENT and SI_RECEIVED first
	global(HubeeNotified)
	b.mark(SI, other, Sent).want(204)
	global(Sent)
	b.mark(SI, other, SIReceived).want(204)
	b.mark(SI, other, Refused).want(204)
	b.mark(OSL, first, Closed).want(204)
	b.call(OSL, "PATCH", folder, object{"globalStatus": "CLOSED"}).refused(400, "Bad request") // its other case is not
	b.mark(OSL, other, Closed).want(204)
	global(Refused)
	b.call(OSL, "PATCH", folder, object{"globalStatus": "CLOSED"}).want(204)
	global(Closed)
	if got := b.call(OSL, "GET", folder, nil); got.get("closeDateTime") == nil {
		t.Errorf("%s", got.Text)
	}

	b.mark(SI, first, HubeeNotified).refused(403, "Unauthorized user")
	b.mark(OSL, first, HubeeNotified).want(204) // reopened
	global(HubeeNotified)
	if got := b.call(OSL, "GET", folder, nil); got.get("closeDateTime") != nil {
		t.Errorf("%s", got.Text)
	}
}

func TestHS7TheProcessSaysWhichStatusesAnAdministrationGives(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.call(Admin, "PUT", referential+"/processes/FormulaireQF", object{
		"code": "FormulaireQF", "name": "QF", "statuses": []Status{InProgress, Done},
	}).want(200)
	b.mark(SI, seedCase, SIReceived).refused(400, "Bad request")
	b.mark(SI, seedCase, InProgress).want(204)
	b.mark(SI, seedCase, Done).want(204)
	b.mark(OSL, seedCase, Closed).want(204)
}

// Whatever is asked in whatever order, a folder never shows less than its cases
// allow, and CLOSED is never taken by itself.
func TestWhateverIsAskedTheFolderAndItsCaseAgree(t *testing.T) {
	t.Parallel()
	b := start(t)
	number := 0
	rapid.Check(t, func(rt *rapid.T) {
		number++
		b.mu.Lock()
		f := b.addFolder(folderRequest{
			ProcessCode: "FormulaireQF", Cases: []caseOfFolderBody{{Recipient: majastres, ExternalID: "a"}, {Recipient: majastres, ExternalID: "b"}},
			Attachments: []attachmentBody{{FileName: "f", MimeType: "text/plain", Recipients: []string{"a", "b"}}},
		}, dinum, nil)
		b.mu.Unlock()
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			b.mu.Lock()
			to := rapid.SampledFrom(everyStatus).Draw(rt, "to")
			if rapid.Bool().Draw(rt, "folder") {
				_ = b.setGlobalStatus(f, to, nil)
			} else {
				c := f.cases[rapid.IntRange(0, 1).Draw(rt, "case")]
				if b.mayMove(c, to, rapid.SampledFrom([]Actor{OSL, SI, Admin}).Draw(rt, "by")) == nil {
					b.move(c, to)
				}
			}
			least := min(f.cases[0].status.reached(), f.cases[1].status.reached())
			shown := f.status.reached()
			b.mu.Unlock()
			if shown > least || (least < Closed.reached() && shown != least) {
				rt.Fatalf("folder %s, cases %s and %s", f.status, f.cases[0].status, f.cases[1].status)
			}
		}
	})
}
