package server

import (
	"net/http"
	"strings"

	"belfry"
	"belfry/auth"
)

// A keyCheck decides which backends may call.
type keyCheck struct {
	key auth.Key
	// open lets callers on this machine in without the key.
	open bool
}

// authorize asks for the key, in the header or shown otherwise, except of
// callers on this machine where that is configured. A browser is no such caller:
// any page that it shows could make it push.
func (k keyCheck) authorize(r *http.Request, shown string) error {
	if token, ok := bearer(r); ok {
		shown = token
	}
	switch {
	case k.key.Matches(shown):
		return nil
	case shown != "":
		return belfry.Errorf(belfry.ErrUnauthorized, "the key is wrong")
	case k.open && fromThisMachine(r) && !fromBrowser(r.Header):
		return nil
	}
	return belfry.Errorf(belfry.ErrUnauthorized, "the key is missing: send it as token or as Authorization: Bearer")
}

// bearer returns the credentials of a request (RFC 6750 section 2.1). The name
// of the scheme has no case (RFC 9110 section 11.1).
func bearer(r *http.Request) (string, bool) {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	return strings.TrimSpace(token), true
}

// fromBrowser reports whether a page made its browser send the request (Fetch
// Standard, "Origin header"; Fetch Metadata Request Headers).
func fromBrowser(h http.Header) bool {
	return h.Get("Origin") != "" || h.Get("Sec-Fetch-Site") != ""
}
