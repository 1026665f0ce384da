package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/passerelle-hub/passerelle/connectors/datapass/datapasstest"
	"github.com/passerelle-hub/passerelle/internal/jose"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// demoEditor is the editor of the catalogue whose form the demo's client uses.
const demoEditor = "3d_ouest"

// editorStory is the software editor's side of the story: curl's, in Go.
type editorStory struct {
	url      string
	clientID string
	secret   string
	token    string
}

// joinEditor gives the editor its identity at the hub.
func (w *world) joinEditor(ctx context.Context) error {
	cmd := &registry.AddApplication{Name: "logiciel de la démonstration", Editor: demoEditor}
	if err := w.hub.addApplication(ctx, cmd, ""); err != nil {
		return err
	}
	w.editor = editorStory{url: w.publicURL + "/editor/v1", clientID: cmd.ID.String(), secret: cmd.Secret.Reveal()}
	return nil
}

// editorFetches has a client's request approved on the editor's form; the editor
// gives a public key, finds the client's key, opens it, tries it and
// acknowledges it.
func (w *world) editorFetches(ctx context.Context) (any, error) {
	e := &w.editor
	if err := e.signIn(ctx); err != nil {
		return nil, err
	}
	private, err := jose.GenerateDecryptionKey(jose.P256)
	if err != nil {
		return nil, err
	}
	public, err := private.Recipient().JWK()
	if err != nil {
		return nil, err
	}
	if err := e.call(ctx, http.MethodPut, "/jwk", public, nil); err != nil {
		return nil, err
	}
	if _, err := w.file(ctx, datapasstest.APIParticulierFormulaireQF()); err != nil {
		return nil, err
	}
	var keys struct {
		Data []struct {
			ID      string `json:"id"`
			Request struct {
				Organization string `json:"organization"`
			} `json:"request"`
		} `json:"data"`
	}
	_, err = eventually(ctx, func() (any, error) {
		err := e.call(ctx, http.MethodGet, "/keys?hand_over=ready", nil, &keys)
		if err == nil && len(keys.Data) != 1 {
			err = fmt.Errorf("%d keys are ready", len(keys.Data))
		}
		return nil, err
	})
	if err != nil {
		return nil, err
	}
	path := "/keys/" + keys.Data[0].ID
	var fetched struct {
		FetchID string `json:"fetch_id"`
		Secret  string `json:"secret"`
		Format  string `json:"format"`
	}
	if err := e.call(ctx, http.MethodPost, path+"/fetch", nil, &fetched); err != nil {
		return nil, err
	}
	key, err := private.Decrypt(fetched.Secret)
	if err != nil {
		return nil, err
	}
	if status, err := w.callGravitee(ctx, string(key)); err != nil || status != http.StatusOK {
		return nil, fmt.Errorf("the key answers %d at the gateway: %w", status, err)
	}
	ack, err := json.Marshal(map[string]string{"fetch_id": fetched.FetchID, "fingerprint": hex.EncodeToString(store.CheckSum(string(key)))})
	if err != nil {
		return nil, err
	}
	if err := e.call(ctx, http.MethodPost, path+"/ack", ack, nil); err != nil {
		return nil, err
	}
	var again *statusError
	if err := e.call(ctx, http.MethodPost, path+"/fetch", nil, nil); !errors.As(err, &again) || again.status != http.StatusGone {
		return nil, fmt.Errorf("after the acknowledgement a fetch answers %w, want 410", err)
	}
	return map[string]string{"client": keys.Data[0].Request.Organization, "format": fetched.Format, "key": masked(string(key))}, nil
}

func (e *editorStory) signIn(ctx context.Context) error {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {e.clientID}, "client_secret": {e.secret}}
	var got struct {
		Token string `json:"access_token"`
	}
	err := e.send(ctx, http.MethodPost, "/token", "application/x-www-form-urlencoded", []byte(form.Encode()), &got)
	e.token = got.Token
	return err
}

func (e *editorStory) call(ctx context.Context, method, path string, body []byte, into any) error {
	return e.send(ctx, method, path, "application/json", body, into)
}

// statusError is an answer other than 2xx.
type statusError struct{ status int }

func (e *statusError) Error() string { return fmt.Sprint(e.status) }

func (e *editorStory) send(ctx context.Context, method, path, kind string, body []byte, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, e.url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", kind)
	if e.token != "" {
		req.Header.Set("Authorization", "Bearer "+e.token)
	}
	resp, err := browserClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%s %s: %w", method, path, &statusError{resp.StatusCode})
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(raw, into)
}
