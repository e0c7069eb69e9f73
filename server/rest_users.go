package server

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"belfry"
)

// The operations on the inbox of any user, for backends, and what they have in
// common with those of pages.

func (a *rest) registerUsers(api huma.API) {
	handle(a, api, operation("listMessages", "GET", "/v1/users/{uid}/messages", "users", "The inbox of a user, newest first"),
		func(ctx context.Context, in *struct {
			UserInput
			CompanyInput
			InboxInput
		}) (*listOutput[restMessage], error) {
			who, err := belfry.NewIdentity(in.UID, in.CompanyID)
			if err != nil {
				return nil, err
			}
			return a.inbox(ctx, who, in.InboxInput)
		})
	handle(a, api, operation("getCounts", "GET", "/v1/users/{uid}/counts", "users", "The unread and unseen messages of a user"),
		func(ctx context.Context, in *struct {
			UserInput
			CompanyInput
		}) (*countsOutput, error) {
			who, err := belfry.NewIdentity(in.UID, in.CompanyID)
			if err != nil {
				return nil, err
			}
			return newCountsOutput(a.service.Counts(ctx, who))
		})
	registerMark(a, api, "markRead", "/v1/users/{uid}/read", "Mark messages of a user read", a.markSome(belfry.RevisionRead))
	registerMark(a, api, "markUnread", "/v1/users/{uid}/unread", "Mark messages of a user unread", a.markSome(belfry.RevisionUnread))
	registerMark(a, api, "markAllRead", "/v1/users/{uid}/read-all", "Mark all messages of a user read", a.markAll(belfry.RevisionRead))
	registerMark(a, api, "archive", "/v1/users/{uid}/archive", "Put messages of a user away", a.markSome(belfry.RevisionArchived))
	registerMark(a, api, "unarchive", "/v1/users/{uid}/unarchive", "Take messages of a user out again; they stay read", a.markSome(belfry.RevisionUnarchived))
	registerMark(a, api, "archiveAll", "/v1/users/{uid}/archive-all", "Put all messages of a user away", a.markAll(belfry.RevisionArchived))
	registerMark(a, api, "markSeen", "/v1/users/{uid}/seen", "Mark what a user has seen, up to a message",
		func(ctx context.Context, who belfry.Identity, b *markLast) (*countsOutput, error) {
			return a.markSeen(ctx, who, b.Last)
		})
	a.registerUserPreferences(api)
}

// An InboxInput pages through an inbox and says which messages are of interest.
type InboxInput struct {
	ListInput
	TypeID   int    `query:"typeID" minimum:"1" maximum:"2147483647"`
	Category string `query:"category" minLength:"1" maxLength:"128"`
	Unread   bool   `query:"unread" doc:"Unread ones only"`
	Archived bool   `query:"archived" doc:"The archived ones instead of the others"`
}

// MarkedIDs names messages.
type MarkedIDs struct {
	IDs []string `json:"ids" nullable:"false" minItems:"1" maxItems:"1000" pattern:"^[0-9a-fA-F]{24}$" doc:"messageIDs; those of others are ignored"`
}

// MarkedType names all messages of a type.
type MarkedType struct {
	TypeID int `json:"typeID,omitempty" minimum:"1" maximum:"2147483647" doc:"Those of this type only"`
}

// MarkedLast names a message.
type MarkedLast struct {
	Last string `json:"last" pattern:"^[0-9a-fA-F]{24}$" doc:"The messageID of the newest one that was shown"`
}

// The bodies with which a backend marks; all name the company.
type (
	markSome struct {
		CompanyID restID `json:"companyID"`
		MarkedIDs
	}
	markAll struct {
		CompanyID restID `json:"companyID"`
		MarkedType
	}
	markLast struct {
		CompanyID restID `json:"companyID"`
		MarkedLast
	}
)

func (b *markSome) company() string { return string(b.CompanyID) }
func (b *markAll) company() string  { return string(b.CompanyID) }
func (b *markLast) company() string { return string(b.CompanyID) }

// registerMark registers an operation on the inbox of the user that the path
// names, in the company that the body names.
func registerMark[B any, P interface {
	*B
	company() string
}](a *rest, api huma.API, id, path, summary string, mark func(context.Context, belfry.Identity, *B) (*countsOutput, error)) {
	handle(a, api, operation(id, "POST", path, "users", summary), func(ctx context.Context, in *struct {
		UserInput
		Body B
	}) (*countsOutput, error) {
		who, err := belfry.NewIdentity(in.UID, P(&in.Body).company())
		if err != nil {
			return nil, err
		}
		return mark(ctx, who, &in.Body)
	})
}

func (a *rest) markSome(kind belfry.RevisionKind) func(context.Context, belfry.Identity, *markSome) (*countsOutput, error) {
	return func(ctx context.Context, who belfry.Identity, b *markSome) (*countsOutput, error) {
		return a.markIDs(ctx, who, kind, b.MarkedIDs)
	}
}

func (a *rest) markAll(kind belfry.RevisionKind) func(context.Context, belfry.Identity, *markAll) (*countsOutput, error) {
	return func(ctx context.Context, who belfry.Identity, b *markAll) (*countsOutput, error) {
		return a.markType(ctx, who, kind, b.MarkedType)
	}
}

func (a *rest) inbox(ctx context.Context, who belfry.Identity, in InboxInput) (*listOutput[restMessage], error) {
	messages, err := a.service.Inbox(ctx, who, belfry.InboxQuery{
		Before: in.before, Type: belfry.MessageType(in.TypeID), Category: in.Category,
		Unread: in.Unread, Archived: in.Archived, Limit: in.Limit,
	})
	if err != nil {
		return nil, err
	}
	return newListOutput(in.ListInput, messages, func(m *belfry.Message) belfry.ID { return m.ID }, newRestMessage), nil
}

func (a *rest) markIDs(ctx context.Context, who belfry.Identity, kind belfry.RevisionKind, marked MarkedIDs) (*countsOutput, error) {
	ids, err := messageIDs(marked.IDs)
	if err != nil {
		return nil, err
	}
	return newCountsOutput(a.service.Mark(ctx, who, belfry.Mark{Kind: kind, IDs: ids}))
}

func (a *rest) markType(ctx context.Context, who belfry.Identity, kind belfry.RevisionKind, marked MarkedType) (*countsOutput, error) {
	return newCountsOutput(a.service.Mark(ctx, who, belfry.Mark{Kind: kind, Type: belfry.MessageType(marked.TypeID)}))
}

func (a *rest) markSeen(ctx context.Context, who belfry.Identity, last string) (*countsOutput, error) {
	id, err := belfry.ParseObjectID(last)
	if err != nil {
		return nil, err
	}
	return newCountsOutput(a.service.MarkSeen(ctx, who, id))
}
