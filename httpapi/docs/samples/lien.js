// Écrit le lien signé d'une famille vers la page de sa commune.
'use strict';
const crypto = require('node:crypto');

// duree en secondes : 31 jours au plus. La clé est le texte remis, tel quel.
function lien(hub, siret, idCle, cle, externalId = '', redirectUri = '', duree = 86400) {
  const expires = String(Math.floor(Date.now() / 1000) + duree);
  const signe = ['v1', siret, externalId, redirectUri, expires].join('\n');
  const signature = crypto.createHmac('sha256', cle).update(signe, 'ascii').digest('hex');
  const parametres = new URLSearchParams();
  for (const [nom, valeur] of [['external_id', externalId], ['redirect_uri', redirectUri],
    ['expires', expires], ['key_id', idCle], ['signature', signature]]) {
    if (valeur !== '') parametres.append(nom, valeur);
  }
  return `${hub}/collectivites/${siret}?${parametres}`;
}

const e = process.env;
console.log(lien(e.PASSERELLE, e.SIRET, e.ID_CLE, e.CLE, e.FAMILLE, e.RETOUR));
