<?php
// Vérifie des webhooks de Passerelle : en-têtes et corps tels qu'ils sont reçus.
declare(strict_types=1);

$secret = trim((string) getenv('WEBHOOK_SECRET')); // la forme de 64 caractères hexadécimaux
const TOLERANCE = 300; // secondes

// Rend l'identifiant du message, ou lève une exception. $entetes : noms en minuscules ;
// $corps : file_get_contents('php://input').
function verifie(array $entetes, string $corps, string $secret, int $maintenant): string
{
    if (!isset($entetes['webhook-signature'])) { // dialecte de DataPass
        $attendue = 'sha256=' . hash_hmac('sha256', $corps, $secret);
        if (!hash_equals($attendue, $entetes['x-hub-signature-256'] ?? '')) {
            throw new RuntimeException('signature');
        }
        return hash('sha256', $corps);
    }
    $identifiant = $entetes['webhook-id'] ?? '';
    $moment = $entetes['webhook-timestamp'] ?? '';
    if ($identifiant === '' || !preg_match('/\A[0-9]{1,12}\z/', $moment)) {
        throw new RuntimeException('en-tête');
    }
    if (abs($maintenant - (int) $moment) > TOLERANCE) {
        throw new RuntimeException('horodatage');
    }
    $signature = hash_hmac('sha256', "$identifiant.$moment.$corps", hex2bin($secret), true);
    $attendue = 'v1,' . base64_encode($signature);
    foreach (explode(' ', $entetes['webhook-signature']) as $recue) {
        if (hash_equals($attendue, $recue)) {
            return $identifiant;
        }
    }
    throw new RuntimeException('signature');
}

$dejaVus = []; // en production : une table, avec une contrainte d'unicité
foreach (json_decode(stream_get_contents(STDIN), true, 16, JSON_THROW_ON_ERROR) as $recu) {
    try {
        $identifiant = verifie($recu['entetes'], base64_decode($recu['corps']), $secret, time());
        echo isset($dejaVus[$identifiant]) ? 'doublon' : 'traité', " $identifiant\n"; // répondre 204
        $dejaVus[$identifiant] = true;
    } catch (RuntimeException $refus) {
        echo 'refus ', $refus->getMessage(), "\n"; // répondre 401
    }
}
