package auth

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"belfry"
)

// The bounds of fetching a JWK Set.
const (
	fetchEvery = 10 * time.Minute
	fetchAgain = 30 * time.Second // after a failure; also the least between two
	fetchTime  = 5 * time.Second  // that one may take
	fetchBytes = 256 << 10        // that one may bring
	keyWait    = 2 * time.Second  // that a verification waits for one
)

// A keySource keeps the keys of a JWKS URL. One goroutine fetches them; those of
// the last fetch that succeeded stay while the URL is away. It is safe for
// concurrent use.
type keySource struct {
	url    *url.URL
	client *http.Client
	log    *slog.Logger
	wake   chan struct{} // of capacity 1: there is a flight
	stop   context.CancelFunc
	done   chan struct{}
	said   string // what was last logged; of the goroutine alone

	mu     sync.Mutex
	set    keySet
	failed error         // of the last fetch; one before the first has ended
	ended  time.Time     // when that was
	flight chan struct{} // closed when the fetch that is under way or asked for has ended; nil for none
	closed bool
}

// newKeySource starts to fetch. It fails for a URL that keys must not come from.
func newKeySource(address string, transport http.RoundTripper, log *slog.Logger) (*keySource, error) {
	u, err := url.Parse(address)
	// The address is not repeated: it may hold a password.
	if err != nil || u.Hostname() == "" || u.User != nil || u.Scheme != "https" && !(u.Scheme == "http" && isLoopback(u.Hostname())) {
		return nil, errors.New("auth: the JWKS URL must be https://host/..., without a user; http only on loopback")
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &keySource{
		url: u,
		client: &http.Client{
			Transport: transport,
			// A redirect could lead anywhere, also to where no https is.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		log:    log.With("url", (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()),
		wake:   make(chan struct{}, 1),
		stop:   stop,
		done:   make(chan struct{}),
		failed: errors.New("not fetched yet"),
		flight: make(chan struct{}), // so that the first tokens wait for the first fetch
	}
	go s.run(ctx)
	return s, nil
}

// isLoopback knows localhost, which never leaves the machine (RFC 6761 section
// 6.3).
func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback() || strings.EqualFold(host, "localhost")
}

// jwksTransport keeps no connection: the next fetch is minutes away.
func jwksTransport() http.RoundTripper {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		ForceAttemptHTTP2:      true,
		DisableKeepAlives:      true,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// close ends the fetching. Verifications that wait are let go.
func (s *keySource) close() {
	s.stop()
	<-s.done
}

// keys returns the keys of a name, at least one. For a name that is not known it
// has them fetched, if that is allowed now, and waits for that up to keyWait;
// any number of callers wait for the same fetch. It fails with
// [belfry.ErrUnauthorized] for a name that the URL does not know, and with
// [belfry.ErrUnavailable] if the URL did not answer.
func (s *keySource) keys(name keyName) ([]crypto.PublicKey, error) {
	keys, fetched, err := s.look(name)
	if fetched == nil {
		return keys, err
	}
	select {
	case <-fetched:
	case <-time.After(keyWait):
		return nil, errKeysAway
	}
	keys, _, err = s.look(name)
	return keys, err
}

var (
	errKeysAway = belfry.Errorf(belfry.ErrUnavailable, "the keys of who signed the token cannot be had at the moment; try again in half a minute")
	errNewKey   = belfry.Errorf(belfry.ErrUnauthorized, "the token is signed with a key that is not known; if the key is new, try again in half a minute")
)

// look returns the keys of a name that are known. For one that is not, it
// returns the end of a fetch that may bring them, nil if none may begin now, and
// what to say if it does not.
func (s *keySource) look(name keyName) (keys []crypto.PublicKey, fetched <-chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if keys := s.set[name]; len(keys) > 0 {
		return keys, nil, nil
	}
	if s.flight == nil && !s.closed && time.Since(s.ended) >= fetchAgain {
		s.flight = make(chan struct{})
		s.wake <- struct{}{} // there is room: it is emptied before the fetch begins
	}
	err = errNewKey
	if s.failed != nil {
		err = errKeysAway
	}
	return nil, s.flight, err
}

// run fetches until it is stopped.
func (s *keySource) run(ctx context.Context) {
	defer close(s.done)
	defer s.land()
	for {
		pause := fetchEvery
		if s.fetch(ctx) != nil {
			pause = fetchAgain
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
			s.takeOff()
		case <-s.wake:
		}
	}
}

// takeOff makes a flight for verifications to join, if none has been asked for.
func (s *keySource) takeOff() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flight == nil {
		s.flight = make(chan struct{})
		return
	}
	select {
	case <-s.wake: // this fetch is the one
	default:
	}
}

// land ends the last flight when none will follow.
func (s *keySource) land() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.flight != nil {
		close(s.flight)
		s.flight = nil
	}
}

// fetch replaces the set if it can, and lets those go who wait for it.
func (s *keySource) fetch(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	var answer jwksAnswer
	data, err := s.download(bounded)
	if err == nil {
		answer, err = parseJWKS(data)
	}
	if ctx.Err() != nil { // closed meanwhile: that says nothing about the URL
		return ctx.Err()
	}
	s.report(answer, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed, s.ended = err, time.Now()
	if err == nil {
		s.set = answer.set
	}
	if s.flight != nil {
		close(s.flight)
		s.flight = nil
	}
	return err
}

func (s *keySource) download(ctx context.Context) ([]byte, error) {
	req := (&http.Request{
		Method: http.MethodGet,
		URL:    s.url,
		Header: http.Header{"Accept": {"application/jwk-set+json, application/json"}, "User-Agent": {"belfry"}},
	}).WithContext(ctx)
	resp, err := s.client.Do(req)
	if err != nil {
		var outer *url.Error // repeats the URL, whose query may hold a password
		if errors.As(err, &outer) {
			err = outer.Err
		}
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the answer has status %d", resp.StatusCode)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, fetchBytes+1))
	if err != nil {
		return nil, err
	}
	if len(data) > fetchBytes {
		return nil, fmt.Errorf("the answer is longer than %d bytes", fetchBytes)
	}
	return data, nil
}

// report logs how a fetch went, if it went otherwise than the one before.
func (s *keySource) report(answer jwksAnswer, err error) {
	said := "away"
	if err == nil {
		said = fmt.Sprint(answer.usable, answer.skipped)
	}
	if said == s.said {
		return
	}
	s.said = said
	skipped := answer.skipped[:min(len(answer.skipped), 5)]
	switch {
	case err != nil:
		s.log.Warn("the keys of login tokens cannot be fetched; those that are known stay", "err", err)
	case answer.usable == 0:
		s.log.Warn("the JWK Set has no key that verifies login tokens", "skipped", skipped)
	default:
		s.log.Info("keys of login tokens fetched", "keys", answer.usable, "skipped", skipped)
	}
}
