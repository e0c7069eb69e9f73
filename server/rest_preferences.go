package server

import (
	"context"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"belfry"
)

// What a user has turned off, for backends; pages ask in [rest.registerMe].

func (a *rest) registerUserPreferences(api huma.API) {
	handle(a, api, operation("getPreferences", "GET", "/v1/users/{uid}/preferences", "users", "What a user has turned off"),
		func(ctx context.Context, in *UserInput) (*preferencesOutput, error) {
			user, err := in.user()
			if err != nil {
				return nil, err
			}
			return newPreferencesOutput(a.service.Preferences(ctx, user))
		})
	handle(a, api, operation("setPreferences", "PUT", "/v1/users/{uid}/preferences", "users", "Replace what a user has turned off"),
		func(ctx context.Context, in *struct {
			UserInput
			Body restPreferences
		}) (*preferencesOutput, error) {
			user, err := in.user()
			if err != nil {
				return nil, err
			}
			return a.setPreferences(ctx, user, in.Body)
		})
}

type restPreferences struct {
	Preferences []restPreference `json:"preferences" nullable:"false" maxItems:"100" doc:"What any of them turns off is off"`
}

// A restPreference turns the messages off that it matches.
type restPreference struct {
	TypeID    int       `json:"typeID,omitempty" minimum:"1" maximum:"2147483647" doc:"Messages of this type; of all if missing"`
	Category  string    `json:"category,omitempty" minLength:"1" maxLength:"128" doc:"Messages of this category; of all and none if missing"`
	InApp     *bool     `json:"inApp,omitempty" default:"true" doc:"False keeps them out of the inbox"`
	MuteUntil time.Time `json:"muteUntil,omitzero" doc:"Until then they go into the inbox, but pages are not told"`
}

type preferencesOutput struct{ Body restPreferences }

func newPreferencesOutput(preferences []belfry.Preference, err error) (*preferencesOutput, error) {
	if err != nil {
		return nil, err
	}
	out := restPreferences{make([]restPreference, len(preferences))}
	for i, p := range preferences {
		inApp := !p.Off
		out.Preferences[i] = restPreference{int(p.Type), p.Category, &inApp, optionalTime(p.MuteUntil)}
	}
	return &preferencesOutput{out}, nil
}

// setPreferences answers with the preferences as they are kept.
func (a *rest) setPreferences(ctx context.Context, user belfry.UserID, set restPreferences) (*preferencesOutput, error) {
	preferences := make([]belfry.Preference, len(set.Preferences))
	for i, p := range set.Preferences {
		preferences[i] = belfry.Preference{
			Type: belfry.MessageType(p.TypeID), Category: p.Category, Off: p.InApp != nil && !*p.InApp, MuteUntil: p.MuteUntil,
		}
	}
	if err := a.service.SetPreferences(ctx, user, preferences); err != nil {
		return nil, err
	}
	return newPreferencesOutput(a.service.Preferences(ctx, user))
}
