package mongo

import (
	"context"

	"belfry"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// A readerDocument is what is known of an identity as a reader.
type readerDocument struct {
	Key   string         `bson:"_id"`             // identityKey
	Since *bson.ObjectID `bson:"since,omitempty"` // a member since; absent of who is none
	Heard *bson.ObjectID `bson:"heard,omitempty"` // pages of the member got all notices up to this one
	Seen  *bson.ObjectID `bson:"seen,omitempty"`  // has seen that there are messages up to this one
}

func (d *readerDocument) set(who belfry.Identity, fields ...bson.E) op {
	return op{
		In: belfryReaders, IDs: []any{identityKey(who)}, Upsert: true,
		Set: append(bson.D{{Key: "user", Value: word(who.User)}, {Key: "companyID", Value: word(who.Company)}}, fields...),
	}
}

// AddMembers implements [belfry.MemberStore]. What a member has heard already
// stays as it is.
func (s *Store) AddMembers(ctx context.Context, company belfry.CompanyID, users []belfry.UserID, since belfry.ID) error {
	if len(users) == 0 {
		return nil
	}
	var names []string
	var keys bson.A
	for _, user := range users {
		names = append(names, touchUser(user))
		keys = append(keys, identityKey(belfry.Identity{User: user, Company: company}))
	}
	return s.writer.do(ctx, names, func(ctx context.Context, _ state) (*changes, error) {
		found, err := find[readerDocument](ctx, s.c.readers, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: keys}}}})
		if err != nil {
			return nil, err
		}
		known := make(map[string]readerDocument, len(users))
		for _, d := range found {
			known[d.Key] = d
		}
		c := &changes{counts: true} // they may see notices now
		place := objectID(since)
		for i, user := range users {
			d := known[keys[i].(string)]
			if d.Since != nil && since.Compare(belfry.ID(*d.Since)) >= 0 {
				continue
			}
			who := belfry.Identity{User: user, Company: company}
			fields := []bson.E{{Key: "since", Value: place}}
			if d.Since == nil {
				fields = append(fields, bson.E{Key: "heard", Value: place})
				d.Heard = &place
			}
			d.Since = &place
			known[keys[i].(string)] = d
			c.do(d.set(who, fields...))
			c.touch(touchUser(user))
		}
		return c, nil
	})
}

// Enrol implements [belfry.MemberStore]. It waits for the commit, which many share: what
// another process stores after the call must come after the member, too, and nothing
// but the commit settles that.
func (s *Store) Enrol(ctx context.Context, who belfry.Identity, since belfry.ID) error {
	return s.AddMembers(ctx, who.Company, []belfry.UserID{who.User}, since)
}
