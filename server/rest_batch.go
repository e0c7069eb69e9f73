package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"belfry"
)

// A batch is several calls in one. What is wrong with one item does not hinder the
// others, so the items are checked one by one, after the request.

const (
	// maxBatchBody bounds the body of a batch, in bytes.
	maxBatchBody = 8 << 20
	// maxBatchReceivers bounds the receivers of a batch: all of it is one transaction,
	// and other pushes wait for that.
	maxBatchReceivers = 20_000
)

func batched(op huma.Operation) huma.Operation {
	op.MaxBodyBytes, op.BodyReadTimeout = maxBatchBody, restTimeout
	return repeatable(op)
}

type batchInput[D any] struct {
	KeyInput
	Body batch[D]
}

type batch[D any] struct {
	Items []batchItem[D] `json:"items" minItems:"1" maxItems:"1000" nullable:"false" doc:"Each is answered in its place, whatever becomes of the others"`
}

// A batchItem is a draft that is still to be read.
type batchItem[D any] struct{ raw json.RawMessage }

// UnmarshalJSON implements [json.Unmarshaler].
func (i *batchItem[D]) UnmarshalJSON(b []byte) error {
	i.raw = append(i.raw[:0], b...)
	return nil
}

// shownRef is a reference that a document shows and validation does not follow.
const shownRef = "$ref"

// Schema implements [huma.SchemaProvider].
func (batchItem[D]) Schema(r huma.Registry) *huma.Schema {
	return &huma.Schema{Extensions: map[string]any{shownRef: r.Schema(reflect.TypeFor[D](), true, "").Ref}}
}

// A readItem reads the item with a number, or says all that is wrong with it.
type readItem[D any] func(i int, raw json.RawMessage) (*D, *problem)

// itemReader makes a reader that checks an item as the body of a single call is checked.
func itemReader[D any, P interface {
	*D
	huma.ResolverWithPath
}](api huma.API) readItem[D] {
	registry := api.OpenAPI().Components.Schemas
	schema := registry.Schema(reflect.TypeFor[D](), true, "")
	return func(i int, raw json.RawMessage) (*D, *problem) {
		at := huma.NewPathBuffer(nil, 0)
		at.Push("body")
		at.Push("items")
		at.PushIndex(i)
		var parsed any
		var found huma.ValidateResult
		if err := json.Unmarshal(raw, &parsed); err != nil {
			found.Add(at, nil, "expected JSON")
		}
		huma.Validate(registry, schema, at, huma.ModeWriteToServer, parsed, &found)
		draft := new(D)
		err := unmarshalUTF8(raw, draft)
		found.Errors = append(found.Errors, P(draft).Resolve(nil, at)...)
		if err != nil && len(found.Errors) == 0 {
			found.Add(at, nil, err.Error())
		}
		if len(found.Errors) > 0 {
			return nil, newProblem(http.StatusUnprocessableEntity, "validation failed", found.Errors...)
		}
		return draft, nil
	}
}

// A readableBatch is a batch of which some items may be asked of the rules.
type readableBatch[D any] struct {
	drafts []*D
	places []int // of the drafts among the items
	wrong  []*problem
}

func readBatch[D any](in *batchInput[D], read readItem[D]) *readableBatch[D] {
	b := &readableBatch[D]{wrong: make([]*problem, len(in.Body.Items))}
	for i := range in.Body.Items {
		draft, wrong := read(i, in.Body.Items[i].raw)
		if b.wrong[i] = wrong; wrong == nil {
			b.drafts, b.places = append(b.drafts, draft), append(b.places, i)
		}
	}
	return b
}

func checkBatchReceivers(n int) error {
	if n <= maxBatchReceivers {
		return nil
	}
	message := fmt.Sprintf("items name %d receivers; all together may name %d", n, maxBatchReceivers)
	return &belfry.Error{Code: belfry.ErrInvalid, Message: message, Fields: []belfry.FieldError{{Field: "items", Message: message}}}
}

type batchAnswer[R any] struct {
	Items []itemAnswer[R] `json:"items" nullable:"false" doc:"One for each item, in their order"`
}

// An itemAnswer is what the item would have been answered if it had come alone.
type itemAnswer[R any] struct {
	Status  int      `json:"status"`
	Receipt *R       `json:"receipt,omitempty"`
	Problem *problem `json:"problem,omitempty" doc:"Why it was refused"`
}

type batchOutput[R any] struct{ Body batchAnswer[R] }

// answerBatch makes the answer of what was wrong with items and of what the rules
// say of the others.
func answerBatch[D, R any](b *readableBatch[D], results []belfry.Result, show func(*D, belfry.Receipt) (int, R)) *batchOutput[R] {
	answers := make([]itemAnswer[R], len(b.wrong))
	for i, wrong := range b.wrong {
		if wrong != nil {
			answers[i] = itemAnswer[R]{Status: wrong.Status, Problem: wrong}
		}
	}
	for i, result := range results {
		answer := &answers[b.places[i]]
		if result.Refused != nil {
			answer.Problem = problemOf(result.Refused, &fieldPlaces{in: fmt.Sprintf("body.items[%d].", b.places[i])})
			answer.Status = answer.Problem.Status
			continue
		}
		status, receipt := show(b.drafts[i], result.Receipt)
		answer.Status, answer.Receipt = status, &receipt
	}
	return &batchOutput[R]{batchAnswer[R]{answers}}
}
