package server

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"belfry"
)

// The operations of backends.

func operation(id, method, path, tag, summary string) huma.Operation {
	return huma.Operation{OperationID: id, Method: method, Path: path, Tags: []string{tag}, Summary: summary}
}

func created(op huma.Operation) huma.Operation {
	op.DefaultStatus = http.StatusCreated
	return op
}

func (a *rest) registerPushes(api huma.API) {
	handle(a, api, created(operation("pushMessage", "POST", "/v1/messages", "push", "Send a message to users")), a.pushMessage)
	handle(a, api, created(operation("pushActivity", "POST", "/v1/activities", "push", "Record an activity of a company")), a.pushActivity)
	handle(a, api, created(operation("signToken", "POST", "/v1/tokens", "tokens", "Sign a login token for a page")), a.signToken)
}

type sentMessage struct {
	MessageID  string `json:"messageID"`
	ReceiverID string `json:"receiverID"`
}

type messageReceipt struct {
	Messages []sentMessage `json:"messages" nullable:"false" doc:"One for each receiver, in the order given"`
	Pages    int           `json:"pages" doc:"How many open pages it was sent to, all receivers together"`
	Stored   bool          `json:"stored"`
}

func (a *rest) pushMessage(ctx context.Context, in *struct{ Body messageDraft }) (*struct{ Body messageReceipt }, error) {
	d := &in.Body
	receivers := make([]belfry.UserID, len(d.Receivers))
	for i, uid := range d.Receivers {
		receivers[i] = belfry.UserID(uid)
	}
	receipt, err := a.service.PushMessage(ctx, belfry.Message{
		Company: belfry.CompanyID(d.CompanyID), SenderID: string(d.SenderID), Sender: d.Sender, Portrait: d.Portrait,
		Title: d.Title, Content: d.Content, URL: d.URL, Date: d.Date, Type: belfry.MessageType(d.TypeID), Extra: d.Extra,
	}, receivers, belfry.PushOptions{Transient: d.Transient})
	if err != nil {
		return nil, err
	}
	out := &struct{ Body messageReceipt }{messageReceipt{
		Messages: make([]sentMessage, len(receipt.IDs)), Pages: receipt.Pages, Stored: receipt.Stored,
	}}
	for i, uid := range receipt.Receivers {
		out.Body.Messages[i] = sentMessage{receipt.IDs[i].String(), string(uid)}
	}
	return out, nil
}

type activityReceipt struct {
	ActivityID string `json:"activityID"`
	Pages      int    `json:"pages" doc:"How many open pages it was sent to"`
	Stored     bool   `json:"stored"`
}

func (a *rest) pushActivity(ctx context.Context, in *struct{ Body activityDraft }) (*struct{ Body activityReceipt }, error) {
	d := &in.Body
	receipt, err := a.service.PushActivity(ctx, belfry.Activity{
		Company: belfry.CompanyID(d.CompanyID), OperatorID: string(d.OperatorID), Operator: d.Operator, Receiver: d.Receiver,
		Portrait: d.Portrait, Title: d.Title, Content: d.Content, URL: d.URL, Date: d.Date,
		ObjectType: belfry.ObjectType(d.ObjectType), ObjectID: string(d.ObjectID), Extra: d.Extra,
	}, belfry.PushOptions{Transient: d.Transient})
	if err != nil {
		return nil, err
	}
	return &struct{ Body activityReceipt }{activityReceipt{receipt.IDs[0].String(), receipt.Pages, receipt.Stored}}, nil
}

type tokenRequest struct {
	UID       restID `json:"uid"`
	CompanyID restID `json:"companyID"`
	TTL       int64  `json:"ttl,omitempty" minimum:"1" maximum:"2592000" default:"86400" doc:"Seconds that it is valid"`
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
	token, err := a.tokens.Sign(who, ttl)
	if err != nil {
		return nil, err
	}
	return &struct{ Body signedToken }{signedToken{token, expires}}, nil
}

func (a *rest) registerUsers(api huma.API) {
	handle(a, api, operation("listMessages", "GET", "/v1/users/{uid}/messages", "users", "The inbox of a user, newest first"),
		func(ctx context.Context, in *struct {
			UserInput
			CompanyInput
			ListInput
		}) (*listOutput[restMessage], error) {
			who, err := belfry.NewIdentity(in.UID, in.CompanyID)
			if err != nil {
				return nil, err
			}
			return a.inbox(ctx, who, in.ListInput)
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
	registerMark(a, api, "markRead", "/v1/users/{uid}/read", "Mark messages of a user read, or all if no ids are given",
		func(ctx context.Context, who belfry.Identity, b *markSome) (*countsOutput, error) {
			return a.markRead(ctx, who, b.IDs)
		})
	registerMark(a, api, "markAllRead", "/v1/users/{uid}/read-all", "Mark all messages of a user read",
		func(ctx context.Context, who belfry.Identity, _ *markAll) (*countsOutput, error) {
			return newCountsOutput(a.service.MarkRead(ctx, who, nil))
		})
	registerMark(a, api, "markSeen", "/v1/users/{uid}/seen", "Mark what a user has seen, up to a message",
		func(ctx context.Context, who belfry.Identity, b *markLast) (*countsOutput, error) {
			return a.markSeen(ctx, who, b.Last)
		})
	handle(a, api, operation("listActivities", "GET", "/v1/companies/{companyID}/activities", "companies", "The feed of a company, newest first"),
		func(ctx context.Context, in *struct {
			CompanyPath
			ListInput
		}) (*listOutput[restActivity], error) {
			company, err := belfry.ParseID("companyID", in.CompanyID)
			if err != nil {
				return nil, err
			}
			return a.feed(ctx, belfry.CompanyID(company), in.ListInput)
		})
	handle(a, api, operation("getOnline", "GET", "/v1/companies/{companyID}/online", "companies", "Who is online in a company"),
		func(ctx context.Context, in *CompanyPath) (*onlineOutput, error) {
			company, err := belfry.ParseID("companyID", in.CompanyID)
			if err != nil {
				return nil, err
			}
			return newOnlineOutput(a.service.Online(ctx, belfry.CompanyID(company)))
		})
}

// The parts of inputs are exported because the library reads no others.

// A UserInput names a user in the path.
type UserInput struct {
	UID string `path:"uid" minLength:"1" maxLength:"128"`
}

// A CompanyInput names a company in the query.
type CompanyInput struct {
	CompanyID string `query:"companyID" required:"true" minLength:"1" maxLength:"128"`
}

// A CompanyPath names a company in the path.
type CompanyPath struct {
	CompanyID string `path:"companyID" minLength:"1" maxLength:"128"`
}

// The bodies with which a backend marks; all name the company.
type (
	markSome struct {
		CompanyID restID   `json:"companyID"`
		IDs       []string `json:"ids,omitempty" nullable:"false" minItems:"1" maxItems:"1000" pattern:"^[0-9a-fA-F]{24}$" doc:"messageIDs; those of others are ignored"`
	}
	markAll struct {
		CompanyID restID `json:"companyID"`
	}
	markLast struct {
		CompanyID restID `json:"companyID"`
		Last      string `json:"last" pattern:"^[0-9a-fA-F]{24}$" doc:"The messageID of the newest one that was shown"`
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
