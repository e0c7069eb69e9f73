package emitters

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"belfry"
)

// disconnectSockets is the type of the request that ends pages.
const disconnectSockets = 4

// requests names those that belfry does not do.
var requests = map[int]string{
	0: "a question of Socket.IO servers for sockets",
	1: "a question of Socket.IO servers for rooms",
	2: "socketsJoin",
	3: "socketsLeave",
	5: "a question of Socket.IO servers for sockets",
	6: "serverSideEmit",
}

// parseRequest reads an order to the servers. An order to disconnect has to say whom, were it by an empty list:
// Socket.IO servers publish one that names a single socket, in other words, which must not end all pages.
func parseRequest(place string, payload []byte) (belfry.Envelope, error) {
	var none belfry.Envelope
	namespace, ok := strings.CutSuffix(place, "#")
	if !ok {
		return none, errors.New("its channel is not that of a request")
	}
	if err := checkNamespace(namespace); err != nil {
		return none, err
	}
	var request struct {
		Type *int
		Opts *struct{ Rooms, Except []string }
	}
	switch err := json.Unmarshal(payload, &request); {
	case err != nil:
		return none, errors.New("it is no request: its JSON is wrong")
	case request.Type == nil:
		return none, errors.New("it is no request: it has no type")
	case *request.Type != disconnectSockets:
		name, ok := requests[*request.Type]
		if !ok {
			name = "a request of an unknown type"
		}
		return none, fmt.Errorf("%w: %s", ErrUnsupported, name)
	case request.Opts == nil || request.Opts.Rooms == nil:
		return none, errors.New("it disconnects pages and does not say in which rooms")
	}
	rooms := request.Opts.Rooms
	if len(rooms) == 0 {
		rooms = []string{belfry.EverybodyRoom}
	}
	return belfry.Envelope{Rooms: rooms, Except: request.Opts.Except, Disconnect: true}, checkRooms(rooms, request.Opts.Except)
}
