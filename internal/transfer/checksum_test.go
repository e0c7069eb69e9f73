package transfer

import (
	"bytes"
	"reflect"
	"testing"
	"time"
)

// unused are fields that mean nothing in their record.
var unused = map[string]bool{"Message.Later": true, "Notice.IsRead": true, "Notice.IsArchived": true}

func TestEveryFieldOfARecordIsInItsChecksum(t *testing.T) {
	for _, r := range []Record{
		&Message{}, &Notice{}, &Activity{}, &Mark{}, &Member{}, &SeenPlace{}, &Revision{}, &Floor{}, &ScheduledPush{}, &Request{},
		&UserPreferences{}, &Revocation{},
	} {
		v := reflect.ValueOf(r).Elem()
		changeEach(t, r, v, v.Type().Name())
	}
}

func encoded(r Record) []byte {
	var e encoder
	r.encode(&e)
	return e.b
}

// changeEach changes each field of a struct in turn, and puts it back.
func changeEach(t *testing.T, r Record, v reflect.Value, name string) {
	for i := range v.NumField() {
		field, of := v.Field(i), name+"."+v.Type().Field(i).Name
		if v.Type().Field(i).Anonymous {
			of = name
		}
		if field.Kind() == reflect.Struct && field.Type() != reflect.TypeFor[time.Time]() {
			changeEach(t, r, field, of)
			continue
		}
		before, was := encoded(r), reflect.ValueOf(field.Interface())
		change(t, field, of)
		if bytes.Equal(encoded(r), before) != unused[of] {
			t.Errorf("%s: it is in the checksum: %t", of, unused[of])
		}
		if field.Kind() == reflect.Slice && field.Type().Elem().Kind() == reflect.Struct {
			changeEach(t, r, field.Index(0), of)
		}
		field.Set(was)
	}
}

// change sets a field to something else than its zero value.
func change(t *testing.T, field reflect.Value, name string) {
	switch field.Kind() {
	case reflect.String:
		field.SetString("x")
	case reflect.Bool:
		field.SetBool(true)
	case reflect.Int:
		field.SetInt(7)
	case reflect.Array:
		field.Index(field.Len() - 1).SetUint(7)
	case reflect.Slice:
		field.Set(reflect.MakeSlice(field.Type(), 1, 1))
	case reflect.Map:
		field.Set(reflect.MakeMap(field.Type()))
		field.SetMapIndex(reflect.ValueOf("a"), reflect.ValueOf("b"))
	case reflect.Struct:
		field.Set(reflect.ValueOf(time.Unix(7, 0)))
	default:
		t.Fatalf("%s: the test does not know how to change a %v", name, field.Kind())
	}
}

func TestASumDependsOnWhatThereIsAndNotOnItsOrder(t *testing.T) {
	var e encoder
	sum := func(records ...Record) (s Sum) {
		for _, r := range records {
			s.add(&e, r)
		}
		return s
	}
	a, b := &Floor{Owner: "a"}, &Floor{Owner: "b"}
	if sum(a, b) != sum(b, a) {
		t.Error("it depends on the order")
	}
	if sum(a, a, b, b) == sum(a, b, a, a) || sum(a, a) == sum(b, b) || sum(a) == sum(b) {
		t.Error("it does not depend on what there is")
	}
}
