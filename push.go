package belfry

import (
	"context"
	"encoding/json"
	"time"
)

// MaxPushes bounds the pushes of one call.
const MaxPushes = 1000

// A Push is a message on its way to its receivers.
type Push struct {
	// Message is what to send. Its ID, Receiver, IsRead, IsArchived and Forced are ignored; a
	// zero Date means now and a zero Type [SystemNotice].
	Message Message
	// Receivers each get a message of their own; who is named twice counts once.
	// Without receivers it must be a Notice.
	Receivers []UserID
	// Notice makes it one message for all members of Message.Company, or for
	// everybody where that is empty.
	Notice bool
	// Transient messages are not stored: pages that are open get them, nobody
	// else ever does.
	Transient bool
	// DeliverAt, where set and ahead, is when to send it.
	DeliverAt time.Time
}

// A Receipt tells the truth about a push.
type Receipt struct {
	IDs []ID `json:"ids,omitempty"` // one for each receiver, or that of the notice or the activity
	// Receivers are those of the messages, in the order given, without
	// repetitions; none of a notice or an activity.
	Receivers []UserID `json:"receivers,omitempty"`
	// Off are the receivers whose preferences keep the message out of their
	// inbox: they have got nothing.
	Off    []UserID `json:"off,omitempty"`
	Stored bool     `json:"stored,omitempty"`
	Pages  int      `json:"pages,omitempty"` // how many pages it was queued for, all receivers together
	// Scheduled names the push while it waits for its time.
	Scheduled ID `json:"scheduled,omitzero"`
	// Notified is the receipt of the messages that an activity was made into.
	Notified *Receipt `json:"notified,omitempty"`
}

// A Result is the answer to one push of several: a receipt, or why it was refused.
type Result struct {
	Receipt Receipt `json:"receipt"`
	Refused *Error  `json:"refused,omitempty"`
}

// PushMessage sends a message: it checks it, stores one for
// each receiver (all or none), and publishes them.
//
// It fails with [ErrInvalid] naming the fields that are wrong, or as the Store
// does; then nothing was stored or sent. Once stored, it goes on even if ctx ends.
// If the broker fails, the receipt says so by its Pages, and the
// message waits for the receiver's next login.
//
// With a key, the same call made again returns the same receipt and sends nothing; another call
// with the same key fails with [ErrConflict].
func (s *Service) PushMessage(ctx context.Context, push Push, key *RequestKey) (Receipt, error) {
	return one(s.PushMessages(ctx, []Push{push}, key))
}

// PushMessages sends several messages, in their order. Those that are refused do not hinder the others,
// which are stored in one transaction. It fails only if nothing was stored or sent.
func (s *Service) PushMessages(ctx context.Context, pushes []Push, key *RequestKey) ([]Result, error) {
	receivers := 0
	for i := range pushes {
		receivers += len(pushes[i].Receivers)
	}
	if err := s.checkSize(len(pushes), receivers); err != nil {
		return nil, err
	}
	return once(ctx, s, key, func(keep func([]Result) *Request) ([]Result, error) {
		parcels := make([]*parcel, len(pushes))
		for i := range pushes {
			parcels[i] = s.messageParcel(ctx, pushes[i])
		}
		return s.send(ctx, parcels, nil, keep)
	})
}

// checkSize bounds what one transaction takes: all pushes of a call have twice the receivers that one may.
func (s *Service) checkSize(pushes, receivers int) error {
	switch {
	case pushes > MaxPushes:
		return Errorf(ErrInvalid, "there are %d items; at most %d are allowed", pushes, MaxPushes)
	case pushes > 1 && receivers > 2*s.maxReceivers:
		return Errorf(ErrInvalid, "the items name %d receivers; at most %d are allowed", receivers, 2*s.maxReceivers)
	}
	return nil
}

// one is the answer to a call that pushes one thing.
func one(results []Result, err error) (Receipt, error) {
	switch {
	case err != nil:
		return Receipt{}, err
	case results[0].Refused != nil:
		return Receipt{}, results[0].Refused
	}
	return results[0].Receipt, nil
}

