package jobs

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/registry"
)

// SendMailArgs names a stored mail.
type SendMailArgs struct {
	MailID uuid.UUID `json:"mail_id"`
}

// Kind is the job's name in the queue.
func (SendMailArgs) Kind() string { return "send_mail" }

// InsertOpts puts it into its queue.
func (SendMailArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: QueueMail, MaxAttempts: maxAttempts}
}

type sendMail struct {
	river.WorkerDefaults[SendMailArgs]
	*Workers
}

// Work hands the mail to the relay. A lost answer means a second try with the
// same Message-ID: the only repeat that SMTP leaves possible.
func (w *sendMail) Work(ctx context.Context, job *river.Job[SendMailArgs]) error {
	mail, err := w.Store.Mail(ctx, job.Args.MailID)
	if err != nil {
		return err
	}
	if mail.State != "queued" {
		return nil
	}
	letter, err := renderLetter(mail.Template, mail.Params)
	if err != nil {
		return err
	}
	err = w.Mailer.Send(ctx, connectors.Mail{
		MessageID: mail.ID.String() + "@" + w.MailDomain, To: mail.To, Subject: letter.Subject, Text: connectors.NewSecret(letter.Text),
	})
	outcome := &registry.MailOutcome{MailID: mail.ID, Err: err}
	if err := w.Registry.Record(ctx, outcome); err != nil {
		return err
	}
	if err == nil || connectors.Is(err, connectors.Rejected) {
		return nil // a refusal is recorded: ops see it, a retry cannot help
	}
	if aboutOneMail(err) {
		return err
	}
	return w.settle(ctx, registry.MailRelay, err)
}

// aboutOneMail: the relay works and defers this recipient or this mail (RFC
// 5321, 4.2.3): greylisting, a full mailbox. The others go on.
func aboutOneMail(err error) bool {
	var e *connectors.Error
	return errors.As(err, &e) && e.Status >= 450 && e.Status < 460
}
