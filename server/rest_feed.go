package server

import (
	"context"
	"time"

	"belfry"
)

// The feed of a company and the history of an object, for backends and pages.

// A restActivity is an activity as REST shows it.
type restActivity struct {
	ActivityID string            `json:"activityID"`
	OperatorID string            `json:"operatorID"`
	Operator   string            `json:"operator"`
	CompanyID  string            `json:"companyID"`
	Receiver   string            `json:"receiver"`
	Portrait   string            `json:"portrait"`
	Title      string            `json:"title"`
	Content    string            `json:"content"`
	URL        string            `json:"url"`
	Date       time.Time         `json:"date"`
	ObjectType int               `json:"objectType"`
	ObjectID   string            `json:"objectID"`
	Changes    []restChange      `json:"changes,omitempty" nullable:"false"`
	Extra      map[string]string `json:"extra,omitempty"`
	Group      *restGroup        `json:"group,omitempty" doc:"If group=true and the operator did more to the object within minutes: then the item is the newest of them"`
}

// A restGroup is the activities that an item stands for.
type restGroup struct {
	Count       int       `json:"count" doc:"How many there are, the item itself included"`
	Since       time.Time `json:"since" doc:"When the oldest was recorded"`
	ActivityIDs []string  `json:"activityIDs" nullable:"false" doc:"Newest first"`
}

func newRestActivity(a belfry.Activity) restActivity {
	out := restActivity{
		ActivityID: a.ID.String(), OperatorID: a.OperatorID, Operator: a.Operator, CompanyID: string(a.Company),
		Receiver: a.Receiver, Portrait: a.Portrait, Title: a.Title, Content: a.Content, URL: a.URL, Date: a.Date.UTC(),
		ObjectType: int(a.ObjectType), ObjectID: a.ObjectID, Extra: a.Extra,
	}
	for _, c := range a.Changes {
		out.Changes = append(out.Changes, restChange(c))
	}
	return out
}

func newRestGroup(g belfry.Group) restActivity {
	out := newRestActivity(g[0])
	if len(g) == 1 {
		return out
	}
	out.Group = &restGroup{Count: len(g), Since: g[len(g)-1].ID.Time().UTC()}
	for i := range g {
		out.Group.ActivityIDs = append(out.Group.ActivityIDs, g[i].ID.String())
	}
	return out
}

// A FeedInput pages through a feed and says which activities are of interest.
type FeedInput struct {
	ListInput
	OperatorID string    `query:"operatorID" minLength:"1" maxLength:"128"`
	ObjectType int       `query:"objectType" minimum:"1" maximum:"2147483647"`
	ObjectID   string    `query:"objectID" minLength:"1" maxLength:"128" doc:"With objectType: the history of that object"`
	From       time.Time `query:"from" doc:"Recorded then or later"`
	Until      time.Time `query:"until" doc:"Recorded before"`
	Group      bool      `query:"group" doc:"Make one item of what an operator did to an object within minutes. limit counts items; they never go on from one page to the next"`
}

func (a *rest) feed(ctx context.Context, company belfry.CompanyID, in FeedInput) (*listOutput[restActivity], error) {
	q := belfry.FeedQuery{
		Before: in.before, OperatorID: in.OperatorID, ObjectType: belfry.ObjectType(in.ObjectType), ObjectID: in.ObjectID,
		From: wholeSeconds(in.From), Until: wholeSeconds(in.Until), Limit: in.Limit,
	}
	if in.Group {
		groups, next, err := a.service.Groups(ctx, company, q)
		if err != nil {
			return nil, err
		}
		list := restList[restActivity]{Items: make([]restActivity, len(groups))}
		for i, g := range groups {
			list.Items[i] = newRestGroup(g)
		}
		if !next.IsZero() {
			list.Next = cursorAfter(next)
		}
		return &listOutput[restActivity]{list}, nil
	}
	activities, err := a.service.Feed(ctx, company, q)
	if err != nil {
		return nil, err
	}
	return newListOutput(in.ListInput, activities, func(a *belfry.Activity) belfry.ID { return a.ID }, newRestActivity), nil
}

// wholeSeconds rounds up: what is recorded says its second only, and that is not
// before a part of it.
func wholeSeconds(t time.Time) time.Time {
	if whole := t.Truncate(time.Second); whole.Before(t) {
		return whole.Add(time.Second)
	}
	return t
}