// messageParcel checks a push.
func (s *Service) messageParcel(ctx context.Context, push Push) *parcel {
	p := &parcel{transient: push.Transient, notice: push.Notice}
	m, err := s.checkMessage(push.Message)
	var err2 error
	switch {
	case !push.Notice:
		p.receivers, err2 = s.checkReceivers("receiverID", push.Receivers)
	case len(push.Receivers) > 0:
		err2 = invalidField("receiverID", "does not go with a notice")
	}
	if push.DeliverAt.After(s.now()) {
		p.due = push.DeliverAt.Truncate(time.Millisecond)
	}
	if p.err = allInvalid(err, err2, checkDue(p, m.Expires)); p.err != nil {
		return p
	}
	p.message = &m
	switch {
	case p.due.IsZero():
		p.err = s.choose(ctx, p) // of a scheduled push, when its time has come
	case push.Message.Date.IsZero():
		m.Date = p.due.Truncate(time.Second)
	}
	return p
}

func checkDue(p *parcel, expires time.Time) error {
	switch {
	case p.due.IsZero():
		return nil
	case p.transient:
		return invalidField("deliverAt", "does not go with a message that is not stored")
	case !expires.IsZero() && !p.due.Before(expires):
		return invalidField("deliverAt", "is not before expiresAt")
	case p.due.UTC().Year() > 9998:
		return invalidField("deliverAt", "is out of range")
	}
	return nil
}

// PublishText sends a bare text, as web-msg-sender's callers do: to one user, or to
// every page that is logged in if to is empty, which is never stored. It
// fails as [Service.PushMessage] does.
func (s *Service) PublishText(ctx context.Context, to UserID, content string, store bool) (Receipt, error) {
	push := Push{Message: Message{Content: content, Bare: true}, Transient: !store}
	if push.Receivers = []UserID{to}; to == "" {
		push.Receivers, push.Notice, push.Transient = nil, true, true
	}
	return s.PushMessage(ctx, push, nil)
}

// An ActivityPush is an activity to record, and whom to notify of it.
type ActivityPush struct {
	// Activity is what to record. Its ID is ignored; a zero Date means now.
	Activity Activity
	// Notify lists users who get a message made from the activity, of the type
	// [OperationNotice], in the activity's company. Its Data says activityID, objectType and objectID.
	Notify []UserID
	// Category and CollapseKey are those of these messages.
	Category, CollapseKey string
	// Transient activities are shown to the pages that are open and not stored.
	Transient bool
}

// PushActivity checks, stores and publishes an activity to every page of its
// company, and the messages to whom it notifies, in one transaction. It fails as
// [Service.PushMessage] does.
func (s *Service) PushActivity(ctx context.Context, push ActivityPush, key *RequestKey) (Receipt, error) {
	return one(s.PushActivities(ctx, []ActivityPush{push}, key))
}

// PushActivities records several activities, as [Service.PushMessages] sends
// several messages.
func (s *Service) PushActivities(ctx context.Context, pushes []ActivityPush, key *RequestKey) ([]Result, error) {
	receivers := 0
	for i := range pushes {
		receivers += len(pushes[i].Notify)
	}
	if err := s.checkSize(len(pushes), receivers); err != nil {
		return nil, err
	}
	return once(ctx, s, key, func(keep func([]Result) *Request) ([]Result, error) {
		parcels := make([]*parcel, len(pushes))
		for i := range pushes {
			parcels[i] = s.activityParcel(ctx, pushes[i])
		}
		return s.send(ctx, parcels, nil, keep)
	})
}

func (s *Service) activityParcel(ctx context.Context, push ActivityPush) *parcel {
	p := &parcel{transient: push.Transient}
	a, err := s.checkActivity(push.Activity)
	if p.err = err; err != nil {
		return p
	}
	p.activity = &a
	if len(push.Notify) == 0 {
		return p
	}
	m, err := s.checkMessage(Message{
		Company: a.Company, SenderID: a.OperatorID, Sender: a.Operator, Portrait: a.Portrait,
		Title: a.Title, Content: a.Content, URL: a.URL, Date: a.Date, Type: OperationNotice, Extra: a.Extra,
		Category: push.Category, CollapseKey: push.CollapseKey,
	})
	var err2 error
	p.receivers, err2 = s.checkReceivers("notify", push.Notify)
	if p.err = allInvalid(err, err2); p.err != nil {
		return p
	}
	p.message = &m
	p.err = s.choose(ctx, p)
	return p
}

// activityData is the Data of a message that tells of an activity.
func activityData(a *Activity) json.RawMessage {
	data, err := json.Marshal(struct {
		ActivityID ID         `json:"activityID"`
		ObjectType ObjectType `json:"objectType"`
		ObjectID   string     `json:"objectID"`
	}{a.ID, a.ObjectType, a.ObjectID})
	if err != nil {
		panic(err) // strings and numbers
	}
	return data
}
