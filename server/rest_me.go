package server

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"belfry"
)

// The operations of pages. Whose data they read and mark is settled by the token.

func (a *rest) registerMe(api huma.API) {
	handle(a, api, operation("me", "GET", "/v1/me", "me", "Who the token speaks for"), a.me)
	handle(a, api, operation("myMessages", "GET", "/v1/me/messages", "me", "The inbox, newest first"),
		func(ctx context.Context, in *ListInput) (*listOutput[restMessage], error) {
			return a.inbox(ctx, identityOf(ctx), *in)
		})
	handle(a, api, operation("myCounts", "GET", "/v1/me/counts", "me", "The unread and unseen messages"),
		func(ctx context.Context, _ *struct{}) (*countsOutput, error) {
			return newCountsOutput(a.service.Counts(ctx, identityOf(ctx)))
		})
	handle(a, api, operation("readMine", "POST", "/v1/me/read", "me", "Mark messages read"),
		func(ctx context.Context, in *struct{ Body readMine }) (*countsOutput, error) {
			return a.markRead(ctx, identityOf(ctx), in.Body.IDs)
		})
	handle(a, api, operation("readAllMine", "POST", "/v1/me/read-all", "me", "Mark all messages read"),
		func(ctx context.Context, _ *struct{}) (*countsOutput, error) {
			return newCountsOutput(a.service.MarkRead(ctx, identityOf(ctx), nil))
		})
	handle(a, api, operation("seeMine", "POST", "/v1/me/seen", "me", "Mark what was seen, up to a message"),
		func(ctx context.Context, in *struct{ Body seeMine }) (*countsOutput, error) {
			return a.markSeen(ctx, identityOf(ctx), in.Body.Last)
		})
	handle(a, api, operation("myActivities", "GET", "/v1/me/activities", "me", "The feed of the company, newest first"),
		func(ctx context.Context, in *ListInput) (*listOutput[restActivity], error) {
			return a.feed(ctx, identityOf(ctx).Company, *in)
		})
	handle(a, api, operation("myOnline", "GET", "/v1/me/online", "me", "Who is online in the company"),
		func(ctx context.Context, _ *struct{}) (*onlineOutput, error) {
			return newOnlineOutput(a.service.Online(ctx, identityOf(ctx).Company))
		})
}

type whoami struct {
	UID       string `json:"uid"`
	CompanyID string `json:"companyID"`
}

func (a *rest) me(ctx context.Context, _ *struct{}) (*struct{ Body whoami }, error) {
	who := identityOf(ctx)
	return &struct{ Body whoami }{whoami{string(who.User), string(who.Company)}}, nil
}

type readMine struct {
	IDs []string `json:"ids" nullable:"false" minItems:"1" maxItems:"1000" pattern:"^[0-9a-fA-F]{24}$" doc:"messageIDs; those of others are ignored"`
}

type seeMine struct {
	Last string `json:"last" pattern:"^[0-9a-fA-F]{24}$" doc:"The messageID of the newest one that was shown"`
}

// What backends and pages do alike.

func (a *rest) inbox(ctx context.Context, who belfry.Identity, in ListInput) (*listOutput[restMessage], error) {
	messages, err := a.service.Inbox(ctx, who, in.before, in.Limit)
	if err != nil {
		return nil, err
	}
	return newListOutput(in, messages, func(m *belfry.Message) belfry.ID { return m.ID }, newRestMessage), nil
}

func (a *rest) feed(ctx context.Context, company belfry.CompanyID, in ListInput) (*listOutput[restActivity], error) {
	activities, err := a.service.Feed(ctx, belfry.Identity{Company: company}, in.before, in.Limit)
	if err != nil {
		return nil, err
	}
	return newListOutput(in, activities, func(a *belfry.Activity) belfry.ID { return a.ID }, newRestActivity), nil
}

// markRead marks the messages that are named, or all where none is.
func (a *rest) markRead(ctx context.Context, who belfry.Identity, named []string) (*countsOutput, error) {
	var ids []belfry.ID
	if len(named) > 0 {
		var err error
		if ids, err = messageIDs(named); err != nil {
			return nil, err
		}
	}
	return newCountsOutput(a.service.MarkRead(ctx, who, ids))
}

func (a *rest) markSeen(ctx context.Context, who belfry.Identity, last string) (*countsOutput, error) {
	ids, err := messageIDs([]string{last})
	if err != nil {
		return nil, err
	}
	return newCountsOutput(a.service.MarkSeen(ctx, who, ids[0]))
}
