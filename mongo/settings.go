package mongo

import (
	"context"
	"time"

	"belfry"

	"go.mongodb.org/mongo-driver/v2/bson"
)

type settingsDocument struct {
	User          string               `bson:"_id"`
	Preferences   []preferenceDocument `bson:"preferences,omitempty"`
	RevokedBefore *time.Time           `bson:"revokedBefore,omitempty"`
}

type preferenceDocument struct {
	TypeID    int32      `bson:"typeID"`
	Category  string     `bson:"category"`
	Off       bool       `bson:"off"`
	MuteUntil *time.Time `bson:"muteUntil,omitempty"`
}

// Preferences implements [belfry.SettingStore].
func (s *Store) Preferences(ctx context.Context, users []belfry.UserID) (map[belfry.UserID][]belfry.Preference, error) {
	found, err := s.settingsOf(ctx, users)
	if err != nil {
		return nil, portError(ctx, err)
	}
	var all map[belfry.UserID][]belfry.Preference
	for _, d := range found {
		if len(d.Preferences) == 0 {
			continue
		}
		if all == nil {
			all = make(map[belfry.UserID][]belfry.Preference)
		}
		all[belfry.UserID(d.User)] = d.preferences()
	}
	return all, nil
}

// settingsOf returns what there is of users.
func (s *Store) settingsOf(ctx context.Context, users []belfry.UserID) ([]settingsDocument, error) {
	if len(users) == 0 {
		return nil, ctx.Err()
	}
	return find[settingsDocument](ctx, s.c.settings, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: users}}}})
}

func (d *settingsDocument) preferences() (all []belfry.Preference) {
	for _, p := range d.Preferences {
		all = append(all, belfry.Preference{
			Type: belfry.MessageType(p.TypeID), Category: p.Category, Off: p.Off, MuteUntil: timeOf(p.MuteUntil),
		})
	}
	return all
}

func preferenceDocuments(preferences []belfry.Preference) []preferenceDocument {
	documents := make([]preferenceDocument, 0, len(preferences))
	for _, p := range preferences {
		documents = append(documents, preferenceDocument{
			TypeID: int32(p.Type), Category: p.Category, Off: p.Off, MuteUntil: optionalTime(p.MuteUntil),
		})
	}
	return documents
}

// SetPreferences implements [belfry.SettingStore].
func (s *Store) SetPreferences(ctx context.Context, user belfry.UserID, preferences []belfry.Preference) error {
	documents := preferenceDocuments(preferences)
	return s.writer.do(ctx, []string{touchUser(user)}, func(context.Context, state) (*changes, error) {
		c := &changes{counts: true} // they hide notices
		c.touch(touchUser(user))
		c.do(op{In: belfrySettings, IDs: []any{string(user)}, Upsert: true, Set: bson.D{{Key: "preferences", Value: documents}}})
		return c, nil
	})
}

// Revoke implements [belfry.SettingStore].
func (s *Store) Revoke(ctx context.Context, user belfry.UserID, before time.Time) error {
	before = before.UTC().Truncate(time.Second)
	return s.writer.do(ctx, []string{touchUser(user)}, func(ctx context.Context, _ state) (*changes, error) {
		d, _, err := findOne[settingsDocument](ctx, s.c.settings, string(user))
		if err != nil || d.RevokedBefore != nil && !before.After(*d.RevokedBefore) {
			return nil, err
		}
		c := &changes{}
		c.touch(touchUser(user))
		c.do(op{In: belfrySettings, IDs: []any{string(user)}, Upsert: true, Set: bson.D{{Key: "revokedBefore", Value: before}}})
		return c, nil
	})
}

// Revoked implements [belfry.SettingStore]. What is committed may not be applied, as Profile says, and a snapshot of many users is
// disturbed all the time: hence it waits until what is committed now is applied.
func (s *Store) Revoked(ctx context.Context, users []belfry.UserID) (map[belfry.UserID]time.Time, error) {
	if len(users) == 0 {
		return nil, ctx.Err()
	}
	bounded, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	err := s.advance(bounded)
	var found []settingsDocument
	if err == nil {
		found, err = s.settingsOf(bounded, users)
	}
	if err != nil {
		return nil, portError(ctx, err)
	}
	all := make(map[belfry.UserID]time.Time)
	for _, d := range found {
		if d.RevokedBefore != nil {
			all[belfry.UserID(d.User)] = timeOf(d.RevokedBefore)
		}
	}
	return all, nil
}

// Profile implements [belfry.SettingStore]. Tokens that are void are so as soon as that is
// committed, though it may not be applied: hence the snapshot.
func (s *Store) Profile(ctx context.Context, who belfry.Identity) (belfry.Profile, error) {
	var reader readerDocument
	var settings settingsDocument
	_, err := s.snapshot(ctx, []string{touchUser(who.User)}, func(ctx context.Context) error {
		return together(
			func() (err error) {
				reader, _, err = findOne[readerDocument](ctx, s.c.readers, identityKey(who))
				return err
			},
			func() (err error) {
				settings, _, err = findOne[settingsDocument](ctx, s.c.settings, string(who.User))
				return err
			},
		)
	})
	if err != nil {
		return belfry.Profile{}, err
	}
	p := belfry.Profile{Member: reader.Since != nil, Revoked: timeOf(settings.RevokedBefore), Preferences: settings.preferences()}
	if p.Member {
		p.Since = belfry.ID(*reader.Since)
	}
	return p, nil
}
