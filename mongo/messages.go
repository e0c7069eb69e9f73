package mongo

import (
	"context"

	"belfry"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

var errNoMessage = belfry.Errorf(belfry.ErrNotFound, "there is no such message")

// messageByID finds a message, or a notice, which is unread then.
func (s *Store) messageByID(ctx context.Context, id belfry.ID) (d messageDocument, in string, err error) {
	var message, notice messageDocument
	var isMessage, isNotice bool
	err = together(
		func() (err error) {
			message, isMessage, err = findOne[messageDocument](ctx, s.c.messages, objectID(id))
			return err
		},
		func() (err error) {
			notice, isNotice, err = findOne[messageDocument](ctx, s.c.notices, objectID(id))
			return err
		},
	)
	switch {
	case err != nil:
		return d, "", err
	case isMessage:
		return message, msgNotice, nil
	case isNotice:
		return notice, belfryNotices, nil
	}
	return d, "", errNoMessage
}

// Message implements [belfry.MessageStore].
func (s *Store) Message(ctx context.Context, id belfry.ID) (belfry.Message, error) {
	d, _, err := s.messageByID(ctx, id)
	if err != nil {
		return belfry.Message{}, portError(ctx, err)
	}
	return d.message()
}

// Edit implements [belfry.MessageStore].
func (s *Store) Edit(ctx context.Context, m belfry.Message, place belfry.Placer) error {
	return s.writer.do(ctx, nil, func(ctx context.Context, before state) (*changes, error) {
		old, in, err := s.messageByID(ctx, m.ID)
		if err != nil {
			return nil, err
		}
		d, err := newMessageDocument(&m, 0)
		if err != nil {
			return nil, err
		}
		c := &changes{counts: true}
		set, unset := d.edit()
		c.do(op{In: in, IDs: []any{objectID(m.ID)}, Set: set, Unset: unset})
		c.revise(revision{owner: old.owner(), company: belfry.CompanyID(old.CompanyID), place: before.place(place), kind: belfry.RevisionEdited, ids: []belfry.ID{m.ID}})
		return c, nil
	})
}

// owner is the receiver; of notices it is empty.
func (d *messageDocument) owner() belfry.UserID {
	if d.ReceiverID == nil {
		return ""
	}
	return belfry.UserID(*d.ReceiverID)
}

// Withdraw implements [belfry.MessageStore].
func (s *Store) Withdraw(ctx context.Context, id belfry.ID, place belfry.Placer) (belfry.Message, error) {
	var withdrawn belfry.Message
	err := s.writer.do(ctx, nil, func(ctx context.Context, before state) (*changes, error) {
		d, _, err := s.messageByID(ctx, id)
		if err != nil {
			return nil, err
		}
		if withdrawn, err = d.message(); err != nil {
			return nil, err
		}
		c := &changes{counts: true}
		c.remove(&d)
		c.revise(revision{owner: d.owner(), company: withdrawn.Company, place: before.place(place), kind: belfry.RevisionWithdrawn, ids: []belfry.ID{id}})
		return c, nil
	})
	if err != nil {
		return belfry.Message{}, err
	}
	return withdrawn, nil
}

// remove deletes a message, or a notice with its marks.
func (c *changes) remove(d *messageDocument) {
	in := msgNotice
	if d.ReceiverID == nil {
		in = belfryNotices
		c.do(op{In: belfryGone, IDs: []any{d.ID}, Upsert: true})
	}
	c.do(op{In: in, IDs: []any{d.ID}, Delete: true})
	c.messages--
	c.counts = true
	c.touch(touchOf(d.owner(), belfry.CompanyID(d.CompanyID)))
}

// messagesAndNotices asks both collections at the same time. The limit of the options holds for each.
func (s *Store) messagesAndNotices(ctx context.Context, filter bson.D, o *options.FindOptionsBuilder) ([]messageDocument, error) {
	var messages, notices []messageDocument
	err := together(
		func() (err error) { messages, err = find[messageDocument](ctx, s.c.messages, filter, o); return err },
		func() (err error) { notices, err = find[messageDocument](ctx, s.c.notices, filter, o); return err },
	)
	return append(messages, notices...), err
}
