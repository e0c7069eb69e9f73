package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"belfry"
)

const (
	sqlPreferences = `SELECT receiver, type, category, off, mute_until
		FROM preferences WHERE receiver IN (SELECT value FROM json_each(?)) ORDER BY receiver, n`

	sqlClearPreferences = `DELETE FROM preferences WHERE receiver = ?`
	sqlAddPreference    = `INSERT INTO preferences (receiver, n, type, category, off, mute_until) VALUES (?, ?, ?, ?, ?, ?)`

	sqlRevoke = `INSERT INTO revoked (receiver, before) VALUES (?, ?)
		ON CONFLICT DO UPDATE SET before = excluded.before WHERE excluded.before > before`
	sqlRevoked = `SELECT receiver, before FROM revoked WHERE receiver IN (SELECT value FROM json_each(?))`
)

// Preferences implements [belfry.SettingStore].
func (s *Store) Preferences(ctx context.Context, users []belfry.UserID) (map[belfry.UserID][]belfry.Preference, error) {
	names, err := json.Marshal(users)
	if err != nil {
		return nil, err
	}
	var all map[belfry.UserID][]belfry.Preference
	err = s.read(ctx, sqlPreferences, []any{string(names)}, func(rows *sql.Rows) error {
		var (
			user      belfry.UserID
			p         belfry.Preference
			muteUntil int64
		)
		err := rows.Scan((*string)(&user), &p.Type, &p.Category, &p.Off, &muteUntil)
		p.MuteUntil = scanMillis(muteUntil)
		if all == nil {
			all = make(map[belfry.UserID][]belfry.Preference)
		}
		all[user] = append(all[user], p)
		return err
	})
	return all, err
}

// SetPreferences implements [belfry.SettingStore].
func (s *Store) SetPreferences(ctx context.Context, user belfry.UserID, preferences []belfry.Preference) error {
	err := s.writer.do(ctx, 1+len(preferences), func(b *batch) error {
		if _, err := b.exec(sqlClearPreferences, string(user)); err != nil {
			return err
		}
		for i, p := range preferences {
			_, err := b.exec(sqlAddPreference, string(user), i, int64(p.Type), p.Category, p.Off, encodeMillis(p.MuteUntil))
			if err != nil {
				return err
			}
		}
		b.changedOf(user) // they hide notices
		return nil
	})
	return portError(ctx, err)
}

// Revoke implements [belfry.SettingStore].
func (s *Store) Revoke(ctx context.Context, user belfry.UserID, before time.Time) error {
	err := s.writer.do(ctx, 1, func(b *batch) error {
		_, err := b.exec(sqlRevoke, string(user), before.Unix())
		return err
	})
	return portError(ctx, err)
}

// Revoked implements [belfry.SettingStore].
func (s *Store) Revoked(ctx context.Context, users []belfry.UserID) (map[belfry.UserID]time.Time, error) {
	names, err := json.Marshal(users)
	if err != nil {
		return nil, err
	}
	all := make(map[belfry.UserID]time.Time)
	err = s.read(ctx, sqlRevoked, []any{string(names)}, func(rows *sql.Rows) error {
		var user belfry.UserID
		var before int64
		err := rows.Scan((*string)(&user), &before)
		all[user] = scanDate(before)
		return err
	})
	return all, err
}
