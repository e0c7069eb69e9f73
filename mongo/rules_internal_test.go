package mongo

import (
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// TestAValidatorThatRefusesIsFound reads options as MongoDB's manual shows them ("Schema Validation").
func TestAValidatorThatRefusesIsFound(t *testing.T) {
	titled := bson.M{"$jsonSchema": bson.M{"required": bson.A{"title"}}}
	for _, c := range []struct {
		options bson.M
		want    bool
	}{
		{nil, false},
		{bson.M{}, false},
		{bson.M{"capped": true, "size": 4096}, false},
		{bson.M{"validator": bson.M{}}, false},
		{bson.M{"validator": titled}, true},
		{bson.M{"validator": titled, "validationLevel": "strict", "validationAction": "error"}, true},
		{bson.M{"validator": titled, "validationLevel": "moderate", "validationAction": "errorAndLog"}, true},
		{bson.M{"validator": titled, "validationLevel": "strict", "validationAction": "warn"}, false},
		{bson.M{"validator": titled, "validationLevel": "off", "validationAction": "error"}, false},
	} {
		var options bson.Raw
		if c.options != nil {
			var err error
			if options, err = bson.Marshal(c.options); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := validates(options); got != c.want || err != nil {
			t.Errorf("%v: %t, %v; want %t", c.options, got, err, c.want)
		}
	}
}
