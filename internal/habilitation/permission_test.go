package habilitation_test

import (
	"fmt"
	"slices"
	"testing"

	hab "github.com/passerelle-hub/passerelle/internal/habilitation"
)

// The whole grid: every action by every kind of person in every state, against
// the prose of datapass.md, 1.2, written here as who may and when.
func TestWhoMay(t *testing.T) {
	people := map[string]hab.Actor{
		"applicant": applicant, "applicant elsewhere": {Person: jeanne.ID, Organization: 3}, "member": member,
		"reporter": role("dinum:*:reporter", "dgfip:*:reporter"), "instructor": instructor,
		"manager": role("dinum:api_entreprise:manager", "dgfip:*:manager"), "developer": developer, "admin": admin,
		"instructor of another provider": role("cnam:*:instructor"), "instructor of another definition": role("dinum:api_particulier:instructor"),
		"stranger": stranger, "system": system,
	}
	instructors := []string{"instructor", "manager"}
	may := map[hab.Action]map[string][]string{ // action -> person -> states; nil: wherever the transition is legal
		hab.ActionUpdate:                 {"applicant": {"draft", "changes_requested"}},
		hab.ActionUpdateByAPI:            {"developer": nil},
		hab.ActionSubmit:                 {"applicant": nil},
		hab.ActionRequestChanges:         {"instructor": nil, "manager": nil},
		hab.ActionApprove:                {"instructor": nil, "manager": nil},
		hab.ActionRefuse:                 {"instructor": nil, "manager": nil},
		hab.ActionRevoke:                 {"instructor": nil, "manager": nil},
		hab.ActionArchive:                {"applicant": nil, "instructor": nil, "manager": nil, "system": nil},
		hab.ActionReopen:                 {"applicant": nil},
		hab.ActionCancelReopening:        {"applicant": {"draft", "changes_requested"}, "instructor": nil, "manager": nil},
		hab.ActionStartNextStage:         {"applicant": nil},
		hab.ActionCancelNextStage:        {"applicant": {"draft", "changes_requested", "refused"}, "instructor": nil, "manager": nil},
		hab.ActionTransferToUser:         {"applicant": nil, "member": nil, "instructor": nil, "manager": nil},
		hab.ActionTransferToOrganization: {"admin": nil},
	}
	commands := map[hab.Action]func(by hab.By) hab.Command{
		hab.ActionUpdate: func(by hab.By) hab.Command { return hab.Update{By: by, Data: answers("z")} },
		hab.ActionUpdateByAPI: func(by hab.By) hab.Command {
			return hab.Update{By: by, Data: answers("z"), ByAPI: true}
		},
		hab.ActionSubmit:         func(by hab.By) hab.Command { return hab.Submit{By: by} },
		hab.ActionRequestChanges: func(by hab.By) hab.Command { return hab.RequestChanges{By: by, Reason: "r"} },
		hab.ActionApprove:        func(by hab.By) hab.Command { return hab.Approve{By: by} },
		hab.ActionRefuse:         func(by hab.By) hab.Command { return hab.Refuse{By: by, Reason: "r"} },
		hab.ActionRevoke:         func(by hab.By) hab.Command { return hab.Revoke{By: by, Reason: "r"} },
		hab.ActionArchive:        func(by hab.By) hab.Command { return hab.Archive{By: by} },
		hab.ActionReopen:         func(by hab.By) hab.Command { return hab.Reopen{By: by} },
		hab.ActionCancelReopening: func(by hab.By) hab.Command {
			return hab.CancelReopening{By: by, Reason: "r"}
		},
		hab.ActionStartNextStage:  func(by hab.By) hab.Command { return hab.StartNextStage{By: by} },
		hab.ActionCancelNextStage: func(by hab.By) hab.Command { return hab.CancelNextStage{By: by} },
		hab.ActionTransferToUser: func(by hab.By) hab.Command {
			return hab.TransferToUser{By: by, To: &samir, Member: true}
		},
		hab.ActionTransferToOrganization: func(by hab.By) hab.Command {
			return hab.TransferToOrganization{By: by, To: &ormes}
		},
	}
	// One life for each state, and for each way an action is legal.
	lives := map[string]*world{
		"draft":                   newWorld(t, single, answers("a")),
		"submitted":               newWorld(t, single, answers("a")).follow(submit),
		"changes_requested":       newWorld(t, single, answers("a")).follow(submit, requestChanges),
		"validated":               newWorld(t, single, answers("a")).follow(submit, approve),
		"refused":                 newWorld(t, single, answers("a")).follow(submit, refuse),
		"revoked":                 newWorld(t, single, answers("a")).follow(submit, approve, revoke),
		"archived":                newWorld(t, single, answers("a")).follow(archive),
		"reopened":                newWorld(t, single, answers("a")).follow(submit, approve, reopen, update),
		"reopened and submitted":  newWorld(t, single, answers("a")).follow(submit, approve, reopen, update, submit),
		"sandbox validated":       newWorld(t, sandbox, answers("a")).follow(submit, approve),
		"production draft":        newWorld(t, sandbox, answers("a")).follow(submit, approve, startNextStage),
		"production submitted":    newWorld(t, sandbox, answers("a")).follow(submit, approve, startNextStage, submit),
		"production refused":      newWorld(t, sandbox, answers("a")).follow(submit, approve, startNextStage, submit, refuse),
		"production, being asked": newWorld(t, sandbox, answers("a")).follow(submit, approve, startNextStage, submit, requestChanges),
	}
	succeeded := map[string]bool{}
	for action, command := range commands {
		for who, actor := range people {
			for name, w := range lives {
				r := w.request
				_, err := hab.Decide(r, facts[r.Definition], command(hab.By{Actor: actor, At: w.now}))
				states, allowed := may[action][who]
				stateAllowed := allowed && (states == nil || slices.Contains(states, string(r.State)))
				if action == hab.ActionTransferToUser && r.State == hab.Draft && !r.Reopening {
					stateAllowed = stateAllowed && name == "production draft" && !slices.Contains(instructors, who)
				}
				if err == nil {
					succeeded[fmt.Sprint(action, who)] = true
					if !stateAllowed {
						t.Errorf("%s may %s a request that is %s", who, action, name)
					}
					continue
				}
				if !allowed && !hab.RefusedFor(err, hab.RefusedNotAllowed) {
					t.Errorf("%s, %s, %s: want not_allowed, got %v", who, action, name, err)
				}
				if stateAllowed && hab.RefusedFor(err, hab.RefusedNotAllowed) {
					t.Errorf("%s may not %s a request that is %s", who, action, name)
				}
			}
		}
	}
	for action, who := range may {
		for person := range who {
			if !succeeded[fmt.Sprint(action, person)] {
				t.Errorf("%s can never %s", person, action)
			}
		}
	}
}

