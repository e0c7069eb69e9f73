package auth

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"belfry"
)

// An issuer is the other end of a JWKS URL, without a network.
type issuer struct {
	mu     sync.Mutex
	body   string
	status int           // 0: it cannot be reached
	takes  time.Duration // until it answers
	asked  []time.Duration
	begun  time.Time
}

func newIssuer(keys ...string) *issuer {
	return &issuer{body: jwksOf(keys...), status: http.StatusOK, begun: time.Now()}
}

// RoundTrip implements [http.RoundTripper].
func (i *issuer) RoundTrip(r *http.Request) (*http.Response, error) {
	i.mu.Lock()
	i.asked = append(i.asked, time.Since(i.begun))
	body, status, takes := i.body, i.status, i.takes
	i.mu.Unlock()
	select {
	case <-time.After(takes):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	if status == 0 {
		return nil, errors.New("connection refused")
	}
	return &http.Response{StatusCode: status, Header: http.Header{"Location": {"https://evil.example.com/"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

func (i *issuer) become(status int, keys ...string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.status, i.body = status, jwksOf(keys...)
}

// slow lets it take a time to answer.
func (i *issuer) slow(takes time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.takes = takes
}

// after lets a time pass, and all that happens then.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// wantAsked checks when it was asked so far, since it began.
func (i *issuer) wantAsked(t *testing.T, want ...time.Duration) {
	t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.asked) != len(want) {
		t.Errorf("asked at %v, want %v", i.asked, want)
		return
	}
	for n := range want {
		if i.asked[n] != want[n] {
			t.Errorf("asked at %v, want %v", i.asked, want)
			return
		}
	}
}

// trusting are Tokens with the keys of an issuer; what they log goes to log.
func trusting(t *testing.T, i *issuer, log io.Writer) *Tokens {
	t.Helper()
	tokens := newTokens(t)
	var err error
	tokens.remote, err = newKeySource("https://login.example.com/keys?key=swordfish", i, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	tokens.parser = tokens.newParser(true)
	return tokens
}

// A signer is a key of an issuer.
type signer struct {
	kid string
	key ed25519.PrivateKey
}

func newSigner(kid string) signer { return signer{kid, newEd25519()} }

func (s signer) jwk() string { return jwkOf(s.key.Public(), members{"kid": s.kid}) }

func (s signer) token(t *testing.T) string {
	t.Helper()
	return sign(t, jwt.SigningMethodEdDSA, s.key, good(nil), "kid", s.kid)
}

// wantTaken checks a token and how long that takes.
func wantTaken(t *testing.T, tokens *Tokens, token string, takes time.Duration) {
	t.Helper()
	begun := time.Now()
	if claims, err := tokens.Verify(token); err != nil || claims.Who.User != "1" {
		t.Errorf("Verify = %+v, %v", claims, err)
	}
	if took := time.Since(begun); took != takes {
		t.Errorf("took %v, want %v", took, takes)
	}
}

// wantCode checks that a token is refused, with which code and how soon.
func wantCode(t *testing.T, tokens *Tokens, token string, code belfry.Code, takes time.Duration) {
	t.Helper()
	begun := time.Now()
	if claims, err := tokens.Verify(token); belfry.ErrorCode(err) != code || claims.Who != (belfry.Identity{}) || !strings.Contains(belfry.ErrorMessage(err), "try again") {
		t.Errorf("Verify = %+v, %v; want %s", claims, err, code)
	}
	if took := time.Since(begun); took != takes {
		t.Errorf("took %v, want %v", took, takes)
	}
}

func TestTheFirstTokensWaitForTheFirstFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newSigner("a")
		i := newIssuer(a.jwk())
		i.takes = time.Second
		tokens := trusting(t, i, io.Discard)
		wantTaken(t, tokens, hs256(t, nil), 0) // needs no key of the issuer
		wantTaken(t, tokens, a.token(t), time.Second)
		wantTaken(t, tokens, a.token(t), 0)
		wantTaken(t, tokens, sign(t, jwt.SigningMethodEdDSA, a.key, good(nil)), 0) // without a kid
		i.wantAsked(t, 0)
	})
}

func TestTheFirstTokensAfterARotationShareOneFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newSigner("a"), newSigner("b")
		i := newIssuer(a.jwk())
		tokens := trusting(t, i, io.Discard)
		after(time.Minute)
		i.become(http.StatusOK, a.jwk(), b.jwk())
		i.slow(time.Second)
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { wantTaken(t, tokens, b.token(t), time.Second) })
		}
		wg.Wait()
		wantTaken(t, tokens, a.token(t), 0)
		i.wantAsked(t, 0, time.Minute)
		after(fetchEvery)
		i.wantAsked(t, 0, time.Minute, time.Minute+time.Second+fetchEvery)
	})
}

