package socketio

import "errors"

// What the methods of a [Socket] and a [Broadcast] fail with. Test for them
// with [errors.Is].
var (
	// ErrNotConnected says that the socket is not, or no longer, connected.
	ErrNotConnected = errors.New("socketio: socket is not connected")
	// ErrAckTimeout says that the client did not answer in time.
	ErrAckTimeout = errors.New("socketio: no acknowledgement in time")
	// ErrAcknowledged says that an event has been acknowledged before.
	ErrAcknowledged = errors.New("socketio: event is acknowledged already")
	// ErrNoAck says that the client asked for no acknowledgement.
	ErrNoAck = errors.New("socketio: no acknowledgement was asked for")
	// ErrReservedEvent says that an event has a name that only the protocol's
	// own events may have, such as "disconnect".
	ErrReservedEvent = errors.New("socketio: reserved event name")
	// ErrTooManyAttachments says that the arguments hold more binary values
	// than Options.MaxAttachments.
	ErrTooManyAttachments = errors.New("socketio: too many attachments")
	// ErrTooManyRooms says that the socket is in Options.MaxRooms rooms.
	ErrTooManyRooms = errors.New("socketio: too many rooms")
	// ErrNoArgument says that there are fewer arguments.
	ErrNoArgument = errors.New("socketio: no such argument")
	// ErrNesting says that an argument is nested too deeply.
	ErrNesting = errors.New("socketio: argument is nested too deeply")
	// ErrPlaceholder says that JSON beside binary arguments contains what
	// looks like the placeholder of an attachment.
	ErrPlaceholder = errors.New("socketio: argument contains a placeholder")
	// ErrInvalidJSON says that a json.RawMessage is not valid JSON.
	ErrInvalidJSON = errors.New("socketio: argument is not valid JSON")
)

// A ConnectError refuses a connection with what the client is to learn. In
// revision 5 the client gets {"message":Message,"data":Data}; in revision 4 it
// gets Data, or Message where Data is nil.
type ConnectError struct {
	Message string
	Data    any // anything that encodes to JSON
}

func (e *ConnectError) Error() string { return e.Message }
