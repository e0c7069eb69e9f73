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

// A backend is who calls, as far as it says so.
type backend struct {
	authorization string // the header
	// here is whether it is on this machine and no browser: any page that a browser shows
	// could make it push.
	here func() bool
}

func backendOf(r *http.Request) backend {
	return backend{r.Header.Get("Authorization"), func() bool { return fromThisMachine(r) && !fromBrowser(r.Header) }}
}

// authorize asks for the key, in the header or shown otherwise, except of
// callers on this machine where that is configured.
func (k keyCheck) authorize(from backend, shown string) error {
	if token, ok := bearer(from.authorization); ok {
		shown = token
	}
	switch {
	case k.key.Matches(shown):
		return nil
	case shown != "":
		return belfry.Errorf(belfry.ErrUnauthorized, "the key is wrong")
	case k.open && from.here():
		return nil
	}
	return belfry.Errorf(belfry.ErrUnauthorized, "the key is missing: send it as token or as Authorization: Bearer")
}

// bearer returns the credentials in an Authorization header (RFC 6750 section
// 2.1). The name of the scheme has no case (RFC 9110 section 11.1).
func bearer(authorization string) (string, bool) {
	scheme, token, ok := strings.Cut(authorization, " ")
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
