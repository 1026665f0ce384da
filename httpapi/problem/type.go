package problem

// Type is one kind of problem, as the page of errors (/docs/erreurs) shows it.
type Type struct {
	Code     string // what follows # in a document's type
	Statuses string // of the answers that carry it
	Title    string
	Meaning  string
	Remedy   string
}

// Types lists every kind that the hub sends. A test holds it against the code:
// whoever sends a new one describes it here.
func Types() []Type {
	return []Type{
		// Who calls.
		{"identification", "401", "Identification requise", "Aucun jeton n’est présenté, ou il est inconnu, expiré, révoqué, ou d’un autre environnement.", "Demandez un nouveau jeton et présentez-le dans l’en-tête Authorization. Si le nouveau est refusé aussi, vérifiez l’adresse du hub : un jeton de test n’ouvre rien en production."},
		{"scope_missing", "403", "Droit manquant", "Le jeton de l’application n’a pas le droit que cette adresse demande.", "Demandez le jeton avec ce droit dans scope ; si l’application ne l’a pas reçu, demandez-le à l’exploitant du hub."},
		{"unverified_address", "403", "Adresse non vérifiée", "Le fournisseur d’identité ne garantit pas l’adresse e-mail de la personne.", "Faites vérifier l’adresse auprès du fournisseur d’identité, puis demandez un nouveau jeton."},
		{"other_subject", "403", "Adresse d’un autre compte", "Cette adresse est déjà liée à un autre compte du même fournisseur d’identité.", "Employez le compte d’origine, ou demandez à l’exploitant du hub de délier l’ancien."},
		{"other_organization", "403", "Autre organisation", "L’en-tête X-Organization nomme une organisation dont la personne n’est pas membre.", "Donnez le SIRET d’une de vos organisations ; votre fournisseur d’identité dit lesquelles."},
		{"personne", "403", "Réservé aux personnes", "Cette adresse ne concerne qu’une personne, et c’est une application qui appelle.", "Appelez avec le jeton d’une personne."},
		{"signature", "401", "Signature absente ou invalide", "Le webhook reçu n’est pas signé par un secret connu de cette source.", "Signez les octets exacts du corps, HMAC-SHA256, dans X-Hub-Signature-256, avec le secret convenu."},

		// What is asked.
		{"introuvable", "404", "Introuvable", "L’objet n’existe pas, ou vous n’avez pas à savoir qu’il existe.", "Vérifiez l’adresse et le numéro, puis l’organisation et les rôles au nom desquels vous appelez."},
		{"methode", "405", "Méthode non admise", "L’adresse existe, mais pas pour cette méthode.", "Reportez-vous à la référence de l’API."},
		{"numero-ambigu", "409", "Numéro ambigu", "Plusieurs sources emploient ce numéro pour des demandes différentes.", "Employez notre numéro, celui que donnent les listes de /hub/v1."},
		{"parametre", "400", "Paramètre invalide", "Un paramètre de l’adresse est inconnu, mal formé ou hors limites.", "errors[] le nomme (parameter). Au-delà du rang admis, suivez next_cursor plutôt que offset."},
		{"type-de-contenu", "415", "Type de contenu non admis", "Le corps n’est pas annoncé comme du JSON.", "Envoyez Content-Type: application/json."},
		{"recherche", "422", "Recherche impossible", "Ce qui est cherché parmi les communes est trop long, ou le département n’existe pas.", "errors[] nomme la valeur à corriger. Choisissez le département dans la liste."},
		{"json", "400", "Corps illisible", "Le corps n’est pas un objet JSON complet, en UTF-8, sans clé répétée.", "Vérifiez ce qui est réellement envoyé : longueur, encodage, guillemets."},
		{"corps", "400, 422", "Corps invalide", "Une clé du corps est inconnue, manque ou n’est pas du type attendu.", "errors[] nomme chaque clé en faute (pointer, RFC 6901)."},
		{"corps-trop-grand", "413", "Corps trop grand", "Le corps dépasse la taille admise ; il n’a pas été lu.", "Réduisez-le : le détail donne la limite."},
		{"trop-de-requetes", "429", "Trop de requêtes", "Le débit admis pour cet appelant ou cette adresse est dépassé.", "Attendez le nombre de secondes de Retry-After. Les en-têtes RateLimit-* disent où vous en êtes."},

		// Versions and keys.
		{"version-requise", "428", "Version requise", "Un changement est demandé sans dire sur quelle version il porte.", "Lisez la demande et rendez son ETag dans If-Match."},
		{"version", "400", "Version illisible", "If-Match ne porte pas une étiquette.", "Rendez l’ETag tel que vous l’avez reçu, guillemets compris, ou *."},
		{"stale_version", "412", "La demande a changé", "Quelqu’un a changé la demande depuis la version que vous avez lue. Rien n’a été fait.", "Relisez-la, vérifiez que votre action a encore un sens, recommencez avec la nouvelle étiquette."},
		{"cle", "400", "Clé illisible", "Idempotency-Key ne porte pas de 1 à 255 caractères ASCII visibles.", "Donnez par exemple un UUID."},
		{"cle-en-cours", "409", "Requête déjà en cours", "Une requête avec la même Idempotency-Key n’est pas finie.", "Attendez une seconde et renvoyez la même requête : vous recevrez la réponse de la première."},
		{"key_state", "409", "Action impossible dans l’état de la clé", "La clé est en cours de création, de remplacement ou de fermeture, ou elle est finie.", "Lisez la clé : ses étapes disent où elle en est."},
		{"cutover", "409", "L’interruption n’a pas été acceptée", "Le gestionnaire de cette clé n’en garde pas deux à la fois : la remplacer interrompt l’accès.", "Choisissez le moment, et répétez avec accept_cutover."},
		{"prolong_too_early", "409", "Trop tôt pour prolonger", "La fin de la clé n’est pas assez proche.", "Attendez la date que donne /prolongation."},
		{"prolong_is_rotated", "409", "Prolonger, c’est remplacer", "La fin de cette clé ne peut pas être déplacée : une nouvelle prend sa place.", "Répétez avec accept_rotation, puis installez la nouvelle clé."},
		{"request_over", "409", "La demande n’est plus en vigueur", "Elle est archivée ou révoquée : ses clés finissent.", "Faites une nouvelle demande."},
		{"allowed_ips", "422", "Adresses admises invalides", "Une entrée n’est ni une adresse IP ni un réseau, ou il y en a trop.", "Corrigez l’entrée que nomme errors."},
		{"cle-reprise", "422", "Clé déjà utilisée", "Cette Idempotency-Key a servi à une autre requête.", "Prenez une clé neuve pour chaque intention."},

		// Editors.
		{"editeur", "403", "Réservé aux éditeurs", "Cette adresse ne concerne qu’un éditeur de logiciels.", "Appelez avec le jeton d’un client enregistré pour un éditeur (passerelle clients --editor)."},
		{"curseur-trop-ancien", "410", "Curseur trop ancien", "Des changements après ce curseur ont été effacés.", "Relisez les listes, puis suivez les changements sans after."},
		{"jwk", "422", "Clé publique refusée", "Le JWK n’est pas une clé publique pour chiffrer : EC P-256 ou P-384, ou OKP X25519.", "Envoyez kty, crv, x et y seuls ; use « enc » et alg « ECDH-ES+A256KW » sont admis."},
		{"jwk-privee", "422", "Clé privée refusée", "Le JWK contient une clé privée ou symétrique. Rien n’a été gardé.", "Tenez cette clé pour compromise : faites-en une autre et n’envoyez que sa partie publique."},
		{"cle-not_allowed", "403", "Lien insuffisant", "Le lien déclaré par le formulaire ne suffit pas à lire les clés de cette définition.", "Le consentement du client est nécessaire."},
		{"cle-not_ready", "409", "Clé pas encore prête", "La clé est en cours de création.", "Suivez les changements : key.ready l’annonce."},
		{"cle-over", "409", "Clé finie", "La clé est révoquée, remplacée ou expirée.", "Cherchez celle qui la remplace (replaces)."},
		{"cle-gone", "410", "Clé déjà remise", "La clé a été remise, ou sa copie est détruite.", "Seul un remplacement en donne une autre : demandez-le au titulaire."},
		{"cle-provider", "409", "Clé remise par son fournisseur", "Le fournisseur de données remet la clé lui-même à son titulaire : le hub ne l’a jamais eue.", "Demandez-la au titulaire."},
		{"cle-holder_only", "409", "Clé chiffrée pour son titulaire", "Le titulaire a donné une clé publique : lui seul peut lire la clé.", "Demandez-lui la clé, ou donnez la vôtre par PUT /editor/v1/jwk avant le prochain remplacement."},
		{"cle-too_often", "409", "Trop de lectures", "La clé a été lue 10 fois sans accusé de réception.", "Accusez réception d’une de ces lectures."},
		{"cle-fingerprint", "422", "Empreinte différente", "L’empreinte de l’accusé n’est pas celle de la clé. La copie reste.", "Relisez la clé : ce que vous avez gardé n’est pas ce qui a été remis."},
		{"cle-unknown_fetch", "422", "Lecture inconnue", "Aucune lecture de cette clé par votre compte n’a cet identifiant.", "Rendez le fetch_id de la lecture."},

		// Webhooks.
		{"webhook", "422", "Webhook invalide", "Un ou plusieurs réglages du webhook sont refusés ; errors les nomme.", "Corrigez chaque champ nommé ; les types d’événement sont au catalogue."},
		{"too_many_endpoints", "409", "Trop d’adresses", "Cette définition ou cet éditeur a déjà autant de webhooks qu’il est admis.", "Supprimez-en un, ou demandez à l’exploitant."},
		{"endpoint_not_tested", "409", "Adresse non testée", "L’adresse actuelle n’a pas passé le test, ou ne l’a pas passé depuis sa désactivation.", "Envoyez le test (POST …/test), corrigez s’il échoue, puis activez."},
		{"endpoint_changed", "409", "Changée pendant le test", "L’adresse ou le format ont changé pendant que le test était en cours : son résultat ne compte pas.", "Recommencez le test."},
		{"test_too_soon", "429", "Test trop rapproché", "Un test vient d’être envoyé à cette adresse.", "Attendez deux secondes."},
		{"endpoint_disabled", "409", "Point d’accès désactivé", "Rien n’est rejoué vers un point d’accès désactivé.", "Activez-le, puis demandez le rejeu."},
		{"too_many_replays", "409", "Trop de rejeux", "Dix rejeux sont déjà en cours pour ce point d’accès.", "Attendez-en la fin, ou annulez-en un."},
		{"replay_over", "409", "Rejeu terminé", "Un rejeu terminé ne s’annule plus.", "Rien n’est à faire."},
		{"replay_since", "422", "Date à venir", "Un rejeu part d’une date passée.", "Donnez une date passée."},
		{"message_unknown", "422", "Message inconnu", "Ce point d’accès n’a pas de message de cet identifiant.", "Prenez l’identifiant (webhook-id) dans la liste de ses messages."},
		{"message_purged", "422", "Corps purgé", "Le corps de ce message n’est plus conservé : il ne peut plus être envoyé.", "Relisez la demande ou l’habilitation par l’API."},

		// The life of a request.
		{"not_allowed", "403", "Action d’un autre rôle", "Une autre personne ou un autre rôle pourrait faire cette action, pas l’appelant.", "La référence de l’API dit pour chaque action qui la fait."},
		{"unauthorized_type", "403", "Type de demande non ouvert", "L’application n’est pas développeur de cette définition, ou n’y écrit pas pour autrui.", "Demandez à l’exploitant le rôle developer de cette définition."},
		{"mirrored", "409", "Demande suivie depuis DataPass", "La demande vit dans DataPass ; le hub en suit l’état et ne la change pas.", "Décidez à l’adresse que donne le détail : le hub suivra."},
		{"illegal_transition", "409", "Impossible dans cet état", "L’action n’est pas possible dans l’état de la demande.", "Relisez la demande : son état est dans state. Le cycle de vie dit quelle action part de quel état."},
		{"dead_end_state", "409", "État sans suite", "La demande est dans un état où ses réponses ne se modifient plus.", "Ouvrez une mise à jour (reopen) si elle est validée, ou commencez une autre demande."},
		{"reason_missing", "422", "Motif requis", "Cette décision doit être motivée.", "Donnez reason, une phrase que le demandeur lira."},
		{"invalid_data", "422", "Réponses invalides", "Une ou plusieurs réponses manquent, sont inconnues du formulaire ou ne conviennent pas.", "errors[] nomme chaque réponse sous /data. Les périmètres (scopes) admis sont ceux de la définition."},
		{"feature_disabled", "409", "Action fermée pour ce type", "La définition n’ouvre pas cette action : mise à jour ou transfert.", "Adressez-vous au fournisseur de la donnée."},
		{"not_startable", "422", "Type non demandable", "Ce type d’habilitation ne se demande pas directement, ou seulement par un instructeur.", "Commencez par l’étape précédente ou par un autre formulaire."},
		{"form_not_found", "422", "Formulaire introuvable", "Ni form_uid ni definition_id ne désignent un formulaire ouvert.", "GET /api/v1/definitions/{uid}/formulaires liste les formulaires."},
		{"definition_gone", "409", "Définition retirée", "La définition de cette demande n’est plus au catalogue du hub : elle ne peut plus avancer.", "L’exploitant remet la définition au catalogue, ou la demande est archivée."},
		{"organization_closed", "422", "Organisation fermée", "L’établissement est fermé d’après l’INSEE.", "Faites la demande au nom d’un établissement ouvert."},
		{"invalid_applicant", "422", "Demandeur invalide", "Le demandeur n’est pas désigné comme il faut, ou ne peut pas l’être.", "Donnez applicant.email ; une demande est faite par une personne."},
		{"invalid_organization", "422", "Organisation invalide", "Le SIRET n’en est pas un, est inconnu, ou aucune organisation n’est choisie.", "Donnez 14 chiffres dont la clé est juste ; une personne choisit la sienne par X-Organization."},
		{"not_reopening", "409", "Pas de mise à jour en cours", "On annule une mise à jour qui n’est pas ouverte.", "Relisez la demande : reopening dit si elle l’est."},
		{"not_reopenable", "409", "Mise à jour impossible", "Une mise à jour est déjà en cours sur cette demande.", "Terminez-la ou annulez-la d’abord."},
		{"unchanged_reopening", "409", "Mise à jour sans changement", "La mise à jour soumise est identique à l’habilitation en cours.", "Changez une réponse, ou annulez la mise à jour."},
		{"habilitation_active", "409", "Habilitation active", "Une habilitation de cette demande est encore active.", "Faites-la révoquer d’abord."},
		{"habilitation_unknown", "422", "Habilitation inconnue", "L’habilitation désignée n’est pas de cette demande.", "La demande lue par /hub/v1 liste les siennes."},
		{"habilitation_not_active", "409", "Habilitation déjà finie", "L’habilitation désignée n’est plus active, ou aucune ne l’est.", "Il n’y a rien à révoquer."},
		{"no_next_stage", "409", "Pas d’étape suivante", "Cette définition n’a pas d’étape après celle-ci.", "La demande est à sa dernière étape."},
		{"no_previous_stage", "409", "Pas d’étape précédente", "La demande n’a pas d’habilitation d’une étape précédente.", "Elle a commencé à cette étape : il n’y a pas où revenir."},
		{"not_transferable", "409", "Transfert impossible", "Un brouillon ne se transfère pas.", "Soumettez la demande d’abord, ou que la bonne personne la commence."},
		{"email_not_found", "422", "Adresse inconnue", "Aucun compte n’a l’adresse donnée.", "La personne se connecte une fois au hub, puis recommencez."},
		{"invalid_new_applicant", "422", "Personne d’ailleurs", "La personne désignée n’est pas membre de l’organisation de la demande.", "Transférez à une personne de la même organisation."},
		{"different_user", "422", "Déjà le demandeur", "La personne désignée est déjà le demandeur.", "Il n’y a rien à faire."},
		{"invalid_new_organization", "422", "Organisation inconnue", "L’organisation désignée n’est pas connue du hub.", "Vérifiez le SIRET."},
		{"different_organization", "422", "Même organisation", "La demande appartient déjà à cette organisation.", "Il n’y a rien à faire."},

		// What is ours.
		{"indisponible", "503", "Service momentanément indisponible", "La base de données ne répond pas. Rien n’a été fait.", "Renvoyez la même requête après le nombre de secondes de Retry-After."},
		{"arret", "503", "Arrêt en cours", "Ce processus se termine ; un autre prend la suite. Seul /readyz le répond.", "Le répartiteur de charge le lit : rien à faire."},
		{"interne", "500", "Erreur interne", "Une faute du hub. L’incident est enregistré sous l’identifiant de la requête.", "Recommencez plus tard avec la même Idempotency-Key ; donnez instance à l’exploitant si cela dure."},
	}
}
