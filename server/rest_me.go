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
		func(ctx context.Context, in *InboxInput) (*listOutput[restMessage], error) {
			return a.inbox(ctx, identityOf(ctx), *in)
		})
	handle(a, api, operation("myCounts", "GET", "/v1/me/counts", "me", "The unread and unseen messages"),
		func(ctx context.Context, _ *struct{}) (*countsOutput, error) {
			return newCountsOutput(a.service.Counts(ctx, identityOf(ctx)))
		})
	a.registerMine(api, "readMine", "/v1/me/read", "Mark messages read", belfry.RevisionRead)
	a.registerMine(api, "unreadMine", "/v1/me/unread", "Mark messages unread", belfry.RevisionUnread)
	a.registerAllMine(api, "readAllMine", "/v1/me/read-all", "Mark all messages read", belfry.RevisionRead)
	a.registerMine(api, "archiveMine", "/v1/me/archive", "Put messages away", belfry.RevisionArchived)
	a.registerMine(api, "unarchiveMine", "/v1/me/unarchive", "Take messages out again; they stay read", belfry.RevisionUnarchived)
	a.registerAllMine(api, "archiveAllMine", "/v1/me/archive-all", "Put all messages away", belfry.RevisionArchived)
	handle(a, api, operation("seeMine", "POST", "/v1/me/seen", "me", "Mark what was seen, up to a message"),
		func(ctx context.Context, in *struct{ Body MarkedLast }) (*countsOutput, error) {
			return a.markSeen(ctx, identityOf(ctx), in.Body.Last)
		})
	handle(a, api, operation("myActivities", "GET", "/v1/me/activities", "me", "The feed of the company or the history of an object, newest first"),
		func(ctx context.Context, in *FeedInput) (*listOutput[restActivity], error) {
			return a.feed(ctx, identityOf(ctx).Company, *in)
		})
	handle(a, api, operation("myOnline", "GET", "/v1/me/online", "me", "How many are online in the company"),
		func(ctx context.Context, _ *struct{}) (*onlineOutput, error) {
			return newOnlineOutput(a.service.Online(ctx, identityOf(ctx).Company))
		})
	handle(a, api, operation("myPreferences", "GET", "/v1/me/preferences", "me", "What is turned off"),
		func(ctx context.Context, _ *struct{}) (*preferencesOutput, error) {
			return newPreferencesOutput(a.service.Preferences(ctx, identityOf(ctx).User))
		})
	handle(a, api, operation("setMyPreferences", "PUT", "/v1/me/preferences", "me", "Replace what is turned off"),
		func(ctx context.Context, in *struct{ Body restPreferences }) (*preferencesOutput, error) {
			return a.setPreferences(ctx, identityOf(ctx).User, in.Body)
		})
}

// registerMine registers an operation that marks messages.
func (a *rest) registerMine(api huma.API, id, path, summary string, kind belfry.RevisionKind) {
	handle(a, api, operation(id, "POST", path, "me", summary), func(ctx context.Context, in *struct{ Body MarkedIDs }) (*countsOutput, error) {
		return a.markIDs(ctx, identityOf(ctx), kind, in.Body)
	})
}

// registerAllMine registers an operation that marks all messages; its body may be missing.
func (a *rest) registerAllMine(api huma.API, id, path, summary string, kind belfry.RevisionKind) {
	handle(a, api, operation(id, "POST", path, "me", summary), func(ctx context.Context, in *struct{ Body *MarkedType }) (*countsOutput, error) {
		marked := MarkedType{}
		if in.Body != nil {
			marked = *in.Body
		}
		return a.markType(ctx, identityOf(ctx), kind, marked)
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