func TestUnknownKeysAreAskedForOnceInHalfAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, forged := newSigner("a"), newSigner("forged")
		i := newIssuer(a.jwk())
		tokens := trusting(t, i, io.Discard)
		synctest.Wait()
		for range 290 { // over 29 s
			wantCode(t, tokens, forged.token(t), belfry.ErrUnauthorized, 0)
			after(100 * time.Millisecond)
		}
		i.wantAsked(t, 0)
		after(time.Second)
		for range 100 {
			wantCode(t, tokens, forged.token(t), belfry.ErrUnauthorized, 0)
		}
		i.wantAsked(t, 0, fetchAgain)
		wantTaken(t, tokens, a.token(t), 0)
	})
}

func TestAKidChoosesItsKeyAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newSigner("a"), newSigner("b")
		tokens := trusting(t, newIssuer(a.jwk(), b.jwk(), jwkOf(ecSigner().Public(), members{"kid": "e"})), io.Discard)
		wantRefused(t, tokens, signer{"a", b.key}.token(t), "not valid")
		wantTaken(t, tokens, sign(t, jwt.SigningMethodEdDSA, b.key, good(nil)), 0) // every key is tried
		wantTaken(t, tokens, sign(t, jwt.SigningMethodES256, ecSigner(), good(nil), "kid", "e"), 0)
		wantCode(t, tokens, signer{"e", a.key}.token(t), belfry.ErrUnauthorized, 0) // a key of another algorithm
		wantRefused(t, tokens, sign(t, jwt.SigningMethodHS256, []byte(a.key.Public().(ed25519.PublicKey)), good(nil), "kid", "a"), "not valid")
		token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, good(nil))
		token.Header["kid"] = 5
		wantRefused(t, tokens, must(token.SignedString(a.key)), "kid")
	})
}

func TestFixedKeysDoNotWaitForTheURL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer()
		i.takes = time.Hour
		tokens := trusting(t, i, io.Discard)
		tokens.fixed = must(byAlgorithm(publicKeys()))
		wantTaken(t, tokens, sign(t, jwt.SigningMethodEdDSA, edSigner(), good(nil), "kid", "x"), 0)
	})
}

func TestKeysOutliveAnIssuerThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newSigner("a"), newSigner("b")
		i := newIssuer(a.jwk(), b.jwk())
		var log bytes.Buffer
		tokens := trusting(t, i, &log)
		after(time.Minute)
		for _, status := range []int{0, http.StatusInternalServerError, http.StatusFound} {
			i.become(status, a.jwk())
			after(time.Hour)
			wantTaken(t, tokens, b.token(t), 0)
		}
		i.become(http.StatusOK, a.jwk())
		after(fetchAgain) // tried that often while the issuer was away
		wantTaken(t, tokens, a.token(t), 0)
		wantCode(t, tokens, b.token(t), belfry.ErrUnauthorized, 0) // b is gone with that fetch
		i.become(http.StatusOK)
		after(fetchEvery)
		wantCode(t, tokens, a.token(t), belfry.ErrUnauthorized, 0)
		tokens.Close()
		if lines := strings.Count(log.String(), "\n"); lines != 4 || strings.Contains(log.String(), "swordfish") {
			t.Errorf("%d lines, want one for each change and no secret:\n%s", lines, &log)
		}
	})
}

func TestAnIssuerThatIsAwayFromTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newSigner("a")
		i := newIssuer(a.jwk())
		i.status = 0
		tokens := trusting(t, i, io.Discard)
		wantCode(t, tokens, a.token(t), belfry.ErrUnavailable, 0)
		wantTaken(t, tokens, hs256(t, nil), 0)
		i.become(http.StatusOK, a.jwk())
		after(fetchAgain)
		wantTaken(t, tokens, a.token(t), 0)
		i.wantAsked(t, 0, fetchAgain)
	})
}

func TestASlowIssuerHoldsATokenForTwoSecondsAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newSigner("a")
		i := newIssuer(a.jwk())
		i.takes = time.Hour
		tokens := trusting(t, i, io.Discard)
		wantCode(t, tokens, a.token(t), belfry.ErrUnavailable, 2*time.Second)
		wantCode(t, tokens, a.token(t), belfry.ErrUnavailable, 2*time.Second)
		wantCode(t, tokens, a.token(t), belfry.ErrUnavailable, time.Second) // the fetch is given up after 5 s
		wantCode(t, tokens, a.token(t), belfry.ErrUnavailable, 0)
		i.wantAsked(t, 0)
		after(time.Minute)
		i.wantAsked(t, 0, fetchTime+fetchAgain)
	})
}

func TestAnswersThatChangeNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newSigner("a"), newSigner("b")
		i := newIssuer(a.jwk())
		tokens := trusting(t, i, io.Discard)
		synctest.Wait()
		for name, body := range map[string]string{
			"one that is too long": jwksOf(b.jwk()) + strings.Repeat(" ", fetchBytes),
			"one that is no set":   `{"error":"maintenance"}`,
			"one that is cut off":  jwksOf(b.jwk())[:40],
		} {
			i.mu.Lock()
			i.body = body
			i.mu.Unlock()
			after(fetchEvery)
			if _, err := tokens.Verify(b.token(t)); belfry.ErrorCode(err) != belfry.ErrUnavailable {
				t.Errorf("%s: %v", name, err)
			}
			wantTaken(t, tokens, a.token(t), 0)
		}
	})
}

// An endlessBody counts what is read of it.
type endlessBody struct{ read int }

func (b *endlessBody) Read(p []byte) (int, error) {
	b.read += len(p)
	return len(p), nil
}

func (b *endlessBody) Close() error { return nil }

// RoundTrip implements [http.RoundTripper].
func (b *endlessBody) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: b, Request: r}, nil
}

func TestAnAnswerWithoutEndIsNotReadToItsEnd(t *testing.T) {
	body := &endlessBody{}
	s, err := newKeySource("https://login.example.com/", body, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.keys(keyName{algEdDSA, "a"})
	s.close()
	if belfry.ErrorCode(err) != belfry.ErrUnavailable || body.read > 2*fetchBytes {
		t.Errorf("%d bytes read; %v", body.read, err)
	}
}

// The fetch of every ten minutes may fall on the moment of a token that asks.
func TestAFetchThatIsDueAnswersATokenThatAsksJustThen(t *testing.T) {
	s := &keySource{wake: make(chan struct{}, 1)}
	_, asked, _ := s.look(keyName{algEdDSA, "a"})
	s.takeOff()
	if asked == nil || s.flight != asked || len(s.wake) != 0 {
		t.Error("the token waits for another fetch, or one more follows")
	}
}

func TestCloseEndsFetchingAndWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newSigner("a"), newSigner("b")
		i := newIssuer(a.jwk())
		var log bytes.Buffer
		tokens := trusting(t, i, &log)
		after(time.Minute)
		i.slow(time.Hour)
		var wg sync.WaitGroup
		wg.Go(func() { wantCode(t, tokens, b.token(t), belfry.ErrUnauthorized, time.Second) })
		after(time.Second)
		tokens.Close()
		tokens.Close()
		wg.Wait()
		after(time.Hour)
		wantTaken(t, tokens, a.token(t), 0)
		wantCode(t, tokens, b.token(t), belfry.ErrUnauthorized, 0)
		i.wantAsked(t, 0, time.Minute)
		if lines := strings.Count(log.String(), "\n"); lines != 1 {
			t.Errorf("closing is logged as a failure:\n%s", &log)
		}
	})
}

func TestKeysComeOverHTTPFromLoopback(t *testing.T) {
	a, b := newSigner("a"), newSigner("b")
	mux := http.NewServeMux()
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, jwksOf(a.jwk()))
	})
	mux.HandleFunc("GET /moved", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/other", http.StatusFound)
	})
	mux.HandleFunc("GET /other", func(w http.ResponseWriter, r *http.Request) {
		t.Error("a redirect was followed")
	})
	srv := httptest.NewServer(mux)
	defer srv.Close()
	quiet := slog.New(slog.DiscardHandler)

	tokens := newTokens(t, func(o *TokenOptions) {
		o.Secret, o.PageSecret, o.JWKS, o.Logger = "", testSecret, srv.URL+"/keys", quiet
	})
	if claims, err := tokens.Verify(a.token(t)); err != nil || claims.Who.Company != "2" {
		t.Errorf("Verify = %+v, %v", claims, err)
	}
	wantRefused(t, tokens, b.token(t), "try again")
	wantRefused(t, tokens, hs256(t, nil), "not valid")

	moved := newTokens(t, func(o *TokenOptions) { o.JWKS, o.Logger = srv.URL+"/moved", quiet })
	if _, err := moved.Verify(a.token(t)); belfry.ErrorCode(err) != belfry.ErrUnavailable {
		t.Errorf("Verify after a redirect: %v", err)
	}
}
