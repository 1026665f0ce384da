package partnertest

import "encoding/json"

// Credential is one that a simulator accepts, in the line that describes it.
type Credential struct {
	Actor        string `json:"actor"` // whose it is: "manager"
	ClientID     string `json:"client_id,omitempty"`
	ClientSecret string `json:"client_secret,omitempty"`
	Username     string `json:"username,omitempty"`
	Password     string `json:"password,omitempty"`
	Token        string `json:"token,omitempty"`
}

// Line is what a simulator says of itself, as one line of JSON. description has
// strings, lists and structs only: it cannot fail.
func Line(description any) string {
	text, err := json.Marshal(description)
	if err != nil {
		panic(err) // a mistake of the simulator's
	}
	return string(text)
}
