package server

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"belfry"
)

// The operations on messages, for backends.

func (a *rest) registerMessages(api huma.API) {
	handle(a, api, created(repeatable(operation("pushMessage", "POST", "/v1/messages", "messages", "Send a message to users, to a company or to everybody"))), a.pushMessage)
	alsoAnswers(api, "/v1/messages", http.StatusAccepted)
	handle(a, api, batched(operation("pushMessages", "POST", "/v1/messages/batch", "messages", "Send up to 1,000 messages")), a.pushMessages(api))
	handle(a, api, operation("getMessage", "GET", "/v1/messages/{id}", "messages", "A message as its receiver has it; a notice is unread"), a.getMessage)
	handle(a, api, operation("editMessage", "PATCH", "/v1/messages/{id}", "messages", "Change a message wherever it is, open pages included"), a.editMessage)
	handle(a, api, operation("withdrawMessage", "DELETE", "/v1/messages/{id}", "messages", "Take a message back everywhere, or cancel one that is scheduled"), a.withdrawMessage)
	handle(a, api, operation("explainMessage", "GET", "/v1/messages/{id}/explain", "messages", "What became of a message for one user, and why"), a.explainMessage)
	handle(a, api, operation("getScheduled", "GET", "/v1/scheduled/{id}", "messages", "A message that waits for its time"), a.getScheduled)
}

// alsoAnswers documents another status with the answer of a POST.
func alsoAnswers(api huma.API, path string, status int) {
	responses := api.OpenAPI().Paths[path].Post.Responses
	responses[strconv.Itoa(status)] = &huma.Response{
		Description: http.StatusText(status), Content: responses[strconv.Itoa(http.StatusCreated)].Content,
	}
}

// The audiences of a notice.
const (
	audienceCompany   = "company"
	audienceEverybody = "everybody"
)

// A messageDraft is a message to push.
type messageDraft struct {
	Receivers    []restID          `json:"receivers,omitempty" minItems:"1" maxItems:"10000" nullable:"false" doc:"Who gets it, each a message of their own; who is named twice gets one. Either this or audience"`
	Audience     string            `json:"audience,omitempty" enum:"company,everybody" doc:"Sends one notice to all users of companyID, or to everybody. Either this or receivers"`
	CompanyID    restID            `json:"companyID,omitempty" doc:"If set, only pages in this company show it"`
	SenderID     restID            `json:"senderID,omitempty"`
	Sender       string            `json:"sender,omitempty" maxLength:"256"`
	Portrait     string            `json:"portrait,omitempty" maxLength:"2048"`
	Title        string            `json:"title,omitempty" maxLength:"1024" doc:"Title or content must be there"`
	Content      string            `json:"content,omitempty" maxLength:"65536"`
	URL          string            `json:"url,omitempty" maxLength:"2048"`
	Date         time.Time         `json:"date,omitzero" doc:"RFC 3339; now if missing"`
	TypeID       int               `json:"typeID,omitempty" minimum:"1" maximum:"2147483647" default:"1" doc:"1 system notice, 2 administrator notice, 3 operation notice, or another number"`
	Category     string            `json:"category,omitempty" maxLength:"128" doc:"A word of the application's own, by which users may turn messages off"`
	CollapseKey  string            `json:"collapseKey,omitempty" maxLength:"128" doc:"Replaces the messages with the same key, receiver and company that are still unread"`
	ExpiresAt    time.Time         `json:"expiresAt,omitzero" doc:"When it is taken back everywhere; never if missing"`
	DeliverAt    time.Time         `json:"deliverAt,omitzero" doc:"When to send it; now if missing or over"`
	Data         restObject        `json:"data,omitempty" doc:"Of the application's own, 4 KiB at most"`
	IncludeLater *bool             `json:"includeLater,omitempty" doc:"Of a notice: whether who joins later sees it, too; true if missing"`
	Extra        map[string]string `json:"extra,omitempty" doc:"Up to 32 fields of the application's own, 4 KiB in all"`
	Transient    bool              `json:"transient,omitempty" doc:"Do not store it: only pages that are open get it"`

	broken map[string]bool
}

// UnmarshalJSON implements [json.Unmarshaler].
func (d *messageDraft) UnmarshalJSON(b []byte) (err error) {
	type plain messageDraft
	d.broken, err = readObject(b, (*plain)(d))
	return err
}

// Resolve implements [huma.ResolverWithPath].
func (d *messageDraft) Resolve(_ huma.Context, at *huma.PathBuffer) []error {
	c := checker{at: at, broken: d.broken}
	d.checkAddress(&c)
	c.id("senderID", d.SenderID)
	c.text("sender", d.Sender, belfry.MaxNameBytes)
	c.text("portrait", d.Portrait, belfry.MaxURLBytes)
	c.text("title", d.Title, belfry.MaxTitleBytes)
	c.text("content", d.Content, belfry.MaxContentBytes)
	c.text("url", d.URL, belfry.MaxURLBytes)
	c.saysSomething(d.Title, d.Content)
	c.id("category", restID(d.Category))
	c.id("collapseKey", restID(d.CollapseKey))
	c.expires(d.ExpiresAt)
	c.data(d.Data)
	c.extra(d.Extra)
	return c.errs
}

