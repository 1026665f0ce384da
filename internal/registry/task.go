package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// LetterTask asks a provider's team for something, or reminds it, by the name of
// its template.
const LetterTask = "tache"

// Team is who holds the keys of a manager by hand.
type Team struct {
	Addresses    []string
	RemindEvery  time.Duration // 0: no reminder
	Reminders    int           // at the most
	LinkLifetime time.Duration
}

// Bounds of what a team answers, in bytes.
const (
	MinHandedKey = 8
	MaxHandedKey = 4096
	MaxRefusal   = connectors.MaxDetail
	MaxReference = 80
	// secretLike is the least length of a run of letters and digits that is taken
	// for a key where a reference is asked for.
	secretLike = 20
)

// Tasks gives a manager's connector what it orders people by.
func (r *Registry) Tasks(manager string) connectors.Tasks { return tasks{r, manager} }

type tasks struct {
	*Registry
	manager string
}

func (t tasks) Read(ctx context.Context, id string) (connectors.TaskAnswer, bool, error) {
	task, err := t.store.TaskByKey(ctx, t.manager, id)
	if errors.Is(err, store.ErrNotFound) {
		return connectors.TaskAnswer{}, false, nil
	}
	if err != nil {
		return connectors.TaskAnswer{}, false, err
	}
	answer, err := t.store.TaskAnswer(task)
	return answer, err == nil, err
}

func (t tasks) Ask(ctx context.Context, asked connectors.Task) (connectors.TaskAnswer, error) {
	if answer, found, err := t.Read(ctx, asked.ID); err != nil || found {
		return answer, err
	}
	if err := t.Record(ctx, &askTask{manager: t.manager, task: asked}); err != nil {
		return connectors.TaskAnswer{}, err
	}
	answer, _, err := t.Read(ctx, asked.ID)
	return answer, err
}

func (t tasks) Withdraw(ctx context.Context, id string) error {
	task, err := t.store.TaskByKey(ctx, t.manager, id)
	if errors.Is(err, store.ErrNotFound) || err == nil && task.State != string(connectors.TaskWaiting) {
		return nil
	}
	if err != nil {
		return err
	}
	return t.Record(ctx, &withdrawTask{task: task})
}

// askTask opens a task and tells its team.
type askTask struct {
	manager string
	task    connectors.Task
}

