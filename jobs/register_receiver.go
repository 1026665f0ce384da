package jobs

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/riverqueue/river"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// RegisterReceiverArgs names a request whose organization HubEE must know.
type RegisterReceiverArgs struct {
	RequestID int64 `json:"request_id"`
}

// Kind is the job's name in the queue.
func (RegisterReceiverArgs) Kind() string { return "register_receiver" }

// InsertOpts puts it into HubEE's queue.
func (RegisterReceiverArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: QueueFolders, MaxAttempts: maxAttempts}
}

type registerReceiver struct {
	river.WorkerDefaults[RegisterReceiverArgs]
	*Workers
}

// waitsError is a set-up that a person must mend; its text tells how.
type waitsError struct{ advice string }

func (e *waitsError) Error() string { return e.advice }

// Work brings a request's organization and its subscription to HubEE, each looked
// for before it is made (hubee.md, 11). HubEE's people activate it by hand.
func (w *registerReceiver) Work(ctx context.Context, job *river.Job[RegisterReceiverArgs]) error {
	id := job.Args.RequestID
	err := w.register(ctx, id)
	var waits *waitsError
	switch {
	case errors.As(err, &waits):
		if err := w.Registry.Record(ctx, &registry.ReceiverWaits{RequestID: id, Problem: waits.advice}); err != nil {
			return err
		}
		return river.JobSnooze(waitForPeople)
	case isStateError(err), errors.Is(err, store.ErrNotFound):
		return nil // revoked or archived meanwhile
	case err != nil:
		var e *connectors.Error
		if errors.As(err, &e) {
			if rerr := w.recordOutcome(ctx, &registry.ReceiverWaits{RequestID: id, Problem: e.Error()}); rerr != nil {
				return rerr
			}
		}
		return w.settle(ctx, registry.HubEE, err)
	}
	return nil
}

func (w *registerReceiver) register(ctx context.Context, id int64) error {
	right, err := w.Store.Right(ctx, id)
	if err != nil {
		return err
	}
	if right.EndedAt != nil || right.DoneAt != nil {
		return nil
	}
	req, err := w.Store.Request(ctx, id)
	if err != nil {
		return err
	}
	place := placeOf(req.Organization)
	if place.COG == "" && right.ReceiverID != nil { // people said what INSEE has not
		located, err := w.Store.Receiver(ctx, *right.ReceiverID)
		if err != nil {
			return err
		}
		place.COG, place.PostalCode, place.Name = located.Cog, located.PostalCode, located.Place
	}
	if req.Organization.SIRET == "" || len(place.COG) != 5 {
		return w.unlocated(ctx, req)
	}
	ref := connectors.OrganizationRef{Type: "SI", SIRET: req.Organization.SIRET, Branch: place.COG}
	name := cmp.Or(req.Organization.Name, ref.String())
	if err := w.Registry.Record(ctx, &registry.LocateReceiver{
		RequestID: id, Ref: ref, Name: name, PostalCode: place.PostalCode, Place: place.Name, Category: req.Organization.LegalCategory(),
	}); err != nil {
		return err
	}
	if w.Folders.Directory == nil {
		return &waitsError{"ce hub n’inscrit pas les collectivités chez HubEE lui-même : inscrivez-la sur le portail"}
	}
	contact, err := contactOf(req, w.Folders.Contact)
	if err != nil {
		return err
	}
	if err := w.ensureReceiver(ctx, ref, name, place, contact); err != nil {
		return err
	}
	subscription, err := w.ensureSubscription(ctx, req, ref, contact)
	if err != nil {
		return err
	}
	return w.Registry.Record(ctx, &registry.ReceiverSubscribed{RequestID: id, Subscription: subscription})
}

// unlocated says why it is not known where an organization is.
func (w *registerReceiver) unlocated(ctx context.Context, req habilitation.Request) error {
	reason := "l’INSEE n’a pas encore répondu pour ce SIRET"
	switch {
	case req.Organization.SIRET == "":
		reason = "elle n’a pas de SIRET"
	case req.Origin == habilitation.Mirrored:
		reason = "sa source n’a pas encore transmis la réponse de l’INSEE pour ce SIRET"
	case w.Establishments == nil:
		reason = "ce hub n’interroge pas l’INSEE (réglage sirene)"
	default:
		problem, err := w.Store.EstablishmentProblem(ctx, req.Organization.ID)
		if err != nil {
			return err
		}
		reason = cmp.Or(problem, reason)
	}
	return &waitsError{"la commune de l’organisation n’est pas connue : " + reason}
}

