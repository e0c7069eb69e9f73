package sqlite

import (
	"testing"

	"belfry"
)

// What has come since the last tick, while there is still something to do of it, is not forgotten.
func TestCloseSettlesWhatIsFresh(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	ids := belfry.NewIDSource()
	addTo(t, s, ids, 3*maxLate, "1")
	s.unsettled.age() // as at a tick, of which the writer has not begun to do anything
	addTo(t, s, ids, 3*maxLate, "2")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := s.unsettled.len(); n != 0 {
		t.Errorf("%d are left", n)
	}
	conn := raw(t, dir+"/"+FileName)
	var n int
	if err := conn.QueryRowContext(t.Context(), "SELECT count(*) FROM waiting").Scan(&n); err != nil || n != 6*maxLate {
		t.Errorf("%d wait, %v", n, err)
	}
}
