package engineio

// A Message is one message of a session: text (UTF-8) or binary.
type Message struct {
	Data   []byte
	Binary bool
}

// A Frame is one message, or several that must stay together, encoded once for
// sessions of one protocol. It is immutable: any number of sessions' queues may
// share it.
type Frame struct {
	// wire holds the WebSocket frames, ready to be written.
	wire []byte
	// parts are the packets inside wire, for the payloads of polling.
	parts []part
	// alone says that nothing follows for a while; see [Frame.Alone].
	alone bool
}

// A part is one packet inside Frame.wire. For text it is the type digit and the
// data; for binary in protocol 3 the type byte and the data, in protocol 4 the data.
type part struct {
	start, end int
	binary     bool
}

// NewFrame encodes messages for sessions of protocol p. It copies their data.
func NewFrame(p Protocol, messages ...Message) *Frame {
	size := 0
	for _, m := range messages {
		size += maxFrameHeader + 1 + len(m.Data)
	}
	f := &Frame{wire: make([]byte, 0, size), parts: make([]part, 0, len(messages))}
	for _, m := range messages {
		switch {
		case !m.Binary:
			f.append(opText, '0'+byte(packetMessage), m.Data)
		case p == Protocol3:
			f.append(opBinary, byte(packetMessage), m.Data)
		default:
			f.wire = appendFrameHeader(f.wire, opBinary, len(m.Data))
			start := len(f.wire)
			f.wire = append(f.wire, m.Data...)
			f.parts = append(f.parts, part{start, len(f.wire), true})
		}
	}
	return f
}

// newPacket encodes one text packet of any kind.
func newPacket(kind packetType, data string) *Frame {
	f := &Frame{}
	f.append(opText, '0'+byte(kind), []byte(data))
	return f
}

func (f *Frame) append(op opcode, first byte, data []byte) {
	f.wire = appendFrameHeader(f.wire, op, 1+len(data))
	start := len(f.wire)
	f.wire = append(append(f.wire, first), data...)
	f.parts = append(f.parts, part{start, len(f.wire), op == opBinary})
}

// Alone returns a frame with the same content that is never joined with what is
// queued behind it: it leaves in a write, or answers a poll, of its own, and
// what follows on the same connection comes a few milliseconds later. It is meant
// for the answers of handshakes: some clients attach the listener for the next
// packet only when they have handled the one before.
func (f *Frame) Alone() *Frame {
	g := *f
	g.alone = true
	return &g
}

// Size returns how many bytes the frame counts for in a session's queue.
func (f *Frame) Size() int { return len(f.wire) }

func (f *Frame) data(p part) []byte { return f.wire[p.start:p.end] }

func (f *Frame) hasBinary() bool {
	for _, p := range f.parts {
		if p.binary {
			return true
		}
	}
	return false
}

// base64Wire encodes the frame for a WebSocket session of protocol 3 that was
// opened with b64 and so cannot read binary frames.
func (f *Frame) base64Wire() []byte {
	var out []byte
	for _, p := range f.parts {
		data := f.data(p)
		if p.binary {
			data = appendBase64Packet(nil, Protocol3, data[1:])
		}
		out = append(appendFrameHeader(out, opText, len(data)), data...)
	}
	return out
}

// The packets without data are the same for every session.
var (
	framePing  = newPacket(packetPing, "")
	framePong  = newPacket(packetPong, "")
	frameClose = newPacket(packetClose, "")
	frameNoop  = newPacket(packetNoop, "")
)
