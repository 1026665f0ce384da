"""Écrit le lien signé d'une famille vers la page de sa commune."""
import hashlib
import hmac
import os
import time
from urllib.parse import urlencode


def lien(hub, siret, id_cle, cle, external_id="", redirect_uri="", duree=86_400):
    """duree en secondes : 31 jours au plus. La clé est le texte remis, tel quel."""
    expires = str(int(time.time()) + duree)
    signe = "\n".join(["v1", siret, external_id, redirect_uri, expires])
    signature = hmac.new(cle.encode("ascii"), signe.encode("ascii"), hashlib.sha256).hexdigest()
    parametres = {
        "external_id": external_id,
        "redirect_uri": redirect_uri,
        "expires": expires,
        "key_id": id_cle,
        "signature": signature,
    }
    return f"{hub}/collectivites/{siret}?" + urlencode({nom: v for nom, v in parametres.items() if v})


if __name__ == "__main__":
    e = os.environ
    print(lien(e["PASSERELLE"], e["SIRET"], e["ID_CLE"], e["CLE"], e["FAMILLE"], e["RETOUR"]))
