package hub

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// names gives the people whom the lines of a history name, by id.
func (h *Handler) names(ctx context.Context, lines []store.HistoryLine) (map[int64]string, error) {
	var ids []int64
	for _, line := range lines {
		kind, rest, _ := strings.Cut(line.Actor, ":")
		if id, err := strconv.ParseInt(rest, 10, 64); kind == "person" && err == nil && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	names := map[int64]string{}
	if len(ids) == 0 {
		return names, nil
	}
	people, err := h.Store.People(ctx, ids)
	for _, person := range people {
		names[person.ID] = personName(person)
	}
	return names, err
}

func personName(p store.Person) string {
	if name := strings.TrimSpace(p.GivenName + " " + p.FamilyName); name != "" {
		return name
	}
	return p.Email
}

// actorOf reads who acted: "person:12", "client:<id>", "source:<name>",
// "job:<kind>", "operator:<name>" or "hub".
func actorOf(actor string, people map[int64]string) actorView {
	kind, id, _ := strings.Cut(actor, ":")
	v := actorView{Kind: kind, ID: id}
	switch kind {
	case "person":
		n, _ := strconv.ParseInt(id, 10, 64)
		v.Name = people[n]
	case "client":
		v.Name = "Une application"
	case "source":
		v.Name = "DataPass (" + id + ")"
	case "operator":
		v.Name = "L’exploitant " + id
	default:
		v.Name = "Passerelle"
	}
	return v
}

// sentences tell the events, "%s" being who acted.
var sentences = map[string]string{
	string(habilitation.EventCreate):          "%s a commencé la demande.",
	string(habilitation.EventCreateByAPI):     "%s a créé la demande au nom du demandeur.",
	string(habilitation.EventUpdate):          "%s a modifié la demande.",
	string(habilitation.EventUpdateByAPI):     "%s a modifié la demande par l’API.",
	string(habilitation.EventSubmit):          "%s a soumis la demande.",
	string(habilitation.EventRequestChanges):  "%s a demandé des modifications.",
	string(habilitation.EventApprove):         "%s a validé la demande.",
	string(habilitation.EventAutoGenerate):    "L’habilitation FranceConnect liée a été créée.",
	string(habilitation.EventRefuse):          "%s a refusé la demande.",
	string(habilitation.EventRevoke):          "%s a révoqué l’habilitation.",
	string(habilitation.EventArchive):         "%s a supprimé la demande.",
	string(habilitation.EventSystemArchive):   "La demande a été supprimée automatiquement.",
	string(habilitation.EventReopen):          "%s a ouvert une mise à jour.",
	string(habilitation.EventCancelReopening): "%s a annulé la mise à jour.",
	string(habilitation.EventTransfer):        "%s a transféré la demande.",
	string(habilitation.EventStartNextStage):  "%s est passé à l’étape suivante.",
	string(habilitation.EventCancelNextStage): "%s est revenu à l’étape précédente.",
	"token.requested":                         "Une clé d’accès a été demandée.",
	"token.issued":                            "Une clé d’accès a été créée.",
	"token.revealed":                          "La clé d’accès a été affichée.",
	"token.fetched":                           "L’éditeur du logiciel a lu la clé d’accès.",
	"token.acknowledged":                      "L’éditeur du logiciel a accusé réception de la clé d’accès ; le hub n’en garde pas de copie.",
	"token.refused":                           "L’éditeur du logiciel ne peut pas employer la clé d’accès.",
	"token.ack_mismatch":                      "L’éditeur du logiciel a accusé réception d’une autre valeur que la clé d’accès.",
	"token.enclosed":                          "La clé d’accès est chiffrée pour son destinataire ; le hub ne peut plus la lire.",
	"token.copy_destroyed":                    "Personne n’a retiré la clé d’accès à temps : sa copie est détruite.",
	"editor.linked":                           "La demande est liée à l’éditeur que nomme son formulaire.",
	"editor.unlinked":                         "La demande n’est plus liée à l’éditeur qu’elle nommait.",
	"recipient_key.set":                       "Une clé publique a été donnée pour recevoir les clés d’accès.",
	"recipient_key.removed":                   "La clé publique pour recevoir les clés d’accès a été retirée.",
	"token.revoked":                           "La clé d’accès a été fermée.",
	"token.archive_notice":                    "La clé d’accès sera fermée à la fin du préavis.",
	"token.archive_kept":                      "La clé d’accès reste ouverte après l’archivage.",
	"token.rotating":                          "%s a demandé le remplacement de la clé d’accès.",
	"token.rotated":                           "Une nouvelle clé d’accès remplace l’ancienne.",
	"token.rotation_dropped":                  "Le remplacement de la clé d’accès est abandonné : l’ancienne reste.",
	"token.replaced":                          "L’ancienne clé d’accès est fermée, son gestionnaire l’a prouvé.",
	"token.revoking":                          "La clé d’accès est refusée ; son gestionnaire doit encore la fermer.",
	"token.expiring":                          "La fin de la clé d’accès approche.",
	"token.expired":                           "La clé d’accès a expiré.",
	"token.expired_verified":                  "La clé d’accès expirée est fermée, son gestionnaire l’a prouvé.",
	"token.prolong_requested":                 "%s a demandé la prolongation de la clé d’accès.",
	"token.prolonged":                         "La clé d’accès est prolongée.",
	"token.restricted":                        "%s a changé les adresses d’où la clé d’accès est admise.",
	"token.grants_changed":                    "Les droits de la clé d’accès ont changé.",
	"provisioning.failed":                     "La création de la clé d’accès a échoué.",
	"provisioning.retried":                    "%s a fait reprendre la création de la clé d’accès.",
	"revocation.retried":                      "%s a fait reprendre la fermeture de la clé d’accès.",
	"link.renewed":                            "Un nouveau lien de remise a été envoyé.",
}

func sentence(actor, event, reason string) string {
	text, ok := sentences[event]
	switch {
	case !ok:
		text = actor + " : " + event + "."
	case strings.Contains(text, "%s"):
		text = fmt.Sprintf(text, actor)
	}
	if reason != "" {
		text += " Motif : " + reason
	}
	return text
}
