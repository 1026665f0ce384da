package registry

import (
	"context"
	"fmt"
	"time"

	"github.com/passerelle-hub/passerelle/internal/habilitation"
)

// Sirene is the name under which operators see API Sirene, and of its queue.
const Sirene = "sirene"

// RecordEstablishment keeps INSEE's whole answer for a native organization. What
// waited for it goes on.
type RecordEstablishment struct {
	OrganizationID int64
	Payload        []byte    // API Sirene's answer to GET /siret/{siret} (datapass.md, 2.4)
	Due            time.Time // when it is asked again
}

func (cmd *RecordEstablishment) apply(ctx context.Context, u *unit) error {
	name := habilitation.Organization{INSEEPayload: cmd.Payload}.INSEEName()
	if err := u.tx.SaveEstablishment(ctx, cmd.OrganizationID, cmd.Payload, name, u.at, cmd.Due); err != nil {
		return fmt.Errorf("keep INSEE's answer: %w", err)
	}
	waiting, err := u.tx.RightsWaitingForINSEE(ctx, cmd.OrganizationID)
	if err != nil {
		return err
	}
	for _, request := range waiting {
		u.then(ReceiverGranted{request})
	}
	return nil
}

// EstablishmentWaits records why INSEE gave no answer, in words for people.
type EstablishmentWaits struct {
	OrganizationID int64
	Problem        string
	Due            time.Time // when it is asked again
}

func (cmd *EstablishmentWaits) apply(ctx context.Context, u *unit) error {
	return u.tx.SaveEstablishmentProblem(ctx, cmd.OrganizationID, cmd.Problem, cmd.Due)
}