// checkAddress checks the fields that say who gets the message.
func (d *messageDraft) checkAddress(c *checker) {
	switch {
	case c.broken["receivers"] || c.broken["audience"]:
	case len(d.Receivers) == 0 && d.Audience == "":
		c.wrong("receivers", "receivers or audience is needed")
	case len(d.Receivers) > 0 && d.Audience != "":
		c.wrong("audience", "does not go with receivers")
	case d.Audience == audienceCompany && d.CompanyID == "":
		c.wrong("companyID", "is needed for the audience company")
	case d.Audience == audienceEverybody && d.CompanyID != "":
		c.wrong("companyID", "does not go with the audience everybody")
	case d.Audience == "" && d.IncludeLater != nil:
		c.wrong("includeLater", "goes with an audience only")
	}
	c.ids("receivers", d.Receivers)
	c.id("companyID", d.CompanyID)
}

// push is what the draft asks of the rules.
func (d *messageDraft) push() belfry.Push {
	push := belfry.Push{
		Message: belfry.Message{
			Company: belfry.CompanyID(d.CompanyID), SenderID: string(d.SenderID), Sender: d.Sender, Portrait: d.Portrait,
			Title: d.Title, Content: d.Content, URL: d.URL, Date: d.Date, Type: belfry.MessageType(d.TypeID),
			Category: d.Category, CollapseKey: d.CollapseKey, Expires: d.ExpiresAt,
			Data: json.RawMessage(d.Data), Extra: d.Extra,
		},
		Notice:    d.Audience != "",
		Transient: d.Transient,
		DeliverAt: d.DeliverAt,
	}
	if push.Notice {
		push.Message.Later = d.IncludeLater == nil || *d.IncludeLater
		return push
	}
	push.Receivers = userIDs(d.Receivers)
	return push
}

type sentMessage struct {
	MessageID  string `json:"messageID"`
	ReceiverID string `json:"receiverID,omitempty" doc:"Missing of a notice"`
}

// A messageReceipt answers every push of a message, scheduled ones included.
type messageReceipt struct {
	Messages    []sentMessage `json:"messages" nullable:"false" doc:"One for each receiver, in the order given, or one notice; none yet if it is scheduled"`
	Off         []string      `json:"off,omitempty" nullable:"false" doc:"Receivers whose preferences keep it out of their inbox: they get nothing"`
	Pages       int           `json:"pages" doc:"How many open pages it was sent to, all receivers together"`
	Stored      bool          `json:"stored"`
	ScheduledID string        `json:"scheduledID,omitempty" doc:"Names it while it waits for its time; DELETE /v1/messages/{id} cancels it"`
	DeliverAt   time.Time     `json:"deliverAt,omitzero" doc:"When it will be sent"`
}

// newMessageReceipt returns the answer to a push and its status.
func newMessageReceipt(r belfry.Receipt, deliverAt time.Time) (int, messageReceipt) {
	receipt := messageReceipt{Messages: make([]sentMessage, len(r.IDs)), Pages: r.Pages, Stored: r.Stored}
	for i, id := range r.IDs {
		receipt.Messages[i].MessageID = id.String()
		if len(r.Receivers) > 0 {
			receipt.Messages[i].ReceiverID = string(r.Receivers[i])
		}
	}
	for _, uid := range r.Off {
		receipt.Off = append(receipt.Off, string(uid))
	}
	if r.Scheduled.IsZero() {
		return http.StatusCreated, receipt
	}
	receipt.ScheduledID, receipt.DeliverAt = r.Scheduled.String(), deliverAt.UTC().Truncate(time.Millisecond)
	return http.StatusAccepted, receipt
}

type messageReceiptOutput struct {
	Status int
	Body   messageReceipt
}

func (a *rest) pushMessage(ctx context.Context, in *struct {
	KeyInput
	Body messageDraft
}) (*messageReceiptOutput, error) {
	receipt, err := a.service.PushMessage(ctx, in.Body.push(), in.request(ctx))
	if err != nil {
		return nil, err
	}
	var out messageReceiptOutput
	out.Status, out.Body = newMessageReceipt(receipt, in.Body.DeliverAt)
	return &out, nil
}

