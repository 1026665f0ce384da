package main

import (
	"context"

	"github.com/passerelle-hub/passerelle/connectors"
)

// noRelay stands where no relay is set: mails wait, visibly, until one is.
type noRelay struct{}

func (noRelay) Send(context.Context, connectors.Mail) error {
	return &connectors.Error{Class: connectors.Temporary, Partner: "mail", Op: "send", Detail: "mail.smtp.host is not set: mails wait"}
}

func (n noRelay) Health(ctx context.Context) (connectors.Health, error) {
	return connectors.Health{}, n.Send(ctx, connectors.Mail{})
}
