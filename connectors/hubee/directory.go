package hubee

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
)

// Directory is HubEE in the role of onboarding.
type Directory struct{ *client }

var _ connectors.ReceiverDirectory = (*Directory)(nil)

// HubEE's patterns (hubee.md, 6).
var (
	emailPattern = regexp.MustCompile(`^[a-zA-Z0-9._-]+@[a-zA-Z0-9._-]{2,}\.[a-z]{2,4}$`)
	phonePattern = regexp.MustCompile(`^\+?[0-9]{10,20}$`)
	phoneNoise   = strings.NewReplacer(" ", "", ".", "", "-", "", "(0)", "", "(", "", ")", "", "\u00a0", "", "\u202f", "", "/", "")
)

const (
	maxEmail         = 320
	subscriptionPage = 100
	maxSubscriptions = 100_000 // a list that never ends must not be read for ever
)

// Email gives the address in the form that HubEE takes, or why it takes none
// (HC-12), in words for the instructor.
func Email(address string) (string, error) {
	local, domain, found := strings.Cut(strings.TrimSpace(address), "@")
	text := local + "@" + strings.ToLower(domain)
	switch {
	case !found || local == "" || domain == "":
		return "", errors.New("l'adresse électronique manque ou n'a pas la forme nom@domaine")
	case len(text) > maxEmail:
		return "", errors.New("l'adresse électronique dépasse 320 caractères")
	case strings.Contains(local, "+"):
		return "", errors.New("HubEE refuse le signe + dans une adresse électronique : donnez une adresse sans +")
	case emailPattern.MatchString(text):
		return text, nil
	}
	if dot := strings.LastIndexByte(domain, '.'); dot >= 0 && len(domain)-dot-1 > 4 {
		return "", errors.New("HubEE n'accepte que les adresses électroniques dont la fin compte 2 à 4 lettres (.fr, .com, .info) : donnez une autre adresse")
	}
	return "", errors.New("HubEE n'accepte dans une adresse électronique que lettres sans accent, chiffres, points, tirets et _ : donnez une autre adresse")
}

// Phone gives the number in the form that HubEE takes, or why it takes none.
func Phone(number string) (string, error) {
	text := phoneNoise.Replace(strings.TrimSpace(number))
	if phonePattern.MatchString(text) {
		return text, nil
	}
	return "", errors.New("HubEE n'accepte qu'un numéro de téléphone de 10 à 20 chiffres, avec ou sans + au début")
}

type (
	organizationJSON struct {
		Type            string `json:"type"`
		CompanyRegister string `json:"companyRegister"`
		BranchCode      string `json:"branchCode"`
		Name            string `json:"name"`
		Country         string `json:"country,omitempty"`
		PostalCode      string `json:"postalCode"`
		Territory       string `json:"territory"`
		Email           string `json:"email"`
		PhoneNumber     string `json:"phoneNumber,omitempty"`
		Status          string `json:"status"`
	}
	subscriptionJSON struct {
		ID               string                     `json:"id"`
		DatapassID       int64                      `json:"datapassId"`
		ProcessCode      string                     `json:"processCode"`
		Subscriber       connectors.OrganizationRef `json:"subscriber"`
		Status           string                     `json:"status"`
		AccessMode       *string                    `json:"accessMode"`
		DelegationActor  json.RawMessage            `json:"delegationActor"`
		CreationDateTime dateTime                   `json:"creationDateTime"`
		ActivateDateTime dateTime                   `json:"activateDateTime"`
	}
	subscriptionRequestJSON struct {
		DatapassID            int64                      `json:"datapassId"`
		ProcessCode           string                     `json:"processCode"`
		Subscriber            connectors.OrganizationRef `json:"subscriber"`
		Email                 string                     `json:"email"`
		Status                string                     `json:"status"`
		NotificationFrequency string                     `json:"notificationFrequency"`
		LocalAdministrator    administratorJSON          `json:"localAdministrator"`
		ValidateDateTime      string                     `json:"validateDateTime"`
		UpdateDateTime        string                     `json:"updateDateTime"`
	}
	administratorJSON struct {
		Email       string `json:"email"`
		FirstName   string `json:"firstName,omitempty"`
		LastName    string `json:"lastName,omitempty"`
		Function    string `json:"function,omitempty"`
		PhoneNumber string `json:"phoneNumber,omitempty"`
	}
)

// Receiver reads one organization.
func (d *Directory) Receiver(ctx context.Context, ref connectors.OrganizationRef) (connectors.Receiver, error) {
	var out organizationJSON
	err := d.call(ctx, outbound.Call{
		Op: "read an organization", Method: http.MethodGet, Route: referential + "/organizations/{organizationId}",
		Params: map[string]string{"organizationId": ref.String()}, Out: &out,
	})
	if err != nil {
		return connectors.Receiver{}, err
	}
	return connectors.Receiver{
		Ref:  connectors.OrganizationRef{Type: out.Type, SIRET: out.CompanyRegister, Branch: out.BranchCode},
		Name: out.Name, PostalCode: out.PostalCode, Territory: out.Territory,
		Email: connectors.NewSecret(out.Email), Phone: connectors.NewSecret(out.PhoneNumber),
	}, nil
}

