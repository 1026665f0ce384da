// Judges deliveries with the published Go library of Standard Webhooks. It reads
// a JSON list of {"secret", "headers", "body"} (the body in base64), and prints
// for each, on a line, "accepted" or "refused: " and the library's words.
package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

type delivery struct {
	Secret  string            `json:"secret"`
	Headers map[string]string `json:"headers"`
	Body    []byte            `json:"body"`
}

func main() {
	var all []delivery
	if err := json.NewDecoder(os.Stdin).Decode(&all); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	for _, d := range all {
		if err := judge(d); err != nil {
			fmt.Println("refused:", err)
		} else {
			fmt.Println("accepted")
		}
	}
}

func judge(d delivery) error {
	w, err := standardwebhooks.NewWebhook(d.Secret)
	if err != nil {
		return err
	}
	header := http.Header{}
	for name, value := range d.Headers {
		header.Set(name, value)
	}
	return w.Verify(d.Body, header)
}
