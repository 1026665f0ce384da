package habilitation

import "slices"

// Decide says what a command does to a native request, or why not: the error
// is always a *Refusal. req is the zero Request for Create. facts are those of
// the request's current definition and form. Nothing given is modified.
func Decide(req Request, facts DefinitionFacts, cmd Command) (Change, error) {
	s := situation{request: req, facts: facts, cmd: cmd}
	if refusal := s.admit(); refusal != nil {
		return Change{}, refusal
	}
	row, refusal := s.row()
	if refusal != nil {
		return Change{}, refusal
	}
	if update, ok := cmd.(Update); ok && DiffOf(req.Data, update.Data) == nil {
		return newChange(req), nil
	}
	change := newChange(req)
	d := &decision{situation: s, change: &change}
	for _, effect := range row.Effects {
		d.apply(effect)
	}
	if row.To != Unchanged {
		change.Request.State = row.To
	}
	change.Request.Version = req.Version + 1
	change.note(req.Habilitations)
	change.Events = d.events()
	d.conclude()
	return change, nil
}

// admit checks what comes before the request's own life: who drives it, the
// version seen, who acts.
func (s situation) admit() *Refusal {
	if s.request.Origin == Mirrored {
		return s.refuse(RefusedMirrored, "", "Cette demande est suivie depuis DataPass : elle ne se modifie que dans DataPass.")
	}
	if v := s.cmd.by().Version; v != 0 && v != s.request.Version {
		return s.refuse(RefusedStaleVersion, "", "La demande a changé depuis que vous l’avez lue : relisez-la avant de recommencer.")
	}
	if len(s.permitted()) == 0 {
		if _, ok := s.cmd.(Create); ok {
			return s.refuse(RefusedUnauthorizedType, "", "Vous n’avez pas les droits pour créer ce type de demande.")
		}
		return s.refuse(RefusedNotAllowed, "", "Vous n’avez pas les droits pour faire cette action sur cette demande.")
	}
	return nil
}

// row picks the first row of the table whose guards hold. Where none does, the
// refusal is that of the row that went furthest.
func (s situation) row() (Transition, *Refusal) {
	rows := slices.DeleteFunc(Transitions(), func(t Transition) bool {
		return t.Event != s.cmd.Event() || !slices.Contains(t.From, s.request.State)
	})
	if len(rows) == 0 {
		if s.cmd.Event() == EventUpdateByAPI {
			return Transition{}, s.refuse(RefusedDeadEndState, "", "La demande ne peut pas être modifiée dans l’état actuel.")
		}
		return Transition{}, illegalTransition(s.cmd.Event(), s.request.State)
	}
	if refusal := s.allow(s.permitted()); refusal != nil {
		return Transition{}, refusal
	}
	best, passed := (*Refusal)(nil), -1
	for _, row := range rows {
		n, refusal := s.guards(row.Guards)
		if refusal == nil {
			return row, s.faults()
		}
		if n >= passed {
			best, passed = refusal, n
		}
	}
	return Transition{}, best
}

// guards gives how many hold before the first that does not.
func (s situation) guards(list []Guard) (int, *Refusal) {
	for i, g := range list {
		if refusal := s.check(g); refusal != nil {
			return i, refusal
		}
	}
	return len(list), nil
}

func (s situation) faults() *Refusal {
	faults := faultsOf(s.cmd)
	if len(faults) == 0 {
		return nil
	}
	refusal := s.refuse(RefusedInvalidData, "/data", "La demande contient des erreurs : "+faults[0].Message)
	if faults[0].Key != "" {
		refusal.Pointer = "/data/" + faults[0].Key
	}
	refusal.Faults = faults
	return refusal
}

// events are the command's own event, then one for each further habilitation
// granted or revoked.
func (d *decision) events() []Event {
	by := d.cmd.by()
	first := Event{
		Name: d.cmd.Event(), Entity: EntityOf(d.cmd.Event()), At: by.At, Actor: by.Actor.Person,
		State: d.change.Request.State, Habilitation: d.about, Reason: reasonOf(d.cmd),
	}
	if d.cmd.Event() == EventArchive && by.Actor.System {
		first.Name, first.Entity = EventSystemArchive, EntityOf(EventSystemArchive)
	}
	switch c := d.cmd.(type) {
	case Create:
		if c.ByAPI {
			first.Diff = DiffOf(c.Prefill, c.Data)
		}
	case Update:
		first.Diff = DiffOf(d.request.Data, c.Data)
	case Submit:
		first.Diff = DiffOf(c.Since, d.request.Data)
	case TransferToUser:
		first.Transfer = &Transfer{Type: "User", From: d.request.Applicant.ID, To: c.To.ID}
	case TransferToOrganization:
		first.Transfer = &Transfer{Type: "Organization", From: d.request.Organization.ID, To: c.To.ID}
	}
	events := []Event{first}
	for _, id := range d.extra {
		further := first
		further.Habilitation = id
		if first.Name == EventApprove {
			further.Name, further.Entity = EventAutoGenerate, EntityOf(EventAutoGenerate)
		}
		events = append(events, further)
	}
	return events
}

// conclude adds what must follow: credentials, webhooks, mails.
func (d *decision) conclude() {
	d.change.then(follow(d.request, d.change.Request)...)
	d.change.then(webhooks(d.change.Request, d.change.Events)...)
	d.change.then(d.mails()...)
}

// webhooks tells subscribers of each event. The request's current definition
// chooses them (datapass.md, 2.2), except for a linked habilitation, whose own
// definition does; its grant is told as an approve (2.8).
func webhooks(r Request, events []Event) []Consequence {
	var list []Consequence
	for _, e := range events {
		notice := NotifyWebhooks{Event: e.Name, Definition: r.Definition, Habilitation: e.Habilitation}
		if h, ok := r.habilitation(e.Habilitation); ok && h.ParentID != 0 {
			notice.Definition = h.Definition
		}
		switch e.Name {
		case EventAutoGenerate:
			notice.Event = EventApprove
		case EventSystemArchive:
			notice.Event = EventArchive
		}
		if notice.Event.subscribable() {
			list = append(list, notice)
		}
	}
	return list
}
