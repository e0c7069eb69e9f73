package mongo

import (
	"context"
	"slices"
	"time"

	"belfry"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

type requestDocument struct {
	Key         string    `bson:"_id"`
	Fingerprint []byte    `bson:"fingerprint"`
	Answer      []byte    `bson:"answer,omitempty"`
	Made        time.Time `bson:"made"`
}

// addRequest fails if the key is taken. What is older than its lifetime gives way.
func (a *addition) addRequest(ctx context.Context) error {
	r := a.entries.Request
	if r == nil {
		return nil
	}
	made, ok, err := findOne[requestDocument](ctx, a.store.c.requests, r.Key)
	if err == nil && ok && !made.Made.Before(r.Made.Truncate(time.Millisecond).Add(-belfry.RequestLifetime)) {
		err = belfry.Errorf(belfry.ErrConflict, "the request was made already")
	}
	return err
}

func requestOp(r *belfry.Request) op {
	o := op{
		In: belfryRequests, IDs: []any{r.Key}, Upsert: true,
		Set: bson.D{{Key: "fingerprint", Value: r.Fingerprint[:]}, {Key: "made", Value: r.Made.UTC()}},
	}
	o.setAnswer(r.Answer)
	return o
}

func (o *op) setAnswer(answer []byte) {
	if answer == nil {
		o.Unset = []string{"answer"}
		return
	}
	o.Set = append(o.Set, bson.E{Key: "answer", Value: answer})
}

// Request implements [belfry.EntryStore]. Times have millisecond precision.
func (s *Store) Request(ctx context.Context, key string, since time.Time) (belfry.Request, error) {
	pending := s.answers.Of(key) // before the query
	d, ok, err := findOne[requestDocument](ctx, s.c.requests, key)
	if err != nil {
		return belfry.Request{}, portError(ctx, err)
	}
	if !ok || d.Made.UnixMilli() < since.UnixMilli() {
		return belfry.Request{}, belfry.Errorf(belfry.ErrNotFound, "there is no such request")
	}
	r := belfry.Request{Key: key, Answer: d.Answer, Made: d.Made.UTC()}
	copy(r.Fingerprint[:], d.Fingerprint)
	if pending != nil {
		r.Answer = slices.Clone(*pending)
	}
	return r, nil
}

// AnswerRequest implements [belfry.EntryStore]. It does not wait for the writer;
// until that has stored the answer, Request finds it in memory.
func (s *Store) AnswerRequest(ctx context.Context, key string, answer []byte) error {
	answer = slices.Clone(answer)
	if err := ctx.Err(); err != nil {
		return err
	}
	s.answers.Put(key, &answer)
	err := s.writer.enqueue(&write{
		ctx: context.WithoutCancel(ctx), names: []string{"r:" + key},
		prepare: func(context.Context, state) (*changes, error) {
			o := op{In: belfryRequests, IDs: []any{key}}
			o.setAnswer(answer)
			return &changes{ops: []op{o}}, nil
		},
		done: func(error) { s.answers.Settle(key, &answer) },
	})
	if err != nil {
		s.answers.Settle(key, &answer)
	}
	return portError(ctx, err)
}

// PruneRequests implements [belfry.EntryStore].
func (s *Store) PruneRequests(ctx context.Context, before time.Time, step int) (deleted int, err error) {
	err = s.writer.do(ctx, nil, func(ctx context.Context, _ state) (*changes, error) {
		// One that is taken anew meanwhile is younger.
		old := bson.D{{Key: "made", Value: bson.D{{Key: "$lt", Value: before.UTC()}}}}
		found, err := find[requestDocument](ctx, s.c.requests, old,
			options.Find().SetSort(bson.D{{Key: "made", Value: 1}}).SetLimit(int64(step)).SetProjection(bson.D{{Key: "_id", Value: 1}}))
		deleted = len(found)
		if err != nil || deleted == 0 {
			return nil, err
		}
		var keys []any
		for i := range found {
			keys = append(keys, found[i].Key)
		}
		return &changes{ops: []op{{In: belfryRequests, IDs: keys, Delete: true}}}, nil
	})
	if err != nil {
		return 0, err
	}
	return deleted, nil
}