// CreateReceiver makes one.
func (d *Directory) CreateReceiver(ctx context.Context, r connectors.Receiver) error {
	err := d.call(ctx, outbound.Call{
		Op: "create an organization", Method: http.MethodPost, Route: referential + "/organizations",
		In: organizationJSON{
			Type: r.Ref.Type, CompanyRegister: r.Ref.SIRET, BranchCode: r.Ref.Branch, Name: fits(r.Name, 100), Country: "France",
			PostalCode: r.PostalCode, Territory: fits(r.Territory, maxMetadata), Email: r.Email.Reveal(), PhoneNumber: r.Phone.Reveal(), Status: "Actif",
		},
		Out:     &organizationJSON{},
		Secrets: []connectors.Secret{r.Email, r.Phone},
	})
	return err
}

// Subscriptions reads all pages.
func (d *Directory) Subscriptions(ctx context.Context, process, siret string) ([]connectors.Subscription, error) {
	var all []connectors.Subscription
	seen := map[string]bool{}
	for offset := 0; offset < maxSubscriptions; {
		query := url.Values{"processCode": {process}, "offSet": {strconv.Itoa(offset)}, "maxResult": {strconv.Itoa(subscriptionPage)}}
		if siret != "" {
			query.Set("companyRegister", siret)
		}
		var page []subscriptionJSON
		err := d.call(ctx, outbound.Call{
			Op: "list subscriptions", Method: http.MethodGet, Route: referential + "/subscriptions", Query: query, Out: &page,
		})
		if err != nil {
			return nil, err
		}
		for _, s := range page {
			if s.ProcessCode == process && !seen[s.ID] { // one that is made meanwhile pushes others onto the next page
				seen[s.ID] = true
				all = append(all, s.subscription())
			}
		}
		if len(page) < subscriptionPage {
			break
		}
		offset += len(page)
	}
	return all, nil
}

// CreateSubscription asks for one. Who is told of folders follows later, when the
// subscription is activated: until then nobody is.
func (d *Directory) CreateSubscription(ctx context.Context, draft connectors.SubscriptionDraft) (connectors.Subscription, error) {
	validated := draft.ValidatedAt.UTC().Format(time.RFC3339)
	var out subscriptionJSON
	err := d.call(ctx, outbound.Call{
		Op: "create a subscription", Method: http.MethodPost, Route: referential + "/subscriptions",
		In: subscriptionRequestJSON{
			DatapassID: draft.DataPassID, ProcessCode: draft.Process, Subscriber: draft.Receiver, Email: draft.Email.Reveal(),
			Status: "Inactif", NotificationFrequency: "Aucune", ValidateDateTime: validated, UpdateDateTime: validated,
			LocalAdministrator: administratorJSON{
				Email:     draft.AdminEmail.Reveal(),
				FirstName: fits(draft.AdminFirstName.Reveal(), maxMetadata), LastName: fits(draft.AdminLastName.Reveal(), maxMetadata),
				Function: fits(draft.AdminFunction.Reveal(), maxMetadata), PhoneNumber: draft.AdminPhone.Reveal(),
			},
		},
		Out:     &out,
		Secrets: []connectors.Secret{draft.Email, draft.AdminEmail, draft.AdminFirstName, draft.AdminLastName, draft.AdminPhone},
	})
	if err != nil {
		return connectors.Subscription{}, err
	}
	return out.subscription(), nil
}

// Health asks for one subscription.
func (d *Directory) Health(ctx context.Context) (connectors.Health, error) {
	return d.health(ctx, outbound.Call{
		Op: "health", Method: http.MethodGet, Route: referential + "/subscriptions", Query: url.Values{"maxResult": {"1"}}, Out: &[]subscriptionJSON{},
	})
}

func (s subscriptionJSON) subscription() connectors.Subscription {
	out := connectors.Subscription{
		ID: s.ID, Process: s.ProcessCode, Receiver: s.Subscriber, DataPassID: s.DatapassID, Status: s.Status,
		Delegate: delegate(s.DelegationActor), CreatedAt: s.CreationDateTime.Time, ActivatedAt: s.ActivateDateTime.Time,
	}
	if s.AccessMode != nil {
		out.AccessMode = *s.AccessMode
	}
	return out
}

// delegate reads the three forms of hubee.md, 6: an e-mail, an editor's
// organization, null or three nulls.
func delegate(raw json.RawMessage) string {
	var actor struct {
		Email           *string `json:"email"`
		Type            *string `json:"type"`
		CompanyRegister *string `json:"companyRegister"`
		BranchCode      *string `json:"branchCode"`
	}
	if len(raw) == 0 || json.Unmarshal(raw, &actor) != nil {
		return ""
	}
	text := func(p *string) string {
		if p == nil {
			return ""
		}
		return *p
	}
	if siret := text(actor.CompanyRegister); siret != "" {
		return connectors.OrganizationRef{Type: text(actor.Type), SIRET: siret, Branch: text(actor.BranchCode)}.String()
	}
	return text(actor.Email)
}
