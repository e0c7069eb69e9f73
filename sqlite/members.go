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
	err := s.writer.do(ctx, len(users), func(b *batch) error { return b.addMembers(company, users, since) })
	return portError(ctx, err)
}

func (b *batch) addMembers(company belfry.CompanyID, users []belfry.UserID, since belfry.ID) error {
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
}

// Enrol implements [belfry.MemberStore]. What is stored later is in the same
// transaction or a later one.
func (s *Store) Enrol(ctx context.Context, who belfry.Identity, since belfry.ID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := s.writer.enqueueLazy(&write{
		ctx:  context.Background(), // it is done even if the caller leaves
		rows: 1,
		run:  func(b *batch) error { return b.addMembers(who.Company, []belfry.UserID{who.User}, since) },
		answer: func(err error) {
			if err != nil {
				s.log.Warn("not recorded as a member; the next login does it", "user", who.User, "company", who.Company, "err", err)
			}
		},
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
