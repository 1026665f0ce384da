package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// awaitReady waits until the hub says that it is ready, half a minute at most.
func (w *world) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stepLimit)
	defer cancel()
	_, err := eventually(ctx, func() (any, error) {
		status, _, err := browse(ctx, http.MethodGet, w.publicURL+"/readyz")
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("/readyz answers %d", status)
		}
		return nil, err
	})
	return err
}

// tryKeys calls each gateway with its key and with an altered one.
func (w *world) tryKeys(ctx context.Context, keys [2]string, want int) (any, error) {
	result := map[string]string{}
	for i, key := range keys {
		name, call := "api_particulier", w.callGravitee
		if i == 1 {
			name, call = "api_entreprise", w.callIssuer
		}
		_, err := eventually(ctx, func() (any, error) {
			status, err := call(ctx, key)
			if err == nil && status != want {
				err = fmt.Errorf("%s: the key answers %d, want %d", name, status, want)
			}
			return nil, err
		})
		if err != nil {
			return nil, err
		}
		status, err := call(ctx, altered(key))
		if err != nil || status != http.StatusUnauthorized {
			return nil, errors.Join(err, fmt.Errorf("%s: an altered key answers %d, want 401", name, status))
		}
		result[name] = fmt.Sprintf("key %d, altered %d", want, status)
	}
	return result, nil
}

// altered changes one character in the middle.
func altered(key string) string {
	i := len(key) / 2
	swap := byte('x')
	if key[i] == swap {
		swap = 'y'
	}
	return key[:i] + string(swap) + key[i+1:]
}

func call(ctx context.Context, url, header, value string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set(header, value)
	client := http.Client{Timeout: 5 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

// mailedLink waits for the mail about a definition and gives its one-time link.
func (w *world) mailedLink(ctx context.Context, address, definition string) (string, error) {
	d, ok := w.hub.catalogue.Definition(definition)
	if !ok {
		return "", fmt.Errorf("no definition %s", definition)
	}
	var link string
	_, err := eventually(ctx, func() (any, error) {
		for _, l := range w.linksMailedTo(address, d.Name) {
			if strings.HasPrefix(l, w.publicURL+"/remise/") {
				link = l
				return nil, nil
			}
		}
		return nil, fmt.Errorf("no mail with a link about %s for its technical contact", d.Name)
	})
	return link, err
}
