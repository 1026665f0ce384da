package eventtype

// Types that the hub's own code names.
const (
	Test             = "webhook.test"     // sent on demand, to one endpoint
	Gap              = "webhook.gap"      // to an ordered endpoint, in the place of a message given up
	EndpointDisabled = "webhook.disabled" // to the other endpoints of the same owner
)

// list is the catalogue, in the order in which it is shown.
var list = []Type{
	request("create", "Demande commencée", "Une personne a enregistré la demande pour la première fois."),
	request("create_by_api", "Demande créée par l’API", "Une application a créé la demande au nom d’un demandeur."),
	request("update", "Demande modifiée", "Le demandeur a enregistré des changements."),
	request("update_by_api", "Demande modifiée par l’API", "Une application a changé des réponses de la demande."),
	request("submit", "Demande soumise", "Le demandeur a soumis la demande à l’instruction."),
	request("request_changes", "Modifications demandées", "L’instruction demande des modifications."),
	request("approve", "Demande validée", "Une habilitation est accordée."),
	request("refuse", "Demande refusée", "La demande est refusée ; lors d’une mise à jour, l’habilitation en cours reste valable."),
	request("revoke", "Habilitation révoquée", "Une habilitation est révoquée."),
	request("archive", "Demande supprimée", "La demande est supprimée."),
	request("reopen", "Mise à jour ouverte", "Le demandeur met à jour une demande validée."),
	request("cancel_reopening", "Mise à jour annulée", "La mise à jour est abandonnée ; l’habilitation en cours reste valable."),
	request("transfer", "Demande transférée", "La demande a changé de demandeur ou d’organisation."),

	{Name: "token.issued", Title: "Clé d’accès créée", Description: "Une clé d’accès fonctionne chez le gestionnaire d’API.", schema: "token"},
	{Name: "token.grants_changed", Title: "Droits d’une clé changés", Description: "Les droits d’une clé d’accès ont été ajustés.", schema: "token_grants"},
	{Name: "token.rotated", Title: "Clé d’accès remplacée", Description: "Une nouvelle clé fonctionne ; l’ancienne reste valable jusqu’à `old_until`.", schema: "token_rotated"},
	{Name: "token.replaced", Title: "Ancienne clé fermée", Description: "L’ancienne clé d’un remplacement ne fonctionne plus ; c’est vérifié.", schema: "token_ended"},
	{Name: "token.expiring", Title: "Clé d’accès bientôt expirée", Description: "Une clé d’accès expire bientôt.", schema: "token_expiring"},
	{Name: "token.expired", Title: "Clé d’accès arrivée à sa fin", Description: "Une clé n’est plus admise ; son gestionnaire la ferme.", schema: "token"},
	{Name: "token.prolonged", Title: "Clé d’accès prolongée", Description: "Une clé a une nouvelle fin, `expires_at` ; sa valeur n’a pas changé.", schema: "token"},
	{Name: "token.archive_notice", Title: "Clé d’une demande supprimée", Description: "La demande est supprimée : sa clé sera fermée à `at`.", schema: "token_archived"},
	{Name: "token.archive_kept", Title: "Clé gardée d’une demande supprimée", Description: "La demande est supprimée : sa clé vit jusqu’à sa fin.", schema: "token"},
	{Name: "token.expired_verified", Title: "Clé d’accès expirée", Description: "Une clé expirée ne fonctionne plus ; c’est vérifié.", schema: "token_ended"},
	{Name: "token.revoked", Title: "Clé d’accès révoquée", Description: "Une clé d’accès est fermée ; `delay_ms` dit en combien de temps.", schema: "token_revoked"},
	{Name: "provisioning.failed", Title: "Création d’une clé en échec", Description: "Une clé n’a pas pu être créée ou changée ; un exploitant doit intervenir.", schema: "provisioning_failed"},

	{Name: "qf.available", Title: "Quotient familial disponible", Description: "Le quotient familial d’une famille attend chez HubEE.", schema: "qf_available"},
	{Name: "delegation.changed", Title: "Délégation changée", Description: "Une délégation d’une organisation à un éditeur a été créée, changée ou retirée.", schema: "delegation_changed"},

	{Name: Gap, Title: "Message manquant", Description: "Un message d’une suite ordonnée est abandonné : celui-ci tient sa place. Envoyé sans abonnement aux adresses ordonnées.", schema: "gap", Unasked: true},
	{Name: EndpointDisabled, Title: "Adresse désactivée", Description: "Une autre adresse du même titulaire ne reçoit plus rien.", schema: "endpoint_disabled"},
	{Name: Test, Title: "Test", Description: "Envoyé à la demande du titulaire de l’adresse.", schema: "test", Unasked: true},
}

// request is one of DataPass's events: what happens to a request.
func request(name, title, description string) Type {
	return Type{Name: name, Title: title, Description: description, schema: "request", DataPass: true}
}
