package storage

import (
	"encoding/json"
	"fmt"

	"belfry"
)

// A draft is what is kept of a scheduled push beside its ID and its time. Data is a string there,
// to come back as it was written.
type draft struct {
	Message   belfry.Message
	Data      *string         `json:",omitempty"`
	Receivers []belfry.UserID `json:",omitempty"`
}

// EncodeDraft returns, as JSON, what is to be kept of a scheduled push beside its ID and its time.
func EncodeDraft(p *belfry.Scheduled) (string, error) {
	d := draft{Message: p.Message, Receivers: p.Receivers}
	if p.Message.Data != nil {
		data := string(p.Message.Data)
		d.Data, d.Message.Data = &data, nil
	}
	text, err := json.Marshal(d)
	return string(text), err
}

// DecodeDraft gives a scheduled push what EncodeDraft has kept of it.
func DecodeDraft(text string, p *belfry.Scheduled) error {
	var d draft
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		return fmt.Errorf("a scheduled push: %w", err)
	}
	p.Message, p.Receivers = d.Message, d.Receivers
	if p.Message.Data = nil; d.Data != nil {
		p.Message.Data = json.RawMessage(*d.Data)
	}
	return nil
}
