package sqlite

import (
	"context"

	"belfry"
)

const (
	sqlAddMember = `INSERT INTO members (receiver, company, since, heard) VALUES (?1, ?2, ?3, ?3)
		ON CONFLICT DO UPDATE SET since = excluded.since WHERE excluded.since < since`

	sqlMember = `SELECT since FROM members WHERE receiver = ? AND company = ?`
)

// AddMembers implements [belfry.MemberStore]. What a member has heard already
// stays as it is.
func (s *Store) AddMembers(ctx context.Context, company belfry.CompanyID, users []belfry.UserID, since belfry.ID) error {
	if len(users) == 0 {
		return nil
	}
	err := s.writer.do(ctx, len(users), func(b *batch) error {
		added := int64(0)
		for _, user := range users {
			n, err := b.exec(sqlAddMember, string(user), string(company), since[:])
			if err != nil {
				return err
			}
			added += n
		}
		if added > 0 {
			b.changed() // they may see notices now
		}
		return nil
	})
	return portError(ctx, err)
}

// Member implements [belfry.MemberStore].
func (s *Store) Member(ctx context.Context, who belfry.Identity) (since belfry.ID, err error) {
	var found []belfry.ID
	if err := s.read(ctx, sqlMember, []any{string(who.User), string(who.Company)}, appendID(&found)); err != nil {
		return belfry.ID{}, err
	}
	if len(found) == 0 {
		return belfry.ID{}, belfry.Errorf(belfry.ErrNotFound, "nobody knows of such a member")
	}
	return found[0], nil
}