func TestFeaturesBindApplicantsAndNotInstructors(t *testing.T) {
	bound := single
	bound.Reopening, bound.Transfer = false, false
	w := newWorld(t, single, answers("a")).follow(submit, approve)
	for _, c := range []struct {
		sentence string
		cmd      hab.Command
		code     hab.RefusalCode
	}{
		{"an applicant cannot reopen", hab.Reopen{By: w.by(applicant)}, hab.RefusedFeatureDisabled},
		{"a member cannot transfer", hab.TransferToUser{By: w.by(member), To: &samir, Member: true}, hab.RefusedFeatureDisabled},
		{"an instructor transfers all the same", hab.TransferToUser{By: w.by(instructor), To: &samir, Member: true}, ""},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			_, err := hab.Decide(w.request, bound, c.cmd)
			if c.code == "" && err != nil || c.code != "" && !hab.RefusedFor(err, c.code) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAnInstructorWhoIsTheApplicantOwesNoReason(t *testing.T) {
	w := newWorld(t, single, answers("a")).follow(submit, approve, reopen)
	both := instructor
	both.Person, both.Organization = jeanne.ID, valbrise.ID
	if err := w.try(hab.CancelReopening{By: w.by(both)}, single); err != nil {
		t.Error(err)
	}
}

func TestEveryActionHasAPermission(t *testing.T) {
	granted := map[hab.Action]bool{}
	for _, p := range hab.Permissions() {
		granted[p.Action] = true
		for _, s := range p.States {
			if !slices.Contains(requestStates, s) {
				t.Errorf("%s: no such state %q", p.Action, s)
			}
		}
		if p.Reason != (p.Party == hab.PartyInstructor && slices.Contains([]hab.Action{
			hab.ActionRequestChanges, hab.ActionRefuse, hab.ActionRevoke, hab.ActionCancelReopening,
		}, p.Action)) {
			t.Errorf("%s by %s: reason %v", p.Action, p.Party, p.Reason)
		}
	}
	if len(granted) != 16 {
		t.Errorf("got %d actions", len(granted))
	}
}
