package citizen

import (
	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/journey"
)

// words is what a citizen reads when her journey did not go through: what
// happened, in plain French, and what to do. Nothing of a partner's own text.
type words struct {
	Title  string
	Text   string
	Advice string
	Again  string // label of the button that starts again
	Error  bool   // something is broken, beside what she can do nothing about
}

const (
	againNow   = "Recommencer"
	againLater = "Réessayer"
	nothingYet = "Rien n’a été transmis à votre collectivité."
)

// failureWords has an entry for each failure (qf-form.md, D-13 and M-8;
// api-particulier.md, 4).
var failureWords = map[journey.Failure]words{
	journey.FailedCancelled: {
		Title: "Vous avez annulé votre démarche", Text: nothingYet + " Ce qui avait été reçu a été effacé.",
		Advice: "Vous pouvez recommencer, ou fournir votre quotient familial autrement.", Again: againNow,
	},
	journey.FailedIdentity: {
		Title: "FranceConnect ne répond pas", Text: nothingYet + " FranceConnect n’a pas pu confirmer votre identité : le service est peut-être en panne.",
		Advice: "Réessayez dans quelques minutes. L’état du service est affiché sur franceconnect.gouv.fr.", Again: againLater, Error: true,
	},
	journey.FailedUnverified: {
		Title: "Votre identification n’a pas pu être vérifiée", Text: nothingYet + " La réponse reçue de FranceConnect n’a pas passé nos contrôles de sécurité. Nos équipes sont prévenues.",
		Advice: "Vous pouvez recommencer. Si cela se reproduit, fournissez votre quotient familial autrement.", Again: againNow, Error: true,
	},
	journey.FailedCode: {
		Title: "Le retour de FranceConnect a pris trop de temps", Text: nothingYet + " Pour votre sécurité, l’autorisation de FranceConnect ne vaut que quelques secondes.",
		Advice: "Recommencez : le plus souvent, FranceConnect vous reconnaît sans redemander votre mot de passe.", Again: againNow,
	},
	journey.FailedInterrupted: {
		Title: "La demande a été interrompue", Text: nothingYet + " Notre service s’est interrompu pendant qu’il demandait votre quotient familial.",
		Advice: "Recommencez : le plus souvent, FranceConnect vous reconnaît sans redemander votre mot de passe.", Again: againNow, Error: true,
	},
	journey.FailedLate: {
		Title: "Beaucoup de familles utilisent le service en ce moment", Text: nothingYet + " Votre tour n’est pas venu avant la fin de l’autorisation donnée par FranceConnect.",
		Advice: "Recommencez dans une minute : le plus souvent, FranceConnect vous reconnaît sans redemander votre mot de passe.", Again: againNow,
	},
	journey.FailedNothing: {
		Title: "Votre caisse n’a pas donné de quotient familial", Text: nothingYet + " Votre dossier existe, mais sa réponse ne contient pas de quotient familial.",
		Advice: "Demandez à votre caisse, Caf ou MSA, une attestation de quotient familial.", Again: againLater,
	},
	journey.FailedClosed: {
		Title: "Votre collectivité ne reçoit plus de dossiers par ce service", Text: nothingYet,
		Advice: "Adressez-vous à elle : elle accepte toujours une attestation de la Caf ou de la MSA.",
	},
	journey.Failure(connectors.QuotientNoFile): {
		Title: "Aucun dossier d’allocations à votre nom", Text: nothingYet + " La Caf ou la MSA vous connaît, mais n’a pas de dossier d’allocations en cours à votre nom.",
		Advice: "Si le dossier est au nom de votre conjoint, c’est à lui de s’identifier. Si vous n’êtes pas allocataire, votre collectivité peut calculer votre tarif avec votre avis d’imposition : demandez-lui.", Again: "Changer d’identité",
	},
	journey.Failure(connectors.QuotientUnknownFund): {
		Title: "Vous n’êtes rattaché à aucune caisse", Text: nothingYet + " Aucune Caf ni caisse de MSA ne vous compte parmi ses allocataires.",
		Advice: "Si le dossier est au nom de votre conjoint, c’est à lui de s’identifier. Certains régimes particuliers ne sont pas couverts : demandez à votre collectivité quel document fournir.", Again: "Changer d’identité",
	},
	journey.Failure(connectors.QuotientUnrecognised): {
		Title: "La Caf et la MSA ne vous ont pas reconnu", Text: nothingYet + " Elles n’ont trouvé personne qui corresponde à l’identité donnée par FranceConnect.",
		Advice: "Comparez l’identité ci-dessous avec celle de votre dossier d’allocataire. Si l’une des deux est fausse, faites-la corriger par votre caisse ou par le service qui vous a identifié.", Again: againNow,
	},
	journey.Failure(connectors.QuotientIdentity): {
		Title: "Votre identité n’a pas pu être recherchée", Text: nothingYet + " Un élément de l’identité donnée par FranceConnect n’est pas accepté par le service de recherche : un caractère de votre nom, ou votre lieu de naissance.",
		Advice: "Vous n’y pouvez rien, et recommencer donnera le même résultat. Fournissez une attestation de votre caisse.", Again: "",
	},
	journey.Failure(connectors.QuotientToken): {
		Title: "L’autorisation de FranceConnect n’est plus valable", Text: nothingYet + " Elle ne vaut qu’une minute.",
		Advice: "Reconnectez-vous : le plus souvent, FranceConnect vous reconnaît sans redemander votre mot de passe.", Again: "Me reconnecter",
	},
	journey.Failure(connectors.QuotientBusy): {
		Title: "Le service qui donne les quotients familiaux est très demandé", Text: nothingYet + " D’autres demandes pour votre collectivité sont en cours.",
		Advice: "Réessayez dans une minute.", Again: againLater,
	},
	journey.Failure(connectors.QuotientQuota): {
		Title: "Le service qui donne les quotients familiaux est très demandé", Text: nothingYet + " Le nombre de demandes autorisé est atteint pour le moment.",
		Advice: "Réessayez dans quelques minutes.", Again: againLater,
	},
	journey.Failure(connectors.QuotientDown): {
		Title: "La Caf ou la MSA ne répond pas", Text: nothingYet + " Nous avons demandé votre quotient familial plusieurs fois, sans réponse.",
		Advice: "Réessayez dans une heure, ou fournissez une attestation si vous êtes pressé.", Again: againLater, Error: true,
	},
	journey.Failure(connectors.QuotientMaintenance): {
		Title: "Le service de la Caf et de la MSA est en maintenance", Text: nothingYet + " Il rouvrira bientôt.",
		Advice: "Réessayez plus tard dans la journée, ou fournissez une attestation si vous êtes pressé.", Again: againLater,
	},
	journey.Failure(connectors.QuotientRights): {
		Title: "Votre collectivité ne peut pas recevoir votre quotient familial pour le moment", Text: nothingYet + " Son autorisation d’accès a été refusée. Nos équipes sont prévenues.",
		Advice: "Vous n’y pouvez rien : fournissez votre quotient familial autrement.", Again: againLater, Error: true,
	},
	journey.Failure(connectors.QuotientOurs): {
		Title: "Notre demande n’a pas été comprise", Text: nothingYet + " C’est une erreur de notre service. Nos équipes sont prévenues.",
		Advice: "Vous n’y pouvez rien : fournissez votre quotient familial autrement.", Again: againLater, Error: true,
	},
}

// wordsOf gives those of a failure.
func wordsOf(v journey.View) words {
	if w, ok := failureWords[v.Failure]; ok {
		return w
	}
	return failureWords[journey.FailedInterrupted]
}
