package server

import (
	"context"
	"time"

	"belfry"
)

// An explanation is what became of a message for one user.
type explanation struct {
	MessageID string        `json:"messageID"`
	UID       string        `json:"uid"`
	Verdict   string        `json:"verdict" doc:"Where it stands, in a sentence, and if it was not shown, why"`
	Message   *restMessage  `json:"message,omitempty" doc:"As the user has it; missing if it is no more or was not for this user"`
	Partial   bool          `json:"partial" doc:"The steps may have gaps: some were dropped"`
	Steps     []explainStep `json:"steps" nullable:"false" doc:"What happened to the message and to the pages of the user, in order"`
}

type explainStep struct {
	At     time.Time `json:"at"`
	What   string    `json:"what" enum:"stored,sent,no_page,replayed,acked,seen,read,unread,archived,unarchived,edited,withdrawn,replaced,expired,off,muted,scheduled,fulfilled,cancelled,login,logout,refused,revoked"`
	Page   string    `json:"page,omitempty" doc:"The page that it is about"`
	Count  int       `json:"count,omitempty" doc:"How many pages it was sent to"`
	Detail string    `json:"detail,omitempty"`
}

// factWords are the words for facts. A test compares them with the enum.
var factWords = map[belfry.FactKind]string{
	belfry.FactStored: "stored", belfry.FactSent: "sent", belfry.FactNoPage: "no_page", belfry.FactReplayed: "replayed",
	belfry.FactAcked: "acked", belfry.FactSeen: "seen", belfry.FactRead: "read", belfry.FactUnread: "unread",
	belfry.FactArchived: "archived", belfry.FactUnarchived: "unarchived", belfry.FactEdited: "edited",
	belfry.FactWithdrawn: "withdrawn", belfry.FactReplaced: "replaced", belfry.FactExpired: "expired",
	belfry.FactOff: "off", belfry.FactMuted: "muted", belfry.FactScheduled: "scheduled",
	belfry.FactFulfilled: "fulfilled", belfry.FactCancelled: "cancelled",
	belfry.FactLogin: "login", belfry.FactLogout: "logout", belfry.FactRefused: "refused", belfry.FactRevoked: "revoked",
}

func (a *rest) explainMessage(ctx context.Context, in *struct {
	MessagePath
	UID string `query:"uid" minLength:"1" maxLength:"128" doc:"Whose story; of a message to one receiver it may be missing"`
}) (*struct{ Body explanation }, error) {
	id, err := belfry.ParseObjectID(in.ID)
	if err != nil {
		return nil, err
	}
	var user belfry.UserID
	if in.UID != "" {
		if user, err = (UserInput{in.UID}).user(); err != nil {
			return nil, err
		}
	}
	e, err := a.service.Explain(ctx, id, user)
	if err != nil {
		return nil, err
	}
	out := explanation{
		MessageID: e.Message.String(), UID: string(e.User), Verdict: e.Verdict, Partial: e.Partial,
		Steps: make([]explainStep, len(e.Steps)),
	}
	if e.Now != nil {
		m := newRestMessage(*e.Now)
		out.Message = &m
	}
	for i, f := range e.Steps {
		out.Steps[i] = explainStep{f.At.UTC(), factWords[f.Kind], f.Page, f.Count, f.Detail}
	}
	return &struct{ Body explanation }{out}, nil
}