func (cmd *askTask) apply(ctx context.Context, u *unit) error {
	named, err := u.tx.CredentialByRef(ctx, cmd.manager, cmd.task.Credential)
	if err != nil {
		return err
	}
	c, req, err := u.lockCredential(ctx, named.ID)
	if err != nil {
		return err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	n := store.NewHandTask{ID: id, Manager: cmd.manager, CredentialID: c.ID, RequestID: req.ID, Task: cmd.task, Now: u.at}
	if team, ok := u.team(cmd.manager); ok && team.RemindEvery > 0 && team.Reminders > 0 {
		n.RemindAt = u.at.Add(team.RemindEvery)
	}
	isNew, err := u.tx.InsertTask(ctx, n)
	if err != nil || !isNew {
		return err
	}
	task, err := u.tx.LockTask(ctx, id)
	if err != nil {
		return err
	}
	if err := u.mailTeam(ctx, req, task); err != nil {
		return err
	}
	return u.writeTask(ctx, req, task, "task.asked", "")
}

func (u *unit) writeTask(ctx context.Context, req habilitation.Request, task store.HandTask, event, reason string) error {
	return u.write(ctx, req.ID, event, "credential", task.CredentialID.String(), reason, map[string]any{"manager": task.Manager, "task": task.ID, "kind": task.Kind})
}

func (r *Registry) team(manager string) (Team, bool) {
	if r.settings.Teams == nil {
		return Team{}, false
	}
	return r.settings.Teams(manager)
}

// mailTeam sends one round of mails about a task, each with a link of its own
// making. task.Mails says which round.
func (u *unit) mailTeam(ctx context.Context, req habilitation.Request, task store.HandTask) error {
	team, ok := u.team(task.Manager)
	if !ok {
		return nil // its settings are gone: operators see the task
	}
	until := u.at.Add(team.LinkLifetime)
	link, err := u.tx.SealTaskLink(store.TaskLink{Task: task.ID, Until: until})
	if err != nil {
		return err
	}
	params := map[string]string{
		"action": taskAction(task.Kind), "definition": u.label(task.Definition), "organization": req.Organization.Name,
		"id": fmt.Sprint(shownRequestID(req)), "since": "", "until": frenchTime(until), "link": u.settings.PublicURL + "/tache/" + link,
	}
	if task.Mails > 1 {
		params["since"] = frenchTime(task.AskedAt)
	}
	for _, to := range uniqueAddresses(team.Addresses...) {
		if err := u.mail(ctx, req, LetterTask, to, fmt.Sprintf("%s/%d", task.ID, task.Mails), params); err != nil {
			return err
		}
	}
	return nil
}

func taskAction(kind string) string {
	switch connectors.TaskKind(kind) {
	case connectors.TaskOpen:
		return "Ouvrir un accès"
	case connectors.TaskReplace:
		return "Remplacer une clé"
	case connectors.TaskRights:
		return "Changer les droits d’une clé"
	default:
		return "Fermer un accès"
	}
}

// withdrawTask ends a task that nobody has answered.
type withdrawTask struct{ task store.HandTask }

func (cmd *withdrawTask) apply(ctx context.Context, u *unit) error {
	_, req, err := u.lockCredential(ctx, cmd.task.CredentialID)
	if err != nil {
		return err
	}
	withdrawn, err := u.tx.WithdrawTask(ctx, cmd.task.Manager, cmd.task.Key, u.at)
	if err != nil || !withdrawn {
		return err
	}
	return u.writeTask(ctx, req, cmd.task, "task.withdrawn", "")
}

// TaskShown is a task as its page shows it. No person is named, but to a team that
// has to hand the key to one.
type TaskShown struct {
	Kind         connectors.TaskKind
	Action       string
	Definition   string // label
	DefinitionID string
	Organization string
	SIRET        string
	Request      int64 // as DataPass numbers it
	Reference    string
	PublicID     string
	Rights       []string
	Instructions string
	Replaces     string
	Grace        time.Duration
	EndsAt       string // French; "" when none
	WantsKey     bool
	// WantsReference: the team hands the key to Recipient itself, and answers with
	// its reference of it. Recipient is known only while that is to be done.
	WantsReference bool
	Recipient      string // mail address
	RecipientRole  string // in French: "au contact technique"
	TeamReference  string // what it answered with
	State          connectors.TaskState
	Reason         string
	AskedAt        string // French
	AnsweredAt     string // French; "" while it waits
	Until          string // French: end of the link
}

// Task gives what a link leads to. store.ErrNotFound for a link that is not
// ours, a *StateError for one that is over.
func (r *Registry) Task(ctx context.Context, link string) (TaskShown, error) {
	l, err := r.openTaskLink(link)
	if err != nil {
		return TaskShown{}, err
	}
	task, err := r.store.Task(ctx, l.Task)
	if err != nil {
		return TaskShown{}, err
	}
	c, err := r.store.Credential(ctx, task.CredentialID)
	if err != nil {
		return TaskShown{}, err
	}
	req, err := r.store.Request(ctx, task.RequestID)
	if err != nil {
		return TaskShown{}, err
	}
	shown := TaskShown{
		Kind: connectors.TaskKind(task.Kind), Action: taskAction(task.Kind), Definition: r.label(task.Definition), DefinitionID: task.Definition,
		Organization: req.Organization.Name, SIRET: req.Organization.SIRET, Request: shownRequestID(req), Reference: c.Ref, PublicID: c.ID.String(),
		Rights: task.Rights, Instructions: task.Instructions, Replaces: task.Replaces, Grace: time.Duration(task.GraceMs) * time.Millisecond,
		WantsKey: task.WantsKey, WantsReference: task.WantsReference, TeamReference: task.Reference, State: connectors.TaskState(task.State), Reason: task.Reason, AskedAt: frenchTime(task.AskedAt), Until: frenchTime(l.Until),
	}
	if task.WantsReference && task.State == string(connectors.TaskWaiting) {
		role, to := recipientOfLink(req)
		shown.RecipientRole, shown.Recipient = toRole(role), to
	}
	if task.EndsAt != nil {
		shown.EndsAt = frenchTime(*task.EndsAt)
	}
	if task.AnsweredAt != nil {
		shown.AnsweredAt = frenchTime(*task.AnsweredAt)
	}
	return shown, nil
}

func (r *Registry) openTaskLink(link string) (store.TaskLink, error) {
	l, err := r.store.OpenTaskLink(link)
	if err == nil && !l.Until.After(r.now()) {
		err = &StateError{"link", "expired"}
	}
	return l, err
}

// AnswerError says what is wrong with a team's answer. Nothing was done.
type AnswerError struct{ Field, Text string }

func (e *AnswerError) Error() string { return e.Field + ": " + e.Text }

// AnswerTask records what the team says: done, with the key or the reference that
// is wanted, or refused with a reason. The work that waits goes on at once. A key
// that is not wanted is dropped.
type AnswerTask struct {
	Link      string
	Done      bool
	Key       connectors.Secret // of a done task that wants it
	Reference string            // of a done task that wants it
	Reason    string            // of a refusal
}

// checkReference gives the team's reference of a key that it handed over, trimmed.
// What looks like the key itself is refused: the hub is never to have it.
func (cmd *AnswerTask) checkReference() (string, error) {
	reference := strings.Join(strings.Fields(cmd.Reference), " ")
	switch {
	case reference == "":
		return "", &AnswerError{"reference", "Donnez votre référence de la clé : son titulaire la citera s’il vous écrit."}
	case !utf8.ValidString(reference) || utf8.RuneCountInString(reference) > MaxReference:
		return "", &AnswerError{"reference", fmt.Sprintf("Une référence a %d caractères au plus.", MaxReference)}
	case strings.ContainsFunc(reference, unicode.IsControl):
		return "", &AnswerError{"reference", "Une référence n’a que des lettres, des chiffres et des signes."}
	case likeSecret(reference):
		return "", &AnswerError{"reference", "Cela ressemble à la clé elle-même : Passerelle ne doit pas l’avoir. Donnez sa référence dans votre outil, par exemple un numéro de dossier."}
	}
	return reference, nil
}

// likeSecret: a long run of letters and digits mixed. Numbers of files and UUIDs
// have none.
func likeSecret(text string) bool {
	letters, digits := 0, 0
	for _, c := range text + " " {
		switch {
		case unicode.IsLetter(c):
			letters++
		case unicode.IsDigit(c):
			digits++
		default:
			letters, digits = 0, 0
		}
		if letters+digits >= secretLike && letters > 0 && digits > 0 {
			return true
		}
	}
	return false
}

// check gives the answer's key and reason, trimmed.
func (cmd *AnswerTask) check(wantsKey bool) (key, reason string, err error) {
	key, reason = strings.TrimSpace(cmd.Key.Reveal()), strings.Join(strings.Fields(cmd.Reason), " ")
	switch {
	case !cmd.Done && reason == "":
		err = &AnswerError{"motif", "Écrivez pourquoi : l’équipe de Passerelle le lira."}
	case !cmd.Done && (len(reason) > MaxRefusal || !utf8.ValidString(reason)):
		err = &AnswerError{"motif", fmt.Sprintf("Le motif dépasse %d caractères.", MaxRefusal)}
	case !cmd.Done, !wantsKey:
		return "", reason, nil
	case len(key) < MinHandedKey || len(key) > MaxHandedKey:
		err = &AnswerError{"cle", fmt.Sprintf("Une clé a entre %d et %d caractères.", MinHandedKey, MaxHandedKey)}
	case strings.ContainsFunc(key, func(c rune) bool { return c <= ' ' || c > '~' }):
		err = &AnswerError{"cle", "Une clé n’a ni espace, ni saut de ligne, ni lettre accentuée : copiez-la seule."}
	}
	return key, reason, err
}

func (cmd *AnswerTask) apply(ctx context.Context, u *unit) error {
	l, err := u.openTaskLink(cmd.Link)
	if err != nil {
		return err
	}
	peek, err := u.tx.Task(ctx, l.Task)
	if err != nil {
		return err
	}
	c, req, err := u.lockCredential(ctx, peek.CredentialID)
	if err != nil {
		return err
	}
	task, err := u.tx.LockTask(ctx, l.Task)
	if err != nil {
		return err
	}
	if task.State != string(connectors.TaskWaiting) {
		return &StateError{"task", task.State}
	}
	key, reason, err := cmd.check(task.WantsKey)
	if err != nil {
		return err
	}
	task.AnsweredAt, task.RemindAt, task.State = &u.at, nil, string(connectors.TaskRefused)
	event := "task.refused"
	if cmd.Done {
		event, reason, task.State = "task.done", "", string(connectors.TaskDone)
		if task.WantsReference {
			if task.Reference, err = cmd.checkReference(); err != nil {
				return err
			}
		}
		if task.WantsKey {
			if err := u.tx.SealTaskSecret(&task, connectors.NewSecret(key)); err != nil {
				return err
			}
		}
	}
	task.Reason = reason
	if err := u.tx.SaveTask(ctx, task); err != nil {
		return err
	}
	if task.Kind == string(connectors.TaskClose) {
		u.then(RevocationRequested{c.ID, c.Manager})
	} else {
		u.then(ProvisioningRequested{c.ID, c.Manager})
	}
	u.actor = "team:" + task.Manager
	return u.writeTask(ctx, req, task, event, reason)
}

// RemindTask mails a task's team again: when its reminder is due, or Now when an
// operator says so.
type RemindTask struct {
	ID  uuid.UUID
	Now bool
}

func (cmd *RemindTask) apply(ctx context.Context, u *unit) error {
	peek, err := u.tx.Task(ctx, cmd.ID)
	if err != nil {
		return err
	}
	_, req, err := u.lockCredential(ctx, peek.CredentialID)
	if err != nil {
		return err
	}
	task, err := u.tx.LockTask(ctx, cmd.ID)
	if err != nil {
		return err
	}
	if task.State != string(connectors.TaskWaiting) {
		return &StateError{"task", task.State}
	}
	if !cmd.Now && (task.RemindAt == nil || task.RemindAt.After(u.at)) {
		return nil // another process was first
	}
	return u.mailAgain(ctx, req, task, "task.reminded")
}

// mailAgain sends the next round of mails and sets the one after it.
func (u *unit) mailAgain(ctx context.Context, req habilitation.Request, task store.HandTask, event string) error {
	task.Mails++
	task.MailedAt, task.RemindAt = u.at, nil
	if team, ok := u.team(task.Manager); ok && team.RemindEvery > 0 && int(task.Mails) <= team.Reminders {
		next := u.at.Add(team.RemindEvery)
		task.RemindAt = &next
	}
	if err := u.tx.SaveTask(ctx, task); err != nil {
		return err
	}
	if err := u.mailTeam(ctx, req, task); err != nil {
		return err
	}
	return u.writeTask(ctx, req, task, event, "")
}

// linkAgain is the least time between a mail and a link that its reader asks for.
const linkAgain = time.Hour

// RenewTaskLink mails the team a new link in the place of one that is over, once
// an hour at the most.
type RenewTaskLink struct{ Link string }

func (cmd *RenewTaskLink) apply(ctx context.Context, u *unit) error {
	l, err := u.store.OpenTaskLink(cmd.Link)
	if err != nil {
		return err
	}
	if l.Until.After(u.at) {
		return &StateError{"link", "live"}
	}
	peek, err := u.tx.Task(ctx, l.Task)
	if err != nil {
		return err
	}
	_, req, err := u.lockCredential(ctx, peek.CredentialID)
	if err != nil {
		return err
	}
	task, err := u.tx.LockTask(ctx, l.Task)
	if err != nil {
		return err
	}
	if task.State != string(connectors.TaskWaiting) {
		return &StateError{"task", task.State}
	}
	if u.at.Sub(task.MailedAt) < linkAgain {
		return nil
	}
	return u.mailAgain(ctx, req, task, "task.link_renewed")
}

// askAgain has the refused tasks of a credential wait anew: an operator has
// mended what they were refused for.
func (u *unit) askAgain(ctx context.Context, req habilitation.Request, c store.Credential) error {
	refused, err := u.tx.LockRefusedTasks(ctx, c.ID)
	if err != nil {
		return err
	}
	for _, task := range refused {
		task.State, task.Reason, task.AskedAt, task.AnsweredAt = string(connectors.TaskWaiting), "", u.at, nil
		if err := u.mailAgain(ctx, req, task, "task.asked_again"); err != nil {
			return err
		}
	}
	return nil
}
