package server

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"belfry"
)

// The operations that record activities, for backends.

func (a *rest) registerActivities(api huma.API) {
	handle(a, api, created(repeatable(operation("pushActivity", "POST", "/v1/activities", "activities", "Record an activity of a company, and notify users of it"))), a.pushActivity)
	handle(a, api, batched(operation("pushActivities", "POST", "/v1/activities/batch", "activities", "Record up to 1,000 activities")), a.pushActivities(api))
}

// An activityDraft is an activity to record.
type activityDraft struct {
	CompanyID   restID            `json:"companyID" doc:"Whose pages show it"`
	OperatorID  restID            `json:"operatorID,omitempty"`
	Operator    string            `json:"operator,omitempty" maxLength:"256"`
	Receiver    string            `json:"receiver,omitempty" maxLength:"256" doc:"Whom it concerns, as the application writes it"`
	Portrait    string            `json:"portrait,omitempty" maxLength:"2048"`
	Title       string            `json:"title,omitempty" maxLength:"1024" doc:"Title or content must be there"`
	Content     string            `json:"content,omitempty" maxLength:"65536"`
	URL         string            `json:"url,omitempty" maxLength:"2048"`
	Date        time.Time         `json:"date,omitzero" doc:"RFC 3339; now if missing"`
	ObjectType  int               `json:"objectType,omitempty" minimum:"0" maximum:"2147483647" doc:"1 project, 2 team, 3 user, 4 task, 5 document, or another number"`
	ObjectID    restID            `json:"objectID,omitempty"`
	Changes     []restChange      `json:"changes,omitempty" maxItems:"50" nullable:"false" doc:"The fields of the object that have changed, 16 KiB in all"`
	Extra       map[string]string `json:"extra,omitempty" doc:"Up to 32 fields of the application's own, 4 KiB in all"`
	Notify      []restID          `json:"notify,omitempty" maxItems:"10000" nullable:"false" doc:"Users who get a message made from it, with typeID 3 and the activity's ids in data"`
	Category    string            `json:"category,omitempty" maxLength:"128" doc:"Of these messages"`
	CollapseKey string            `json:"collapseKey,omitempty" maxLength:"128" doc:"Of these messages"`
	Transient   bool              `json:"transient,omitempty" doc:"Do not store it: only pages that are open get it"`

	broken map[string]bool
}

// A restChange is one field of an object before and after an activity.
type restChange struct {
	Field  string          `json:"field" minLength:"1" maxLength:"256"`
	Before json.RawMessage `json:"before,omitempty" doc:"Missing if there was none"`
	After  json.RawMessage `json:"after,omitempty" doc:"Missing if there is none"`
}

// UnmarshalJSON implements [json.Unmarshaler].
func (d *activityDraft) UnmarshalJSON(b []byte) (err error) {
	type plain activityDraft
	d.broken, err = readObject(b, (*plain)(d))
	return err
}

// Resolve implements [huma.ResolverWithPath].
func (d *activityDraft) Resolve(_ huma.Context, at *huma.PathBuffer) []error {
	c := checker{at: at, broken: d.broken}
	c.id("companyID", d.CompanyID)
	c.id("operatorID", d.OperatorID)
	c.text("operator", d.Operator, belfry.MaxNameBytes)
	c.text("receiver", d.Receiver, belfry.MaxNameBytes)
	c.text("portrait", d.Portrait, belfry.MaxURLBytes)
	c.text("title", d.Title, belfry.MaxTitleBytes)
	c.text("content", d.Content, belfry.MaxContentBytes)
	c.text("url", d.URL, belfry.MaxURLBytes)
	c.saysSomething(d.Title, d.Content)
	c.id("objectID", d.ObjectID)
	c.extra(d.Extra)
	c.ids("notify", d.Notify)
	c.id("category", restID(d.Category))
	c.id("collapseKey", restID(d.CollapseKey))
	if len(d.Notify) == 0 && !c.broken["notify"] {
		if d.Category != "" {
			c.wrong("category", "goes with notify only")
		}
		if d.CollapseKey != "" {
			c.wrong("collapseKey", "goes with notify only")
		}
	}
	return c.errs
}

// push is what the draft asks of the rules.
func (d *activityDraft) push() belfry.ActivityPush {
	activity := belfry.Activity{
		Company: belfry.CompanyID(d.CompanyID), OperatorID: string(d.OperatorID), Operator: d.Operator, Receiver: d.Receiver,
		Portrait: d.Portrait, Title: d.Title, Content: d.Content, URL: d.URL, Date: d.Date,
		ObjectType: belfry.ObjectType(d.ObjectType), ObjectID: string(d.ObjectID), Extra: d.Extra,
	}
	for _, c := range d.Changes {
		activity.Changes = append(activity.Changes, belfry.FieldChange(c))
	}
	return belfry.ActivityPush{
		Activity: activity, Notify: userIDs(d.Notify), Category: d.Category, CollapseKey: d.CollapseKey, Transient: d.Transient,
	}
}

type activityReceipt struct {
	ActivityID string          `json:"activityID"`
	Pages      int             `json:"pages" doc:"How many open pages it was sent to"`
	Stored     bool            `json:"stored"`
	Notified   *messageReceipt `json:"notified,omitempty" doc:"The messages to whom it notifies"`
}

func newActivityReceipt(r belfry.Receipt) activityReceipt {
	receipt := activityReceipt{ActivityID: r.IDs[0].String(), Pages: r.Pages, Stored: r.Stored}
	if r.Notified != nil {
		_, notified := newMessageReceipt(*r.Notified, time.Time{})
		receipt.Notified = &notified
	}
	return receipt
}

func (a *rest) pushActivity(ctx context.Context, in *struct {
	KeyInput
	Body activityDraft
}) (*struct{ Body activityReceipt }, error) {
	receipt, err := a.service.PushActivity(ctx, in.Body.push(), in.request(ctx))
	if err != nil {
		return nil, err
	}
	return &struct{ Body activityReceipt }{newActivityReceipt(receipt)}, nil
}

func (a *rest) pushActivities(api huma.API) func(context.Context, *batchInput[activityDraft]) (*batchOutput[activityReceipt], error) {
	read := itemReader[activityDraft](api)
	return func(ctx context.Context, in *batchInput[activityDraft]) (*batchOutput[activityReceipt], error) {
		b := readBatch(in, read)
		pushes, receivers := make([]belfry.ActivityPush, len(b.drafts)), 0
		for i, d := range b.drafts {
			pushes[i] = d.push()
			receivers += len(d.Notify)
		}
		if err := checkBatchReceivers(receivers); err != nil {
			return nil, err
		}
		results, err := a.service.PushActivities(ctx, pushes, in.request(ctx))
		if err != nil {
			return nil, err
		}
		return answerBatch(b, results, func(_ *activityDraft, r belfry.Receipt) (int, activityReceipt) {
			return http.StatusCreated, newActivityReceipt(r)
		}), nil
	}
}
