// Vérifie des webhooks de Passerelle : en-têtes et corps tels qu'ils sont reçus.
"use strict";
const { createHash, createHmac, timingSafeEqual } = require("node:crypto");

const SECRET = process.env.WEBHOOK_SECRET.trim(); // la forme de 64 caractères hexadécimaux
const TOLERANCE = 300; // secondes
const dejaVus = new Set(); // en production : une table, avec une contrainte d'unicité

const signe = (cle, ...morceaux) => morceaux.reduce((h, m) => h.update(m), createHmac("sha256", cle)).digest();
const empreinte = (texte) => createHash("sha256").update(texte).digest();
// En temps constant, quelles que soient les longueurs.
const pareil = (recue, attendue) => timingSafeEqual(empreinte(recue), empreinte(attendue));

// Rend l'identifiant du message, ou lève une erreur. entetes : noms en minuscules ;
// corps : un Buffer (avec Express : express.raw, jamais express.json).
function verifie(entetes, corps, maintenant) {
  if (entetes["webhook-signature"] === undefined) { // dialecte de DataPass
    const attendue = "sha256=" + signe(SECRET, corps).toString("hex");
    if (!pareil(entetes["x-hub-signature-256"] ?? "", attendue)) throw new Error("signature");
    return empreinte(corps).toString("hex");
  }
  const identifiant = entetes["webhook-id"] ?? "";
  const moment = entetes["webhook-timestamp"] ?? "";
  if (identifiant === "" || !/^[0-9]{1,12}$/.test(moment)) throw new Error("en-tête");
  if (Math.abs(maintenant - Number(moment)) > TOLERANCE) throw new Error("horodatage");
  const signature = signe(Buffer.from(SECRET, "hex"), `${identifiant}.${moment}.`, corps);
  const attendue = "v1," + signature.toString("base64");
  const bonnes = entetes["webhook-signature"].split(" ").filter((recue) => pareil(recue, attendue));
  if (bonnes.length === 0) throw new Error("signature");
  return identifiant;
}

for (const recu of JSON.parse(require("node:fs").readFileSync(0, "utf8"))) {
  try {
    const identifiant = verifie(recu.entetes, Buffer.from(recu.corps, "base64"), Date.now() / 1000);
    console.log(dejaVus.has(identifiant) ? "doublon" : "traité", identifiant); // répondre 204
    dejaVus.add(identifiant);
  } catch (refus) {
    console.log("refus", refus.message); // répondre 401
  }
}
