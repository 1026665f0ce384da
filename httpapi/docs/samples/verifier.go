//go:build ignore

// Vérifie des webhooks de Passerelle : en-têtes et corps tels qu'ils sont reçus.
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"time"
)

const tolerance = 300 // secondes

func signe(cle, message []byte) []byte {
	h := hmac.New(sha256.New, cle)
	h.Write(message)
	return h.Sum(nil)
}

// verifie rend l'identifiant du message. Les noms des en-têtes sont en minuscules.
func verifie(entetes map[string]string, corps []byte, secret string, maintenant int64) (string, error) {
	signatures, standard := entetes["webhook-signature"]
	if !standard { // dialecte de DataPass
		attendue := "sha256=" + hex.EncodeToString(signe([]byte(secret), corps))
		if !hmac.Equal([]byte(entetes["x-hub-signature-256"]), []byte(attendue)) {
			return "", errors.New("signature")
		}
		empreinte := sha256.Sum256(corps)
		return hex.EncodeToString(empreinte[:]), nil
	}
	identifiant, moment := entetes["webhook-id"], entetes["webhook-timestamp"]
	secondes, err := strconv.ParseUint(moment, 10, 40)
	if identifiant == "" || err != nil {
		return "", errors.New("en-tête")
	}
	if ecart := maintenant - int64(secondes); ecart > tolerance || ecart < -tolerance {
		return "", errors.New("horodatage")
	}
	cle, err := hex.DecodeString(secret)
	if err != nil {
		return "", errors.New("secret")
	}
	message := append([]byte(identifiant+"."+moment+"."), corps...)
	attendue := "v1," + base64.StdEncoding.EncodeToString(signe(cle, message))
	for _, recue := range strings.Fields(signatures) {
		if hmac.Equal([]byte(recue), []byte(attendue)) {
			return identifiant, nil
		}
	}
	return "", errors.New("signature")
}

func main() {
	secret := strings.TrimSpace(os.Getenv("WEBHOOK_SECRET")) // la forme de 64 caractères hexadécimaux
	var recus []struct {
		Entetes map[string]string
		Corps   []byte // base64 en JSON
	}
	if err := json.NewDecoder(os.Stdin).Decode(&recus); err != nil {
		log.Fatal(err)
	}
	dejaVus := map[string]bool{} // en production : une table, avec une contrainte d'unicité
	for _, recu := range recus {
		identifiant, err := verifie(recu.Entetes, recu.Corps, secret, time.Now().Unix())
		switch {
		case err != nil:
			fmt.Println("refus", err) // répondre 401
		case dejaVus[identifiant]:
			fmt.Println("doublon", identifiant) // répondre 204
		default:
			fmt.Println("traité", identifiant) // répondre 204
			dejaVus[identifiant] = true
		}
	}
}
