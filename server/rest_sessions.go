package server

import (
	"context"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"belfry"
)

// The operations on the tokens and the open pages of a user, for backends.

func (a *rest) registerSessions(api huma.API) {
	handle(a, api, created(operation("signToken", "POST", "/v1/tokens", "sessions", "Sign a login token for a page")), a.signToken)
	handle(a, api, operation("revokeTokens", "POST", "/v1/users/{uid}/revoke", "sessions", "Make all tokens of a user void that were issued up to now, and disconnect the pages"),
		func(ctx context.Context, in *UserInput) (*pagesOutput, error) {
			user, err := in.user()
			if err != nil {
				return nil, err
			}
			return newPagesOutput(a.service.Revoke(ctx, user))
		})
	handle(a, api, operation("disconnectUser", "POST", "/v1/users/{uid}/disconnect", "sessions", "Disconnect the pages of a user; with a valid token they may come back"),
		func(ctx context.Context, in *struct {
			UserInput
			Body *disconnection
		}) (*pagesOutput, error) {
			user, err := in.user()
			if err != nil {
				return nil, err
			}
			company, err := in.Body.company()
			if err != nil {
				return nil, err
			}
			return newPagesOutput(a.service.Disconnect(ctx, user, company))
		})
	handle(a, api, operation("getPages", "GET", "/v1/users/{uid}/online", "sessions", "The open pages of a user, in all companies"),
		func(ctx context.Context, in *UserInput) (*struct{ Body openPages }, error) {
			user, err := in.user()
			if err != nil {
				return nil, err
			}
			pages, err := a.service.PagesOf(ctx, user)
			if err != nil {
				return nil, err
			}
			out := openPages{Pages: make([]openPage, len(pages))}
			for i, p := range pages {
				out.Pages[i] = openPage{p.ID, string(p.Company)}
			}
			return &struct{ Body openPages }{out}, nil
		})
}

type tokenRequest struct {
	UID       restID   `json:"uid"`
	CompanyID restID   `json:"companyID"`
	TTL       int64    `json:"ttl,omitempty" minimum:"1" maximum:"2592000" default:"86400" doc:"Seconds that it is valid"`
	Topics    []string `json:"topics,omitempty" maxItems:"100" nullable:"false" minLength:"1" maxLength:"128" doc:"Which topics the page may join; * stands for any characters"`
}

// Resolve implements [huma.ResolverWithPath].
func (r *tokenRequest) Resolve(_ huma.Context, at *huma.PathBuffer) []error {
	c := checker{at: at}
	c.id("uid", r.UID)
	c.id("companyID", r.CompanyID)
	return c.errs
}

type signedToken struct {
	Token     string    `json:"token"`
	ExpiresAt time.Time `json:"expiresAt"`
}

func (a *rest) signToken(_ context.Context, in *struct{ Body tokenRequest }) (*struct{ Body signedToken }, error) {
	who, err := belfry.NewIdentity(string(in.Body.UID), string(in.Body.CompanyID))
	if err != nil {
		return nil, err
	}
	ttl := time.Duration(in.Body.TTL) * time.Second
	expires := time.Now().Add(ttl).UTC().Truncate(time.Second)
	token, err := a.tokens.Sign(who, ttl, in.Body.Topics...)
	if err != nil {
		return nil, err
	}
	return &struct{ Body signedToken }{signedToken{token, expires}}, nil
}

type disconnection struct {
	CompanyID restID `json:"companyID,omitempty" doc:"Only the pages in this company"`
}

func (d *disconnection) company() (belfry.CompanyID, error) {
	if d == nil || d.CompanyID == "" {
		return "", nil
	}
	company, err := belfry.ParseID("companyID", string(d.CompanyID))
	return belfry.CompanyID(company), err
}

type openPages struct {
	Pages []openPage `json:"pages" nullable:"false"`
}

type openPage struct {
	PageID    string `json:"pageID" doc:"As explain names it"`
	CompanyID string `json:"companyID"`
}
