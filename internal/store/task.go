package store

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/store/db"
)

// HandTask is an order to the people who hold a manager's keys. The key that
// they gave is opened by Answer only.
type HandTask struct{ db.HandTask }

// NewHandTask is what a task starts with.
type NewHandTask struct {
	ID           uuid.UUID
	Manager      string
	CredentialID uuid.UUID
	RequestID    int64
	Task         connectors.Task
	Now          time.Time
	RemindAt     time.Time // zero: never
}

// InsertTask makes a task whose first mails leave with it; false when it is there.
func (t *Tx) InsertTask(ctx context.Context, n NewHandTask) (bool, error) {
	rights := n.Task.Rights
	if rights == nil {
		rights = []string{}
	}
	rows, err := t.q.InsertTask(ctx, db.InsertTaskParams{
		ID: n.ID, Manager: n.Manager, Key: n.Task.ID, Kind: string(n.Task.Kind), CredentialID: n.CredentialID, RequestID: n.RequestID,
		Definition: n.Task.Definition, Rights: rights, Instructions: n.Task.Instructions, WantsKey: n.Task.WantsKey, WantsReference: n.Task.WantsReference,
		Replaces: n.Task.Replaces, GraceMs: n.Task.Grace.Milliseconds(), EndsAt: timePtr(n.Task.EndsAt), AskedAt: n.Now, Mails: 1, MailedAt: n.Now, RemindAt: timePtr(n.RemindAt),
	})
	return rows > 0, err
}

// TaskByKey reads a task by its connector's id of it.
func (s *Store) TaskByKey(ctx context.Context, manager, key string) (HandTask, error) {
	row, err := s.q.TaskByKey(ctx, manager, key)
	return HandTask{row}, notFound(err, "task", key)
}

// Task reads a task.
func (s *Store) Task(ctx context.Context, id uuid.UUID) (HandTask, error) {
	row, err := s.q.TaskByID(ctx, id)
	return HandTask{row}, notFound(err, "task", id)
}

// Task is Store.Task inside a transaction.
func (t *Tx) Task(ctx context.Context, id uuid.UUID) (HandTask, error) {
	row, err := t.q.TaskByID(ctx, id)
	return HandTask{row}, notFound(err, "task", id)
}

// LockTask reads a task and locks it until the end of the transaction.
func (t *Tx) LockTask(ctx context.Context, id uuid.UUID) (HandTask, error) {
	row, err := t.q.LockTask(ctx, id)
	return HandTask{row}, notFound(err, "task", id)
}

// LockRefusedTasks locks the refused tasks of a credential, oldest first.
func (t *Tx) LockRefusedTasks(ctx context.Context, credentialID uuid.UUID) ([]HandTask, error) {
	rows, err := t.q.LockRefusedTasks(ctx, credentialID)
	list := make([]HandTask, len(rows))
	for i, row := range rows {
		list[i] = HandTask{row}
	}
	return list, err
}

// SaveTask writes what changed.
func (t *Tx) SaveTask(ctx context.Context, task HandTask) error {
	return t.q.UpdateTask(ctx, db.UpdateTaskParams{
		ID: task.ID, State: task.State, SecretSealed: task.SecretSealed, Reference: task.Reference, Reason: task.Reason, AskedAt: task.AskedAt,
		AnsweredAt: task.AnsweredAt, Mails: task.Mails, MailedAt: task.MailedAt, RemindAt: task.RemindAt,
	})
}

// WithdrawTask ends a task that waits; false when there is none.
func (t *Tx) WithdrawTask(ctx context.Context, manager, key string, now time.Time) (bool, error) {
	n, err := t.q.WithdrawTask(ctx, &now, manager, key)
	return n > 0, err
}

func taskAD(id uuid.UUID) []byte { return []byte("hand_task/" + id.String()) }

// SealTaskSecret puts the key that was given into task, sealed.
func (t *Tx) SealTaskSecret(task *HandTask, secret connectors.Secret) (err error) {
	task.SecretSealed, err = t.ring.Seal([]byte(secret.Reveal()), taskAD(task.ID))
	return err
}

// DropTaskSecrets destroys the keys that tasks of a credential still hold: it is
// sealed with the credential, or over.
func (t *Tx) DropTaskSecrets(ctx context.Context, credentialID uuid.UUID) error {
	return t.q.DropTaskSecrets(ctx, credentialID)
}

// TaskAnswer gives what people said of a task, with the key that they gave.
func (s *Store) TaskAnswer(task HandTask) (connectors.TaskAnswer, error) {
	answer := connectors.TaskAnswer{State: connectors.TaskState(task.State), Since: task.AskedAt, Reason: task.Reason, Reference: task.Reference}
	if task.AnsweredAt != nil {
		answer.At = *task.AnsweredAt
	}
	if task.SecretSealed == nil {
		return answer, nil
	}
	clear, err := s.ring.Open(task.SecretSealed, taskAD(task.ID))
	answer.Secret = connectors.NewSecret(string(clear))
	return answer, err
}

// TasksToRemind gives the waiting tasks whose next reminder is due, oldest first.
func (s *Store) TasksToRemind(ctx context.Context, now time.Time, limit int) ([]uuid.UUID, error) {
	return s.q.TasksToRemind(ctx, &now, int32(limit))
}

// WaitingTask is a task that nobody has answered.
type WaitingTask = db.WaitingTasksRow

// WaitingTasks gives them, oldest first.
func (s *Store) WaitingTasks(ctx context.Context, limit int) ([]WaitingTask, error) {
	return s.q.WaitingTasks(ctx, int32(limit))
}

// CredentialByRef finds a manager's credential by our reference of it.
func (t *Tx) CredentialByRef(ctx context.Context, manager, ref string) (Credential, error) {
	row, err := t.q.CredentialByRef(ctx, manager, ref)
	return Credential{row}, notFound(err, "credential", ref)
}

// TaskLink is what the link of a task's mail says.
type TaskLink struct {
	Task  uuid.UUID `json:"t"`
	Until time.Time `json:"u"`
}

var taskLinkAD = []byte("hand_task_link")

// SealTaskLink writes a link as text for a URL, which only this hub can read or make.
func (t *Tx) SealTaskLink(l TaskLink) (string, error) {
	clear, err := json.Marshal(l)
	if err != nil {
		return "", err
	}
	sealed, err := t.ring.Seal(clear, taskLinkAD)
	return base64.RawURLEncoding.EncodeToString(sealed), err
}

// OpenTaskLink reads it back; ErrNotFound for what is not ours.
func (s *Store) OpenTaskLink(value string) (TaskLink, error) {
	var l TaskLink
	sealed, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil {
		return l, ErrNotFound
	}
	clear, err := s.ring.Open(sealed, taskLinkAD)
	if err != nil {
		return l, ErrNotFound
	}
	return l, json.Unmarshal(clear, &l)
}
