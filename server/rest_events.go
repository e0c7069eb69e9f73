package server

import (
	"context"
	"encoding/json"

	"github.com/danielgtaylor/huma/v2"

	"belfry"
)

func (a *rest) registerEvents(api huma.API) {
	handle(a, api, repeatable(operation("publishEvent", "POST", "/v1/events", "events", "Send an event of the application's own to open pages; it is not stored")), a.publishEvent)
}

// An eventDraft is an event to send.
type eventDraft struct {
	Event  string          `json:"event" minLength:"1" maxLength:"128" doc:"Its name; those of belfry and of Socket.IO itself are refused"`
	Rooms  []string        `json:"rooms" minItems:"1" maxItems:"100" nullable:"false" pattern:"^(uid|company|topic):" doc:"Whose pages get it, each once: uid:…, company:… or topic:…"`
	Except []string        `json:"except,omitempty" maxItems:"100" nullable:"false" pattern:"^(uid|company|topic):" doc:"Whose pages do not"`
	Data   json.RawMessage `json:"data,omitempty" doc:"Its argument, 64 KiB at most; none if missing"`
}

func (a *rest) publishEvent(ctx context.Context, in *struct {
	KeyInput
	Body eventDraft
}) (*pagesOutput, error) {
	return newPagesOutput(a.service.PublishEvent(ctx, belfry.GenericEvent{
		Event: in.Body.Event, Rooms: in.Body.Rooms, Except: in.Body.Except, Data: in.Body.Data,
	}, in.request(ctx)))
}
