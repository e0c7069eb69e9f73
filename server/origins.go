package server

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"belfry/engineio"
)

// An originPolicy says which pages may connect: those of the host that they
// connect to, whatever the port, and those of the listed origins.
type originPolicy struct {
	listed []string
	all    bool
	// loopback lets pages on this machine connect, opened files included.
	loopback bool
}

// newOriginPolicy checks the list: origins such as https://app.example.com, or *
// for all.
func newOriginPolicy(listed []string, loopback bool) (originPolicy, error) {
	p := originPolicy{loopback: loopback}
	for _, origin := range listed {
		if origin == "*" {
			p.all = true
			continue
		}
		u, err := url.Parse(origin)
		if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || strings.Trim(u.Path, "/") != "" {
			return originPolicy{}, fmt.Errorf("server: origin %q must look like https://app.example.com, or be *", origin)
		}
		p.listed = append(p.listed, strings.ToLower(u.Scheme+"://"+u.Host))
	}
	return p, nil
}

// allows decides about a request with an Origin header.
func (p originPolicy) allows(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if p.all || engineio.SameHost(r) || slices.Contains(p.listed, strings.ToLower(origin)) {
		return true
	}
	if !p.loopback || !fromThisMachine(r) {
		return false
	}
	u, err := url.Parse(origin)
	return origin == "null" || err == nil && (u.Hostname() == "localhost" || isLoopback(u.Hostname()))
}
