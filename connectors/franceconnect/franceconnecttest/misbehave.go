package franceconnecttest

import (
	"fmt"
	"slices"
)

// Misbehaviour is one bad answer that a client must refuse (franceconnect.md, FS-9).
type Misbehaviour string

// Bad answers. Those without a place are of the id_token or of userinfo, as the
// Place says.
const (
	WrongNonce      Misbehaviour = "wrong_nonce"        // id_token
	WrongAudience   Misbehaviour = "wrong_aud"          // id_token, userinfo
	WrongIssuer     Misbehaviour = "wrong_iss"          // id_token, userinfo
	AlgHS256        Misbehaviour = "alg_hs256"          // id_token, userinfo: signed with the client's secret
	AlgNone         Misbehaviour = "alg_none"           // id_token, userinfo
	UnknownKID      Misbehaviour = "unknown_kid"        // id_token, userinfo
	WrongSignature  Misbehaviour = "wrong_signature"    // id_token, userinfo: of another text
	Expired         Misbehaviour = "expired"            // id_token, userinfo
	LowACR          Misbehaviour = "low_acr"            // id_token
	WrongHash       Misbehaviour = "wrong_at_hash"      // id_token
	OtherSubject    Misbehaviour = "other_sub"          // userinfo
	PlainJSON       Misbehaviour = "plain_json"         // userinfo
	NoBirthplace    Misbehaviour = "no_birthplace"      // userinfo
	NoFamilyName    Misbehaviour = "no_family_name"     // userinfo
	CallbackNoIss   Misbehaviour = "callback_no_iss"    // callback
	CallbackIss     Misbehaviour = "callback_wrong_iss" // callback
	CallbackState   Misbehaviour = "callback_wrong_state"
	CallbackServer  Misbehaviour = "callback_server_error"
	CallbackUnready Misbehaviour = "callback_temporarily_unavailable"
)

// Place is the answer that a misbehaviour spoils.
type Place string

// The places.
const (
	InCallback Place = "callback"
	InIDToken  Place = "id_token"
	InUserinfo Place = "userinfo"
)

var places = map[Misbehaviour][]Place{
	WrongNonce: {InIDToken}, LowACR: {InIDToken}, WrongHash: {InIDToken},
	WrongAudience: {InIDToken, InUserinfo}, WrongIssuer: {InIDToken, InUserinfo}, AlgHS256: {InIDToken, InUserinfo},
	AlgNone: {InIDToken, InUserinfo}, UnknownKID: {InIDToken, InUserinfo}, WrongSignature: {InIDToken, InUserinfo}, Expired: {InIDToken, InUserinfo},
	OtherSubject: {InUserinfo}, PlainJSON: {InUserinfo}, NoBirthplace: {InUserinfo}, NoFamilyName: {InUserinfo},
	CallbackNoIss: {InCallback}, CallbackIss: {InCallback}, CallbackState: {InCallback}, CallbackServer: {InCallback},
	CallbackUnready: {InCallback},
}

// Bad asks for a misbehaviour in one place, a number of times; 0 until the end.
type Bad struct {
	What  Misbehaviour `json:"what"`
	Where Place        `json:"where"` // default: the first place it is for
	Times int          `json:"times"`
}

// Misbehave makes the answers to come bad, one misbehaviour after the other in
// each place.
func (s *Server) Misbehave(list ...Bad) error {
	for i, b := range list {
		allowed := places[b.What]
		if len(allowed) == 0 {
			return fmt.Errorf("franceconnecttest: no misbehaviour %q", b.What)
		}
		if b.Where == "" {
			list[i].Where = allowed[0]
		} else if !slices.Contains(allowed, b.Where) {
			return fmt.Errorf("franceconnecttest: %q is not for %q", b.What, b.Where)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range list {
		s.bad = append(s.bad, &b)
	}
	return nil
}

// Behave ends all misbehaviours.
func (s *Server) Behave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bad = nil
}

// next takes the misbehaviour of a place, "" for none. It needs the lock.
func (s *Server) next(where Place) Misbehaviour {
	for i, b := range s.bad {
		if b.Where != where {
			continue
		}
		if b.Times > 0 {
			if b.Times--; b.Times == 0 {
				s.bad = slices.Delete(s.bad, i, i+1)
			}
		}
		return b.What
	}
	return ""
}

// spoil changes the claims of a token as the misbehaviour wants; those about the
// signature are sign's.
func spoil(claims map[string]any, how Misbehaviour) {
	switch how {
	case WrongNonce:
		claims["nonce"] = "0000000000000000000000000000000000000000000000000000000000000000"
	case WrongAudience:
		claims["aud"] = "un-autre-client"
	case WrongIssuer:
		claims["iss"] = "https://ailleurs.example/api/v2"
	case Expired:
		issued, _ := claims["iat"].(int64)
		claims["iat"], claims["exp"] = issued-3600, issued-3540
	case LowACR:
		claims["acr"] = "eidas0"
	case WrongHash:
		claims["at_hash"] = halfHash("un autre jeton")
	case OtherSubject:
		claims["sub"] = Citizen{FamilyName: "AUTRE"}.subject("un-autre-client")
	case NoBirthplace:
		delete(claims, "birthplace")
	case NoFamilyName:
		delete(claims, "family_name")
	}
}
