package main

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"os"
	"strings"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/webhook"
)

const (
	verifyUsage = "webhooks verify --headers FILE [--body FILE] [--secret-file FILE] [--public-key whpk_…] [--tolerance 5m] [--at TIME]"
	// secretVar holds a secret where no file does: never an argument, which every
	// process of the machine may read.
	secretVar     = "PASSERELLE_WEBHOOK_SECRET"
	maxVerified   = 8 << 20 // bytes of a body
	maxHeaderFile = 64 << 10
)

// verifyWebhook checks a delivery as it was received against its secret, in each
// dialect whose headers are there, and says what is wrong.
func verifyWebhook(env environment, args []string) error {
	fs, _ := flags(env, "webhooks verify")
	headers := fs.String("headers", "", "file of the headers as they were received, one a line: \"name: value\"")
	body := fs.String("body", "-", "file of the body as it was received, byte for byte; - reads standard input")
	secrets := fs.String("secret-file", "", "file of the secret, or of several, one a line (default: the variable "+secretVar+")")
	public := fs.String("public-key", "", "public key for v1a signatures, whpk_…")
	tolerance := fs.Duration("tolerance", webhook.Tolerance, "how far the signed time may be from now")
	at := fs.String("at", "", "check as if it were this time (RFC 3339), for a delivery of the past")
	if err := parse(fs, args); err != nil {
		return err
	}
	if fs.NArg() > 0 || *headers == "" {
		return &usageError{verifyUsage}
	}
	now := time.Now()
	if *at != "" {
		var err error
		if now, err = time.Parse(time.RFC3339, *at); err != nil {
			return &usageError{"--at: a time such as 2026-03-24T11:05:18+01:00 is expected"}
		}
	}
	keys, err := secretsOf(env, *secrets)
	if err != nil {
		return err
	}
	var publics []ed25519.PublicKey
	if *public != "" {
		key, err := webhook.ParsePublicKey(*public)
		if err != nil {
			return err
		}
		publics = append(publics, key)
	}
	h, err := headersOf(*headers)
	if err != nil {
		return err
	}
	raw, err := bodyOf(env, *body)
	if err != nil {
		return err
	}
	return report(env.stdout, h, func(h http.Header) (webhook.Verified, error) {
		return webhook.Verify(h, raw, keys, now, *tolerance, publics...)
	})
}

// report checks each dialect on its own, so that one that is right does not hide
// one that is wrong.
func report(out io.Writer, h http.Header, verify func(http.Header) (webhook.Verified, error)) error {
	standard, datapass := http.Header{}, http.Header{}
	for _, name := range []string{webhook.HeaderID, webhook.HeaderTimestamp, webhook.HeaderSignature} {
		if values := h.Values(name); len(values) > 0 {
			standard[http.CanonicalHeaderKey(name)] = values
		}
	}
	if values := h.Values(webhook.HeaderDataPass); len(values) > 0 {
		datapass[http.CanonicalHeaderKey(webhook.HeaderDataPass)] = values
	}
	checked := []http.Header{standard, datapass}
	if len(standard)+len(datapass) == 0 {
		checked = []http.Header{{}}
	}
	var wrong []string
	for _, part := range checked {
		if len(part) == 0 && len(checked) > 1 {
			continue
		}
		switch verified, err := verify(part); {
		case err != nil:
			wrong = append(wrong, err.Error())
		case verified.Key < 0:
			fmt.Fprintf(out, "%s: valid, by the public key\n", verified.Dialect)
		default:
			fmt.Fprintf(out, "%s: valid, by secret %d\n", verified.Dialect, verified.Key+1)
		}
	}
	if len(wrong) > 0 {
		return errors.New(strings.Join(wrong, "\n"))
	}
	return nil
}

func secretsOf(env environment, path string) ([]webhook.Key, error) {
	var text string
	if path != "" {
		raw, err := readFile(path, maxHeaderFile)
		if err != nil {
			return nil, err
		}
		text = string(raw)
	} else {
		for _, v := range env.vars {
			if value, ok := strings.CutPrefix(v, secretVar+"="); ok {
				text = value
			}
		}
	}
	var keys []webhook.Key
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		key, err := webhook.ParseKey(connectors.NewSecret(line))
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// headersOf reads lines of "name: value", a request's first line left out.
func headersOf(path string) (http.Header, error) {
	raw, err := readFile(path, maxHeaderFile)
	if err != nil {
		return nil, err
	}
	h := http.Header{}
	for n, line := range bytes.Split(raw, []byte("\n")) {
		text := strings.TrimSpace(string(line))
		name, value, ok := strings.Cut(text, ":")
		switch {
		case text == "" || n == 0 && strings.Contains(text, " HTTP/"):
		case !ok || textproto.TrimString(name) != name || name == "":
			return nil, fmt.Errorf("%s:%d: \"name: value\" is expected", path, n+1)
		default:
			h.Add(name, strings.TrimSpace(value))
		}
	}
	return h, nil
}

func bodyOf(env environment, path string) ([]byte, error) {
	if path != "-" {
		return readFile(path, maxVerified)
	}
	if env.stdin == nil {
		return nil, &usageError{"--body FILE is expected"}
	}
	return readAll(env.stdin, "standard input", maxVerified)
}

func readFile(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	return readAll(f, path, most)
}

func readAll(r io.Reader, what string, most int64) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && int64(len(raw)) > most {
		err = fmt.Errorf("%s holds more than %d bytes", what, most)
	}
	return raw, err
}
