//go:build ignore

// Écrit le lien signé d'une famille vers la page de sa commune.
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// lien vaut 31 jours au plus. La clé est le texte remis, tel quel.
func lien(hub, siret, idCle, cle, externalID, redirectURI string, duree time.Duration) string {
	expires := strconv.FormatInt(time.Now().Add(duree).Unix(), 10)
	h := hmac.New(sha256.New, []byte(cle))
	h.Write([]byte(strings.Join([]string{"v1", siret, externalID, redirectURI, expires}, "\n")))
	parametres := url.Values{"expires": {expires}, "key_id": {idCle}, "signature": {hex.EncodeToString(h.Sum(nil))}}
	if externalID != "" {
		parametres.Set("external_id", externalID)
	}
	if redirectURI != "" {
		parametres.Set("redirect_uri", redirectURI)
	}
	return hub + "/collectivites/" + siret + "?" + parametres.Encode()
}

func main() {
	e := os.Getenv
	fmt.Println(lien(e("PASSERELLE"), e("SIRET"), e("ID_CLE"), e("CLE"), e("FAMILLE"), e("RETOUR"), 24*time.Hour))
}