func (w *registerReceiver) ensureReceiver(ctx context.Context, ref connectors.OrganizationRef, name string, place place, c contact) error {
	_, err := w.Folders.Directory.Receiver(ctx, ref)
	if !connectors.Is(err, connectors.NotFound) {
		return err
	}
	err = w.Folders.Directory.CreateReceiver(ctx, connectors.Receiver{
		Ref: ref, Name: name, PostalCode: place.PostalCode, Territory: cmp.Or(place.Name, place.COG), Email: c.Email, Phone: c.Phone,
	})
	if errors.Is(err, connectors.ErrAlreadyExists) {
		return nil // made by another run, or by DataPass
	}
	return err
}

// ensureSubscription adopts one that is there, matched by SIRET and COG.
func (w *registerReceiver) ensureSubscription(ctx context.Context, req habilitation.Request, ref connectors.OrganizationRef, c contact) (connectors.Subscription, error) {
	for range 2 {
		list, err := w.Folders.Directory.Subscriptions(ctx, registry.FolderProcess, ref.SIRET)
		if err != nil {
			return connectors.Subscription{}, err
		}
		for _, s := range list {
			if s.Receiver == ref {
				return s, nil
			}
		}
		made, err := w.Folders.Directory.CreateSubscription(ctx, connectors.SubscriptionDraft{
			Process: registry.FolderProcess, Receiver: ref, DataPassID: cmp.Or(req.ExternalID, req.ID), Email: c.Email, ValidatedAt: validatedAt(req, w.Now()),
			AdminEmail: c.Email, AdminFirstName: c.FirstName, AdminLastName: c.LastName, AdminFunction: c.Function, AdminPhone: c.Phone,
		})
		if !errors.Is(err, connectors.ErrAlreadyExists) {
			return made, err
		}
	}
	return connectors.Subscription{}, &connectors.Error{
		Class: connectors.Temporary, Partner: registry.HubEE, Op: "create a subscription", Detail: "HubEE says that it exists and does not list it",
	}
}

func validatedAt(req habilitation.Request, now time.Time) time.Time {
	if req.LastValidatedAt.IsZero() {
		return now
	}
	return req.LastValidatedAt
}

// place is where an organization is, as INSEE says (datapass.md, 2.4).
type place struct{ COG, PostalCode, Name string }

func placeOf(o habilitation.Organization) place {
	var payload struct {
		Etablissement struct {
			Adresse struct {
				CodeCommune    string `json:"codeCommuneEtablissement"`
				CodePostal     string `json:"codePostalEtablissement"`
				LibelleCommune string `json:"libelleCommuneEtablissement"`
			} `json:"adresseEtablissement"`
		} `json:"etablissement"`
	}
	if len(o.INSEEPayload) == 0 || json.Unmarshal(o.INSEEPayload, &payload) != nil {
		return place{}
	}
	a := payload.Etablissement.Adresse
	return place{a.CodeCommune, a.CodePostal, a.LibelleCommune}
}

// contact is the person whom HubEE knows for a receiver.
type contact struct{ Email, Phone, FirstName, LastName, Function connectors.Secret }

// ContactRules give an address and a number in the form that the partner takes,
// or say what to change, in words for the people who wrote them.
type ContactRules struct {
	Email func(address string) (string, error)
	Phone func(number string) (string, error)
}

// contactOf takes the business contact, else the applicant (hubee.md, HC-12).
func contactOf(req habilitation.Request, rules ContactRules) (contact, error) {
	d := req.Data
	email, phone := d["contact_metier_email"], d["contact_metier_phone_number"]
	first, last, function := d["contact_metier_given_name"], d["contact_metier_family_name"], d["contact_metier_job_title"]
	if email == "" {
		a := req.Applicant
		email, phone, first, last, function = a.Email, a.PhoneNumber, a.GivenName, a.FamilyName, a.JobTitle
	}
	address, err := rules.Email(email)
	if err != nil {
		return contact{}, &waitsError{"contact métier : " + err.Error()}
	}
	number := ""
	if phone != "" {
		if number, err = rules.Phone(phone); err != nil {
			return contact{}, &waitsError{"contact métier : " + err.Error()}
		}
	}
	secret := connectors.NewSecret
	return contact{secret(address), secret(number), secret(first), secret(last), secret(function)}, nil
}
