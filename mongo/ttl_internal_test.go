package mongo

import (
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

func TestTheCommandsThatChangeATTL(t *testing.T) {
	const day = 24 * time.Hour
	for name, one := range map[string]struct {
		have, want TTL
		commands   []string
	}{
		"none":          {TTL{}, TTL{}, nil},
		"as it was":     {TTL{day, day}, TTL{day, day}, nil},
		"of messages":   {TTL{}, TTL{MessageAge: day}, []string{`{"createIndexes":"msgNotice","indexes":[{"key":{"isRead":1,"_id":1},"name":"belfryAged"},{"key":{"storedAt":1},"name":"belfryTTL","expireAfterSeconds":86400,"partialFilterExpression":{"isRead":1}}]}`}},
		"of activities": {TTL{MessageAge: day}, TTL{MessageAge: day, ActivityAge: day}, []string{`{"createIndexes":"handleLog","indexes":[{"key":{"storedAt":1},"name":"belfryTTL","expireAfterSeconds":86400}]}`}},
		"changed":       {TTL{day, day}, TTL{2 * day, day}, []string{`{"collMod":"msgNotice","index":{"name":"belfryTTL","expireAfterSeconds":172800}}`}},
		"no longer": {TTL{day, day}, TTL{}, []string{
			`{"dropIndexes":"msgNotice","index":"belfryTTL"}`, `{"dropIndexes":"msgNotice","index":"belfryAged"}`, `{"dropIndexes":"handleLog","index":"belfryTTL"}`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, command := range ttlCommands(one.have, one.want) {
				text, err := bson.MarshalExtJSON(command, false, false)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, string(text))
			}
			if strings.Join(got, "\n") != strings.Join(one.commands, "\n") {
				t.Errorf("commands\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(one.commands, "\n"))
			}
		})
	}
}
