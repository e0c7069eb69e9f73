package mongo

import (
	"testing"
	"time"

	"belfry"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// TestMarkOfAllListsABoundedNumber marks more than a Marked lists, which takes the server of the
// tests too long: the suite of the port has fewer.
func TestMarkOfAllListsABoundedNumber(t *testing.T) {
	const own, shared = belfry.MaxMarkIDs + 5, 3
	ids := belfry.NewIDSource()
	receiver := word("1")
	var messages []messageDocument
	for i := range own + shared {
		d := messageDocument{ID: objectID(ids.New(time.Now())), ReceiverID: &receiver, CompanyID: "acme"}
		if i%2 == 1 && i < 2*shared {
			d.CompanyID = ""
		}
		messages = append(messages, d)
	}
	place := ids.New(time.Now())
	m := marking{
		who: belfry.Identity{User: "1", Company: "acme"}, mark: belfry.Mark{Kind: belfry.RevisionRead, Type: 2}, place: place,
	}
	m.markInOrder(messages, nil)
	m.revise()
	got := m.marked
	if got.OwnRows != own || got.SharedRows != shared || len(got.Own) != belfry.MaxMarkIDs || len(got.Shared) != shared || len(m.ids) != own+shared {
		t.Errorf("it changes %d and %d, lists %d and %d, and marks %d", got.OwnRows, got.SharedRows, len(got.Own), len(got.Shared), len(m.ids))
	}
	if len(m.changes.ops) != 2 {
		t.Fatalf("there are %d revisions, want 2", len(m.changes.ops))
	}
	for i, want := range []int{0, shared} { // of too many, all
		raw, err := bson.Marshal(m.changes.ops[i].Set)
		if err != nil {
			t.Fatal(err)
		}
		var d revisionDocument
		if err := bson.Unmarshal(raw, &d); err != nil {
			t.Fatal(err)
		}
		r := d.revision()
		if len(r.IDs) != want || (r.IDs == nil) != (want == 0) || (r.Type != 0) != (want == 0) || r.Place != place || r.Kind != belfry.RevisionRead {
			t.Errorf("a revision is %+v, want %d ids", r, want)
		}
	}
}
