package sqlite

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"belfry"
)

// encodeExtra returns the JSON of extra fields, or nil where there are none.
func encodeExtra(extra map[string]string) (any, error) {
	if len(extra) == 0 {
		return nil, nil
	}
	b, err := json.Marshal(extra)
	return string(b), err
}

func decodeExtra(text sql.NullString) (map[string]string, error) {
	if !text.Valid {
		return nil, nil
	}
	var extra map[string]string
	if err := json.Unmarshal([]byte(text.String), &extra); err != nil {
		return nil, fmt.Errorf("extra fields: %w", err)
	}
	return extra, nil
}

// encodeChanges returns the JSON of field changes, or nil where there are none.
func encodeChanges(changes []belfry.FieldChange) (any, error) {
	if len(changes) == 0 {
		return nil, nil
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	err := e.Encode(changes)
	return text.String(), err
}

func decodeChanges(text sql.NullString) ([]belfry.FieldChange, error) {
	if !text.Valid {
		return nil, nil
	}
	var changes []belfry.FieldChange
	if err := json.Unmarshal([]byte(text.String), &changes); err != nil {
		return nil, fmt.Errorf("field changes: %w", err)
	}
	return changes, nil
}

// encodeData keeps JSON as it was written.
func encodeData(data json.RawMessage) any {
	if data == nil {
		return nil
	}
	return string(data)
}

// scanID copies an id out of a column.
func scanID(column []byte, id *belfry.ID) error {
	if len(column) != len(id) {
		return fmt.Errorf("an id of %d bytes in the database", len(column))
	}
	copy(id[:], column)
	return nil
}

// encodeIDs joins ids. There is at least one.
func encodeIDs(ids []belfry.ID) []byte {
	joined := make([]byte, 0, len(ids)*len(belfry.ID{}))
	for _, id := range ids {
		joined = append(joined, id[:]...)
	}
	return joined
}

func decodeIDs(joined []byte) ([]belfry.ID, error) {
	const size = len(belfry.ID{})
	if len(joined)%size != 0 {
		return nil, fmt.Errorf("ids of %d bytes in the database", len(joined))
	}
	ids := make([]belfry.ID, 0, len(joined)/size)
	for ; len(joined) > 0; joined = joined[size:] {
		ids = append(ids, belfry.ID(joined[:size]))
	}
	return ids, nil
}

func scanDate(seconds int64) time.Time { return time.Unix(seconds, 0).UTC() }

// encodeMillis returns Unix milliseconds, or 0 for the zero time. What is before
// 1970 is past anyway.
func encodeMillis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return max(1, t.UnixMilli())
}

func scanMillis(millis int64) time.Time {
	if millis == 0 {
		return time.Time{}
	}
	return time.UnixMilli(millis).UTC()
}
