package ops

import (
	"fmt"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// className says in French what kind of failure it was.
func className(class string) string {
	switch connectors.Class(class) {
	case connectors.Temporary:
		return "panne passagère"
	case connectors.RateLimited:
		return "trop d’appels"
	case connectors.Unauthorized:
		return "identifiants refusés"
	case connectors.NotFound:
		return "introuvable"
	case connectors.Conflict:
		return "conflit"
	case connectors.Rejected:
		return "refusé"
	case connectors.Pending:
		return "en attente"
	default:
		return class
	}
}

// stepName says in French what is being done to a key.
func stepName(step string) string {
	switch step {
	case habilitation.StepPrepare:
		return "préparation"
	case habilitation.StepSubject:
		return "inscription du titulaire"
	case habilitation.StepGrants:
		return "droits"
	case habilitation.StepIssue:
		return "création"
	case habilitation.StepVerify:
		return "contrôle"
	case habilitation.StepProlong:
		return "prolongation"
	case habilitation.StepRevoke:
		return "fermeture"
	case habilitation.StepVerifyRevoked:
		return "preuve de la fermeture"
	default:
		return step
	}
}

// stateName says in French where a key that waits stands.
func stateName(state string) string {
	switch habilitation.CredentialState(state) {
	case habilitation.CredentialRequested, habilitation.CredentialPrepared:
		return "demandée"
	case habilitation.CredentialIssuing:
		return "en création"
	case habilitation.CredentialFailed:
		return "échec"
	case habilitation.CredentialRevoking, habilitation.CredentialRevokedAtHub:
		return "refusée ici, à fermer là-bas"
	case habilitation.CredentialRotating:
		return "à remplacer"
	case habilitation.CredentialActive, habilitation.CredentialExpiring:
		return "en service, à changer"
	default:
		return state
	}
}

// whose names the request of a key as people do: D and DataPass's number, or ours.
func whose(id int64, external *int64) string {
	if external != nil {
		return fmt.Sprintf("D%d", *external)
	}
	return fmt.Sprintf("demande %d", id)
}

// adviceOnPartner says what an operator does about a partner.
func adviceOnPartner(p store.Partner) string {
	switch {
	case p.PausedUntil != nil && p.PausedBy != byHub:
		return "Reprenez-le quand l’intervention est finie : rien ne lui est envoyé d’ici là."
	case p.Class == string(connectors.Unauthorized):
		return "Renouvelez les identifiants du hub chez lui dans passerelle.yml et redémarrez : « passerelle connectors check » dit s’ils sont bons. Ce qui attend reprend alors seul."
	case p.Class == string(connectors.RateLimited):
		return "Rien : le hub attend le délai demandé."
	default:
		return "Rien si cela revient : le hub le sonde et reprend seul. Si cela dure, appelez son équipe ; « passerelle connectors check » montre ce qui ne répond pas."
	}
}

// byHub is who pauses a partner that fails.
const byHub = "hub"

// adviceOnKey says what an operator does about a key that waits.
func adviceOnKey(c store.WaitingCredential) string {
	switch connectors.Class(c.Class) {
	case connectors.Rejected:
		return "Corrigez ce que dit le partenaire (plan, droit, réglage), puis réessayez."
	case connectors.Conflict:
		return "Un objet d’un autre porte ce nom chez le gestionnaire : à régler là-bas, puis réessayez."
	case connectors.NotFound:
		return "Ce que nomment les réglages n’existe pas chez le gestionnaire : corrigez-les, puis réessayez."
	case connectors.Unauthorized, connectors.Temporary, connectors.RateLimited:
		return "Repris seul dès que le partenaire répond (voyez « Partenaires »)."
	case connectors.Pending:
		return "Quelqu’un doit agir chez le gestionnaire (voyez « Tâches d’une équipe »), ou sa lecture retarde."
	}
	if c.Manager == "" {
		return "Ajoutez la définition à « provisioning » dans passerelle.yml et redémarrez."
	}
	return "Rien : en cours."
}

// adviceOnMail says what an operator does about a mail that has not arrived.
func adviceOnMail(m store.WaitingMail) string {
	switch {
	case m.State == "queued" && m.Attempts == 0:
		return "Rien : il part."
	case m.State == "queued":
		return "Repris seul. Si tous attendent, voyez le relais (« Partenaires »)."
	default:
		return "L’adresse n’existe pas ou refuse : faites corriger le contact de la demande. Si c’était le lien d’une clé, « passerelle keys rotate-credential » en envoie un autre au nouveau contact."
	}
}

// mailState says in French where a mail stands.
func mailState(state string) string {
	switch state {
	case "queued":
		return "à envoyer"
	case "refused":
		return "refusé"
	case "bounced":
		return "revenu"
	default:
		return state
	}
}

// outcomeName says in French what came of a try.
func outcomeName(outcome string) string {
	switch outcome {
	case store.Delivered:
		return "livré"
	case store.Failed:
		return "échec"
	case store.Abandoned:
		return "abandonné"
	default:
		return outcome
	}
}
