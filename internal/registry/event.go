package registry

import (
	"context"
	"encoding/json"
	"maps"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// publish stores one of the hub's own events about a credential, for whoever
// subscribed to its definition: ids to fetch by, no personal data, no secret.
// The body is a Standard Webhooks one ({"type","timestamp","data"}).
func (u *unit) publish(ctx context.Context, req habilitation.Request, c store.Credential, kind string, more map[string]any) error {
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	data := map[string]any{
		"token_id":      c.ID,
		"request_id":    req.ID,
		"definition_id": c.Definition,
		"manager":       c.Manager,
		"credential":    c.Ref,
		"state":         c.State,
		"siret":         req.Organization.SIRET,
		"expires_at":    c.ExpiresAt,
	}
	if req.Origin == habilitation.Mirrored {
		data["datapass_id"] = req.ExternalID
	}
	maps.Copy(data, more)
	body, err := json.Marshal(map[string]any{"type": kind, "timestamp": u.at.Format(time.RFC3339Nano), "data": data})
	if err != nil {
		return err
	}
	deliveries, err := u.tx.PublishEvent(ctx, store.Event{
		ID: id, Type: kind, Definition: c.Definition, RequestID: req.ID, Body: body, OccurredAt: u.at, Correlation: u.correlation,
	})
	if err != nil {
		return err
	}
	if len(deliveries) > 0 {
		u.then(EventPublished{deliveries})
	}
	return nil
}

func uniqueAddresses(addresses ...string) []string {
	seen := map[string]bool{}
	var list []string
	for _, a := range addresses {
		if a = strings.TrimSpace(a); a != "" && !seen[strings.ToLower(a)] {
			seen[strings.ToLower(a)] = true
			list = append(list, a)
		}
	}
	return list
}
