package emitters_test

import (
	"encoding/json"
	"testing"

	"belfry"
	"belfry/redis/emitters"
)

func FuzzParse(f *testing.F) {
	for _, r := range records(f) {
		for _, p := range r.Published {
			f.Add(p.Channel, decoded(f, p.Payload))
		}
	}
	f.Fuzz(func(t *testing.T, channel string, payload []byte) {
		e, err := emitters.Parse("socket.io", channel, payload)
		if err != nil {
			return
		}
		env := e.Envelope
		if n := len(env.Rooms) + len(env.Except); len(env.Rooms) == 0 || n > emitters.MaxRooms+1 {
			t.Errorf("it is for %d rooms", n)
		}
		if env.Disconnect != (env.Event == "") || belfry.ReservedEvent(env.Event) {
			t.Errorf("the event is %q, and it disconnects: %t", env.Event, env.Disconnect)
		}
		if _, err := json.Marshal(env.Args); err != nil {
			t.Error(err)
		}
	})
}
