package kongtest

import (
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
)

// maxBody bounds a request's body, in bytes.
const maxBody = 1 << 20

// readArgs takes the arguments of a write: JSON, a form or multipart. A body of
// another type, or of none, is 415 without a body.
func readArgs(r *http.Request) (map[string]any, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return nil, plain(http.StatusBadRequest, err.Error())
	}
	if len(body) > maxBody {
		return nil, plain(http.StatusRequestEntityTooLarge, "Request body is too large")
	}
	media := r.Header.Get("Content-Type")
	switch {
	case media == "" && len(body) == 0:
		return map[string]any{}, nil
	case strings.HasPrefix(media, "application/json"):
		var args map[string]any
		if err := json.Unmarshal(body, &args); err != nil || args == nil {
			return nil, plain(http.StatusBadRequest, "Cannot parse JSON body")
		}
		return args, nil
	case strings.HasPrefix(media, "application/x-www-form-urlencoded"):
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, plain(http.StatusBadRequest, "Cannot parse form body")
		}
		return fromForm(form), nil
	case strings.HasPrefix(media, "multipart/form-data"):
		return fromMultipart(media, body)
	default:
		return nil, &refusal{status: http.StatusUnsupportedMediaType, empty: true}
	}
}

func fromMultipart(media string, body []byte) (map[string]any, error) {
	_, params, err := mime.ParseMediaType(media)
	if err == nil {
		var form *multipart.Form
		form, err = multipart.NewReader(strings.NewReader(string(body)), params["boundary"]).ReadForm(maxBody)
		if err == nil {
			return fromForm(form.Value), nil
		}
	}
	return nil, plain(http.StatusBadRequest, "Cannot parse form body")
}

// fromForm reads tags=a&tags=b, tags[]=a, tags[1]=a and consumer.id=….
func fromForm(form url.Values) map[string]any {
	args := map[string]any{}
	for name, values := range form {
		isList := len(values) > 1
		if at := strings.IndexByte(name, '['); at > 0 && strings.HasSuffix(name, "]") {
			name, isList = name[:at], true
		}
		if outer, inner, nested := strings.Cut(name, "."); nested {
			object, ok := args[outer].(map[string]any)
			if !ok {
				object = map[string]any{}
				args[outer] = object
			}
			object[inner] = values[0]
			continue
		}
		if !isList {
			args[name] = values[0]
			continue
		}
		list, _ := args[name].([]any)
		for _, value := range values {
			list = append(list, value)
		}
		args[name] = list
	}
	return args
}
