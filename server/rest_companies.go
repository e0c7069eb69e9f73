package server

import (
	"context"

	"github.com/danielgtaylor/huma/v2"
)

// The operations on a company, for backends.

func (a *rest) registerCompanies(api huma.API) {
	handle(a, api, operation("listActivities", "GET", "/v1/companies/{companyID}/activities", "companies", "The feed of a company or the history of an object, newest first"),
		func(ctx context.Context, in *struct {
			CompanyPath
			FeedInput
		}) (*listOutput[restActivity], error) {
			company, err := in.company()
			if err != nil {
				return nil, err
			}
			return a.feed(ctx, company, in.FeedInput)
		})
	handle(a, api, operation("getOnline", "GET", "/v1/companies/{companyID}/online", "companies", "How many are online in a company"),
		func(ctx context.Context, in *CompanyPath) (*onlineOutput, error) {
			company, err := in.company()
			if err != nil {
				return nil, err
			}
			return newOnlineOutput(a.service.Online(ctx, company))
		})
	handle(a, api, operation("addMembers", "POST", "/v1/companies/{companyID}/members", "companies", "Make users known before their first login: they see notices from now on"),
		func(ctx context.Context, in *struct {
			CompanyPath
			Body newMembers
		}) (*struct{}, error) {
			company, err := in.company()
			if err != nil {
				return nil, err
			}
			return &struct{}{}, a.service.AddMembers(ctx, company, userIDs(in.Body.Users))
		})
}

type newMembers struct {
	Users []restID `json:"users" minItems:"1" maxItems:"10000" nullable:"false" doc:"Who is a member already stays one"`
}

// Resolve implements [huma.ResolverWithPath].
func (m *newMembers) Resolve(_ huma.Context, at *huma.PathBuffer) []error {
	c := checker{at: at}
	c.ids("users", m.Users)
	return c.errs
}
