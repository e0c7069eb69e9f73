package sqlite

import (
	"context"
	"database/sql"
	"sync"

	"belfry"
)

const (
	sqlAddMember = `INSERT INTO members (receiver, company, since, heard) VALUES (?1, ?2, ?3, ?3)
		ON CONFLICT DO UPDATE SET since = excluded.since WHERE excluded.since < since`

	sqlProfile = `SELECT 0, since, 0, '', 0, 0 FROM members WHERE receiver = ?1 AND company = ?2
		UNION ALL
		SELECT 1, NULL, before, '', 0, 0 FROM revoked WHERE receiver = ?1
		UNION ALL
		SELECT * FROM (SELECT 2, NULL, type, category, off, mute_until FROM preferences WHERE receiver = ?1 ORDER BY n)`
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
	for _, user := range users {
		n, err := b.exec(sqlAddMember, string(user), string(company), since[:])
		if err != nil {
			return err
		}
		if n > 0 {
			b.changedOf(user) // they may see notices now
		}
	}
	return nil
}

// Enrol implements [belfry.MemberStore]. What is stored later is in the same
// transaction or a later one.
func (s *Store) Enrol(ctx context.Context, who belfry.Identity, since belfry.ID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.enrolling.add(who, since)
	err := s.writer.enqueueLazy(&write{
		ctx:  context.Background(), // it is done even if the caller leaves
		rows: 1,
		run:  func(b *batch) error { return b.addMembers(who.Company, []belfry.UserID{who.User}, since) },
		answer: func(err error) {
			s.enrolling.remove(who)
			if err != nil {
				s.log.Warn("not recorded as a member; the next login does it", "user", who.User, "company", who.Company, "err", err)
			}
		},
	})
	if err != nil {
		s.enrolling.remove(who)
	}
	return portError(ctx, err)
}

// enrolments are those that are not in the database yet.
type enrolments struct {
	mu    sync.Mutex
	since map[belfry.Identity]enrolment
}

type enrolment struct {
	since belfry.ID // the lowest
	count int       // of the writes that wait
}

func (e *enrolments) add(who belfry.Identity, since belfry.ID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.since == nil {
		e.since = make(map[belfry.Identity]enrolment)
	}
	one, ok := e.since[who]
	if !ok || since.Compare(one.since) < 0 {
		one.since = since
	}
	one.count++
	e.since[who] = one
}

func (e *enrolments) remove(who belfry.Identity) {
	e.mu.Lock()
	defer e.mu.Unlock()
	one := e.since[who]
	if one.count--; one.count == 0 {
		delete(e.since, who)
		return
	}
	e.since[who] = one
}

func (e *enrolments) of(who belfry.Identity) (since belfry.ID, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	one, ok := e.since[who]
	return one.since, ok
}

// Profile implements [belfry.SettingStore].
func (s *Store) Profile(ctx context.Context, who belfry.Identity) (belfry.Profile, error) {
	var p belfry.Profile
	p.Since, p.Member = s.enrolling.of(who) // before the query, which finds those that end meanwhile
	err := s.read(ctx, sqlProfile, []any{string(who.User), string(who.Company)}, func(rows *sql.Rows) error {
		var (
			kind      int
			since     sql.RawBytes
			number    int64 // the second of the revocation, or the type of a preference
			one       belfry.Preference
			muteUntil int64
		)
		if err := rows.Scan(&kind, &since, &number, &one.Category, &one.Off, &muteUntil); err != nil {
			return err
		}
		switch kind {
		case 0:
			p.Member = true
			return scanID(since, &p.Since)
		case 1:
			p.Revoked = scanDate(number)
		default:
			one.Type, one.MuteUntil = belfry.MessageType(number), scanMillis(muteUntil)
			p.Preferences = append(p.Preferences, one)
		}
		return nil
	})
	if err != nil {
		return belfry.Profile{}, err
	}
	return p, nil
}