func (a *rest) pushMessages(api huma.API) func(context.Context, *batchInput[messageDraft]) (*batchOutput[messageReceipt], error) {
	read := itemReader[messageDraft](api)
	return func(ctx context.Context, in *batchInput[messageDraft]) (*batchOutput[messageReceipt], error) {
		b := readBatch(in, read)
		pushes, receivers := make([]belfry.Push, len(b.drafts)), 0
		for i, d := range b.drafts {
			pushes[i] = d.push()
			receivers += len(d.Receivers)
		}
		if err := checkBatchReceivers(receivers); err != nil {
			return nil, err
		}
		results, err := a.service.PushMessages(ctx, pushes, in.request(ctx))
		if err != nil {
			return nil, err
		}
		return answerBatch(b, results, func(d *messageDraft, r belfry.Receipt) (int, messageReceipt) {
			return newMessageReceipt(r, d.DeliverAt)
		}), nil
	}
}

// A MessageContent is what a message says, and to whom if it is a notice.
type MessageContent struct {
	CompanyID   string            `json:"companyID"`
	Audience    string            `json:"audience,omitempty" enum:"company,everybody" doc:"Of a notice"`
	SenderID    string            `json:"senderID"`
	Sender      string            `json:"sender"`
	Portrait    string            `json:"portrait"`
	Title       string            `json:"title"`
	Content     string            `json:"content"`
	URL         string            `json:"url"`
	TypeID      int               `json:"typeID"`
	Category    string            `json:"category,omitempty"`
	CollapseKey string            `json:"collapseKey,omitempty"`
	ExpiresAt   time.Time         `json:"expiresAt,omitzero"`
	Data        restObject        `json:"data,omitempty"`
	Extra       map[string]string `json:"extra,omitempty"`
}

func newMessageContent(m *belfry.Message, notice bool) MessageContent {
	audience := ""
	switch {
	case notice && m.Company == "":
		audience = audienceEverybody
	case notice:
		audience = audienceCompany
	}
	return MessageContent{
		string(m.Company), audience, m.SenderID, m.Sender, m.Portrait, m.Title, m.Content, m.URL, int(m.Type),
		m.Category, m.CollapseKey, optionalTime(m.Expires), restObject(m.Data), m.Extra,
	}
}

// A restMessage is a message as REST shows it.
type restMessage struct {
	MessageID  string `json:"messageID"`
	ReceiverID string `json:"receiverID" doc:"Empty of a notice"`
	MessageContent
	Date       time.Time `json:"date"`
	IsRead     bool      `json:"isRead"`
	IsArchived bool      `json:"isArchived"`
}

func newRestMessage(m belfry.Message) restMessage {
	return restMessage{
		m.ID.String(), string(m.Receiver), newMessageContent(&m, m.IsNotice()), m.Date.UTC(), m.IsRead, m.IsArchived,
	}
}

type messageOutput struct{ Body restMessage }

func newMessageOutput(m belfry.Message, err error) (*messageOutput, error) {
	if err != nil {
		return nil, err
	}
	return &messageOutput{newRestMessage(m)}, nil
}

func (a *rest) getMessage(ctx context.Context, in *MessagePath) (*messageOutput, error) {
	id, err := belfry.ParseObjectID(in.ID)
	if err != nil {
		return nil, err
	}
	return newMessageOutput(a.service.Message(ctx, id))
}

func (a *rest) editMessage(ctx context.Context, in *struct {
	MessagePath
	Body messagePatch
}) (*messageOutput, error) {
	id, err := belfry.ParseObjectID(in.ID)
	if err != nil {
		return nil, err
	}
	edit, changes := in.Body.edit()
	if !changes {
		return newMessageOutput(a.service.Message(ctx, id))
	}
	return newMessageOutput(a.service.EditMessage(ctx, id, edit))
}

func (a *rest) withdrawMessage(ctx context.Context, in *MessagePath) (*struct{}, error) {
	id, err := belfry.ParseObjectID(in.ID)
	if err != nil {
		return nil, err
	}
	return &struct{}{}, a.service.WithdrawMessage(ctx, id)
}

// A scheduledMessage is a message that waits for its time.
type scheduledMessage struct {
	ScheduledID string    `json:"scheduledID"`
	DeliverAt   time.Time `json:"deliverAt"`
	Receivers   []string  `json:"receivers,omitempty" nullable:"false" doc:"None of a notice"`
	MessageContent
}

func (a *rest) getScheduled(ctx context.Context, in *MessagePath) (*struct{ Body scheduledMessage }, error) {
	id, err := belfry.ParseObjectID(in.ID)
	if err != nil {
		return nil, err
	}
	s, err := a.service.ScheduledPush(ctx, id)
	if err != nil {
		return nil, err
	}
	out := scheduledMessage{
		ScheduledID: s.ID.String(), DeliverAt: s.Due.UTC(),
		MessageContent: newMessageContent(&s.Message, len(s.Receivers) == 0),
	}
	for _, uid := range s.Receivers {
		out.Receivers = append(out.Receivers, string(uid))
	}
	return &struct{ Body scheduledMessage }{out}, nil
}
