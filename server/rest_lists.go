package server

import (
	"encoding/base64"

	"github.com/danielgtaylor/huma/v2"

	"belfry"
)

// A restList is one page of a list, newest first.
type restList[T any] struct {
	Items []T    `json:"items" nullable:"false"`
	Next  string `json:"next,omitempty" doc:"The cursor of the next page; missing at the end"`
}

type listOutput[T any] struct{ Body restList[T] }

// newListOutput makes the answer to a ListInput from the entries that were
// found and how they are shown.
func newListOutput[E, T any](in ListInput, entries []E, id func(*E) belfry.ID, show func(E) T) *listOutput[T] {
	list := restList[T]{Items: make([]T, len(entries))}
	for i := range entries {
		list.Items[i] = show(entries[i])
	}
	if len(entries) > 0 && len(entries) == belfry.ListLimit(in.Limit) {
		list.Next = cursorAfter(id(&entries[len(entries)-1]))
	}
	return &listOutput[T]{list}
}

// A ListInput pages through a list. Lists are ordered by id, so what is added
// meanwhile moves nothing.
type ListInput struct {
	Cursor string `query:"cursor" doc:"next of the page before, asked for with the same filters"`
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"20"`

	before belfry.ID
}

// listCursor is the first byte of the cursor of a list, so that the form can
// change, and no other cursor is taken for one.
const listCursor = 'L'

func cursorAfter(id belfry.ID) string {
	return base64.RawURLEncoding.EncodeToString(append([]byte{listCursor}, id[:]...))
}

// Resolve implements [huma.Resolver]: it reads the cursor.
func (l *ListInput) Resolve(huma.Context) []error {
	if l.Cursor == "" {
		return nil
	}
	var before belfry.ID
	b, err := base64.RawURLEncoding.DecodeString(l.Cursor)
	if err == nil && len(b) == 1+len(before) {
		copy(before[:], b[1:])
	}
	if cursorAfter(before) != l.Cursor { // the decoder is not strict
		return []error{&huma.ErrorDetail{Location: "query.cursor", Message: "expected next of the page before"}}
	}
	l.before = before
	return nil
}
