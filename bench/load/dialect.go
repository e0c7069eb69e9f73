package main

import (
	"bytes"
	"encoding/json"
	"fmt"

	"belfry/load"
)

// A dialect is the JSON protocol of centrifuge (github.com/centrifugal/protocol): commands and replies
// are objects, one a line, and a message may hold several.
type dialect struct{}

var _ load.Dialect = dialect{}

// Login implements [load.Dialect]. Names of users and companies need no escaping.
func (dialect) Login(user, company string) []byte {
	return fmt.Appendf(nil, `{"id":1,"connect":{"data":{"uid":"%s","companyID":"%s"}}}`, user, company)
}

// A reply is what the server answers, or sends unasked.
type reply struct {
	ID      uint32
	Error   *struct{ Message string }
	Connect json.RawMessage
}

// A ping is the empty object, and so is what answers it.
var ping = []byte("{}")

// publication begins the publications: {"push":{"channel":…
var publication = []byte(`{"push":`)

// Read implements [load.Dialect].
func (dialect) Read(message []byte, to load.DialectPage) error {
	for line := range bytes.Lines(message) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		var err error
		switch {
		case bytes.HasPrefix(line, publication):
			err = to.Publication(line)
		case bytes.Equal(line, ping):
			err = to.Heartbeat(ping)
		default:
			err = answer(line, to)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func answer(line []byte, to load.DialectPage) error {
	var r reply
	if err := json.Unmarshal(line, &r); err != nil {
		return err
	}
	switch {
	case r.Error != nil:
		return fmt.Errorf("refused: %s", r.Error.Message)
	case r.Connect != nil:
		return to.Welcome()
	}
	return nil
}
