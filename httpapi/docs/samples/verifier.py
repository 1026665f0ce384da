"""Vérifie des webhooks de Passerelle : en-têtes et corps tels qu'ils sont reçus."""
import base64, hashlib, hmac, json, os, sys, time

SECRET = os.environ["WEBHOOK_SECRET"].strip()  # la forme de 64 caractères hexadécimaux
TOLERANCE = 300  # secondes
deja_vus = set()  # en production : une table, avec une contrainte d'unicité


class Refus(Exception):
    pass


def signe(cle: bytes, message: bytes) -> bytes:
    return hmac.new(cle, message, hashlib.sha256).digest()


def verifie(entetes: dict, corps: bytes, maintenant: float) -> str:
    """Rend l'identifiant du message, ou lève Refus. entetes : noms en minuscules."""
    if "webhook-signature" not in entetes:  # dialecte de DataPass
        recue = entetes.get("x-hub-signature-256", "")
        attendue = "sha256=" + signe(SECRET.encode(), corps).hex()
        if not hmac.compare_digest(recue.encode(), attendue.encode()):
            raise Refus("signature")
        return hashlib.sha256(corps).hexdigest()
    identifiant, moment = entetes.get("webhook-id", ""), entetes.get("webhook-timestamp", "")
    if not identifiant or not moment.isascii() or not moment.isdigit() or len(moment) > 12:
        raise Refus("en-tête")
    if abs(maintenant - int(moment)) > TOLERANCE:
        raise Refus("horodatage")
    attendue = signe(bytes.fromhex(SECRET), f"{identifiant}.{moment}.".encode() + corps)
    attendue = "v1," + base64.b64encode(attendue).decode()
    recues = entetes["webhook-signature"].split(" ")
    if not any([hmac.compare_digest(recue.encode(), attendue.encode()) for recue in recues]):
        raise Refus("signature")
    return identifiant


for recu in json.load(sys.stdin):
    try:
        identifiant = verifie(recu["entetes"], base64.b64decode(recu["corps"]), time.time())
    except Refus as refus:
        print("refus", refus)  # répondre 401
        continue
    print("doublon" if identifiant in deja_vus else "traité", identifiant)  # répondre 204
    deja_vus.add(identifiant)
