package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"belfry"
	"belfry/auth"
)

// restTimeout bounds what one request may take once its body is read, and on
// the public port how long its answer may take to be written.
const restTimeout = 15 * time.Second

// restVersion is the version of the API, as its document states it.
const restVersion = "1.0.0"

// A rest is the REST API: texts raw, dates RFC 3339, ids strings, every error
// a problem document (RFC 9457). Who asks is settled before anything of the
// request is looked at.
type rest struct {
	service *belfry.Service
	tokens  *auth.Tokens
	keys    keyCheck
	origins originPolicy
	limits  *limiter
	log     *slog.Logger
}

// backend is the API of the push port: for programs that hold the key.
func (a *rest) backend() http.Handler {
	return a.build("belfry for backends", "Push messages, activities and events, change and explain them, and read and mark any user's inbox. Every call needs the API key.",
		a.registerMessages, a.registerActivities, a.registerEvents, a.registerUsers, a.registerCompanies, a.registerSessions)
}

// personal is the API of the public port: for pages, each with its user's token.
func (a *rest) personal() http.Handler {
	return a.build("belfry for pages", "The inbox and the feed of whoever the login token speaks for. No call can name anybody else.",
		a.registerMe)
}

// build makes the routes, the document that describes them, and its page.
func (a *rest) build(title, description string, register ...func(huma.API)) http.Handler {
	mux := http.NewServeMux()
	config := huma.DefaultConfig(title, restVersion)
	config.Info.Description = description
	config.Info.License = &huma.License{Name: "Apache 2.0", Identifier: "Apache-2.0"}
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "", "", "" // served below
	config.CreateHooks = nil                                             // no $schema in answers
	config.RejectUnknownQueryParameters = true
	format := huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: unmarshalUTF8}
	config.Formats = map[string]huma.Format{"application/json": format, "json": format}
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"bearer": {Type: "http", Scheme: "bearer"}}
	config.Security = []map[string][]string{{"bearer": {}}}
	api := humago.New(mux, config)
	for _, f := range register {
		f(api)
	}
	serveDocument(mux, api.OpenAPI())
	return orProblem(mux)
}

// unmarshalUTF8 refuses what encoding/json would silently replace, and says what
// is wrong without the names of Go.
func unmarshalUTF8(data []byte, v any) error {
	if !utf8.Valid(data) {
		return errors.New("the body is not valid UTF-8")
	}
	err := json.Unmarshal(data, v)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("%s is of the wrong type", wrong.Field)
	}
	return err
}

func operation(id, method, path, tag, summary string) huma.Operation {
	return huma.Operation{OperationID: id, Method: method, Path: path, Tags: []string{tag}, Summary: summary}
}

func created(op huma.Operation) huma.Operation {
	op.DefaultStatus = http.StatusCreated
	return op
}

// handle registers an operation. Its errors become problem documents here.
func handle[I, O any](a *rest, api huma.API, op huma.Operation, f func(context.Context, *I) (*O, error)) {
	if op.MaxBodyBytes == 0 {
		op.MaxBodyBytes = maxPushBody
	}
	places := &fieldPlaces{in: "body."}
	huma.Register(api, op, func(ctx context.Context, in *I) (*O, error) {
		ctx, cancel := context.WithTimeout(ctx, restTimeout)
		defer cancel()
		out, err := f(ctx, in)
		if err != nil {
			logFailure(ctx, a.log, "request refused", err, "operation", op.OperationID)
			return nil, problemOf(err, places)
		}
		return out, nil
	})
	places.parameters = documented(api, op).Parameters
}

// documented returns an operation as its document has it.
func documented(api huma.API, op huma.Operation) *huma.Operation {
	for _, o := range operationsOf(api.OpenAPI().Paths[op.Path]) {
		if o.Method == op.Method {
			return o
		}
	}
	panic("server: " + op.OperationID + " is not documented")
}

// isDocument reports whether a path describes the API; anybody may read that.
func isDocument(path string) bool {
	return path == "/docs" || path == "/v1/openapi.json" || path == "/v1/openapi.yaml"
}

// forBackends lets requests with the API key through.
func (a *rest) forBackends(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		if !isDocument(r.URL.Path) {
			if err := a.keys.authorize(backendOf(r), ""); err != nil {
				a.refuse(w, r, err)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

type identityKey struct{}

// identityOf returns who the request is from. forPages has put it there.
func identityOf(ctx context.Context) belfry.Identity {
	return ctx.Value(identityKey{}).(belfry.Identity)
}

// forPages lets requests with a user's token through, as often as their address
// may ask.
func (a *rest) forPages(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		if !a.limits.mayAsk(r.RemoteAddr) {
			a.refuse(w, r, belfry.Errorf(belfry.ErrLimited, "too many requests from this address; try again later"))
			return
		}
		conn := http.NewResponseController(w)
		if err := conn.SetWriteDeadline(time.Now().Add(2 * restTimeout)); err == nil {
			defer conn.SetWriteDeadline(time.Time{}) // the connection may carry a long poll next
		}
		if !isDocument(r.URL.Path) {
			token, shown := bearer(r.Header.Get("Authorization"))
			if !shown {
				a.refuse(w, r, belfry.Errorf(belfry.ErrUnauthorized, "the token is missing: send it as Authorization: Bearer"))
				return
			}
			who, err := a.verify(r.Context(), token)
			if err != nil {
				a.refuse(w, r, err)
				return
			}
			r = r.WithContext(context.WithValue(r.Context(), identityKey{}, who))
		}
		next.ServeHTTP(w, r)
	})
}

// verify returns whom a token speaks for, unless it was made void.
func (a *rest) verify(ctx context.Context, token string) (belfry.Identity, error) {
	ctx, cancel := context.WithTimeout(ctx, restTimeout)
	defer cancel()
	claims, err := a.tokens.Verify(token)
	if err != nil {
		return belfry.Identity{}, err
	}
	_, err = a.service.CheckToken(ctx, claims.Who, claims.Issued)
	return claims.Who, err
}

// sharing answers pages of other origins (Fetch Standard, "CORS protocol") by
// the rule that their connections are accepted by.
func (a *rest) sharing(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Add("Vary", "Origin")
		origin := r.Header.Get("Origin")
		if origin == "" {
			next.ServeHTTP(w, r)
			return
		}
		if !a.origins.allows(r) {
			writeProblem(w, newProblem(http.StatusForbidden, "pages of this origin may not ask; list it in the setting origins"))
			return
		}
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Expose-Headers", "Retry-After, WWW-Authenticate")
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			h.Set("Access-Control-Allow-Methods", "GET, POST, PUT")
			h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
			h.Set("Access-Control-Max-Age", "600")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// refuse answers a request that does not reach an operation.
func (a *rest) refuse(w http.ResponseWriter, r *http.Request, err error) {
	logFailure(r.Context(), a.log, "request refused", err, "address", r.RemoteAddr)
	writeProblem(w, problemOf(err, nil))
}
