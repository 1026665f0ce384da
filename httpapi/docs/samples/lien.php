<?php
// Écrit le lien signé d'une famille vers la page de sa commune.
declare(strict_types=1);

// $duree en secondes : 31 jours au plus. La clé est le texte remis, tel quel.
function lien(string $hub, string $siret, string $idCle, string $cle, string $externalId = '', string $redirectUri = '', int $duree = 86400): string
{
    $expires = (string) (time() + $duree);
    $signe = implode("\n", ['v1', $siret, $externalId, $redirectUri, $expires]);
    $parametres = array_filter([
        'external_id' => $externalId,
        'redirect_uri' => $redirectUri,
        'expires' => $expires,
        'key_id' => $idCle,
        'signature' => hash_hmac('sha256', $signe, $cle),
    ], fn (string $valeur): bool => $valeur !== '');
    return "$hub/collectivites/$siret?" . http_build_query($parametres);
}

echo lien(...array_map('getenv', ['PASSERELLE', 'SIRET', 'ID_CLE', 'CLE', 'FAMILLE', 'RETOUR'])), "\n";
