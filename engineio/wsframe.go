package engineio

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// opcode is the kind of a WebSocket frame (RFC 6455 section 5.2).
type opcode byte

const (
	opContinuation opcode = 0x0
	opText         opcode = 0x1
	opBinary       opcode = 0x2
	opClose        opcode = 0x8
	opPing         opcode = 0x9
	opPong         opcode = 0xA
)

// Close codes (RFC 6455 section 7.4.1).
const (
	closeNormal          = 1000
	closeGoingAway       = 1001
	closeProtocolError   = 1002
	closeNoStatus        = 1005 // stands for a close frame without a code
	closeInvalidPayload  = 1007
	closePolicyViolation = 1008
	closeTooBig          = 1009
	closeInternalError   = 1011
)

const (
	// maxFrameHeader is the longest header of a frame from a server: two bytes
	// and a 64-bit length (RFC 6455 section 5.2).
	maxFrameHeader = 10
	// maxClientHeader adds the masking key, which frames from clients have.
	maxClientHeader = maxFrameHeader + 4
	// maxControlPayload is the longest payload of a control frame (RFC 6455
	// section 5.5).
	maxControlPayload = 125
)

const (
	bitFin  = 0x80
	bitsRSV = 0x70
	bitMask = 0x80
)

// appendFrameHeader appends the header of an unmasked, unfragmented frame.
func appendFrameHeader(dst []byte, op opcode, length int) []byte {
	dst = append(dst, bitFin|byte(op))
	switch {
	case length <= 125:
		return append(dst, byte(length))
	case length <= 0xFFFF:
		return binary.BigEndian.AppendUint16(append(dst, 126), uint16(length))
	}
	return binary.BigEndian.AppendUint64(append(dst, 127), uint64(length))
}

// appendCloseFrame appends a close frame with a code and no reason.
func appendCloseFrame(dst []byte, code int) []byte {
	if code == closeNoStatus {
		return appendFrameHeader(dst, opClose, 0)
	}
	dst = appendFrameHeader(dst, opClose, 2)
	return binary.BigEndian.AppendUint16(dst, uint16(code))
}

// closeReply returns the code that answers a peer's close frame: its own (RFC
// 6455 section 5.5.1), if it is one that may be sent (section 7.4).
func closeReply(payload []byte) (code int, err error) {
	if len(payload) == 0 {
		return closeNoStatus, nil
	}
	if len(payload) > 1 {
		code = int(binary.BigEndian.Uint16(payload))
	}
	switch {
	case code >= 3000 && code <= 4999:
	case code < 1000 || code > 1014, code >= 1004 && code <= 1006:
		return 0, protocolError("a close frame with an invalid code")
	}
	if !utf8.Valid(payload[2:]) {
		return 0, errNotUTF8
	}
	return code, nil
}

// A closeError ends a WebSocket connection with a close code.
type closeError struct {
	code int
	text string
}

func (e *closeError) Error() string {
	return fmt.Sprintf("engineio: websocket: %s (%d)", e.text, e.code)
}

func protocolError(text string) error { return &closeError{closeProtocolError, text} }

var (
	errUnmasked = protocolError("a client's frame is not masked")
	errTooBig   = &closeError{closeTooBig, "message exceeds the limit"}
	errNotUTF8  = &closeError{closeInvalidPayload, "text is not UTF-8"}
)

// A frameSink gets what a frameReader finds. The payload is valid only during
// the call.
type frameSink interface {
	frame(op opcode, payload []byte) error
}

// A frameReader turns the bytes of a client into messages and control frames,
// however they are split. Between messages it holds nothing: any other connection
// can be read with it.
type frameReader struct {
	maxMessage int

	header  [maxClientHeader]byte
	have    int    // bytes of header that have arrived
	payload bool   // the header is complete, the payload is arriving
	need    int    // bytes of payload still to come
	masked  int    // bytes of payload that are unmasked already
	message []byte // what has arrived of a message that came in pieces
	kind    opcode // of that message; 0 when none has begun
	control []byte // what has arrived of a control frame that came in pieces
	err     error  // why reading has ended
}

// feed consumes p, which it may change, and hands every complete message and
// control frame to sink, in order. An error, the sink's or the protocol's, ends
// the reading: what follows is discarded, with the same error.
func (r *frameReader) feed(p []byte, sink frameSink) error {
	if r.err == nil {
		r.err = r.read(p, sink)
	}
	return r.err
}

func (r *frameReader) read(p []byte, sink frameSink) error {
	for len(p) > 0 || (r.payload && r.need == 0) {
		if !r.payload {
			n, err := r.readHeader(p)
			if err != nil {
				return err
			}
			p = p[n:]
			continue
		}
		n := min(r.need, len(p))
		chunk := p[:n]
		p = p[n:]
		r.masked = unmask(chunk, r.key(), r.masked)
		r.need -= n
		if err := r.take(chunk, sink); err != nil {
			return err
		}
	}
	return nil
}

// resting reports whether nothing has arrived of a further message or frame.
func (r *frameReader) resting() bool {
	return r.have == 0 && !r.payload && r.kind == 0 && r.control == nil
}

// readHeader consumes bytes of the frame header and checks it when complete.
func (r *frameReader) readHeader(p []byte) (n int, err error) {
	for n < len(p) {
		r.header[r.have] = p[n]
		r.have++
		n++
		if r.have >= 2 && r.have == r.headerSize() {
			return n, r.begin()
		}
	}
	return n, nil
}

// headerSize is known once two bytes have arrived.
func (r *frameReader) headerSize() int {
	size := 2
	switch r.header[1] &^ bitMask {
	case 126:
		size += 2
	case 127:
		size += 8
	}
	if r.header[1]&bitMask != 0 {
		size += 4
	}
	return size
}

func (r *frameReader) key() [4]byte { return [4]byte(r.header[r.have-4 : r.have]) }

func (r *frameReader) op() opcode { return opcode(r.header[0] & 0x0F) }

func (r *frameReader) fin() bool { return r.header[0]&bitFin != 0 }

// begin checks a complete header (RFC 6455 sections 5.2, 5.4, 5.5).
func (r *frameReader) begin() error {
	if r.header[0]&bitsRSV != 0 {
		return protocolError("reserved bits are set")
	}
	if r.header[1]&bitMask == 0 {
		return errUnmasked
	}
	length := uint64(r.header[1] &^ bitMask)
	switch length {
	case 126:
		length = uint64(binary.BigEndian.Uint16(r.header[2:]))
	case 127:
		length = binary.BigEndian.Uint64(r.header[2:])
	}
	switch op := r.op(); op {
	case opText, opBinary:
		if r.kind != 0 {
			return protocolError("a new message began inside another")
		}
	case opContinuation:
		if r.kind == 0 {
			return protocolError("a continuation without a beginning")
		}
	case opClose, opPing, opPong:
		if !r.fin() || length > maxControlPayload {
			return protocolError("a control frame is fragmented or too long")
		}
	default:
		return protocolError("unknown opcode")
	}
	if r.op() < opClose && length > uint64(r.maxMessage-len(r.message)) {
		return errTooBig
	}
	r.payload, r.need, r.masked = true, int(length), 0
	return nil
}

// take gets the next unmasked piece of the current frame's payload.
func (r *frameReader) take(piece []byte, sink frameSink) error {
	op, done := r.op(), r.need == 0
	if done {
		r.payload, r.have = false, 0
	}
	if op >= opClose {
		if done && r.control == nil {
			return sink.frame(op, piece)
		}
		r.control = append(r.control, piece...)
		if !done {
			return nil
		}
		whole := r.control
		r.control = nil
		return sink.frame(op, whole)
	}
	if op != opContinuation {
		r.kind = op
	}
	last := done && r.header[0]&bitFin != 0
	if last && r.message == nil {
		kind := r.kind
		r.kind = 0
		return deliver(kind, piece, sink)
	}
	r.grow(len(piece) + r.need)
	r.message = append(r.message, piece...)
	if !last {
		return nil
	}
	kind, whole := r.kind, r.message
	r.kind, r.message = 0, nil
	return deliver(kind, whole, sink)
}

// grow makes room for n more bytes of message, but for no more than a client
// has shown that it sends: a header alone must not reserve a megabyte.
func (r *frameReader) grow(n int) {
	const trusted = 16 << 10
	if free := cap(r.message) - len(r.message); free < n {
		n = min(n, max(trusted, 2*len(r.message)))
		r.message = append(make([]byte, 0, len(r.message)+n), r.message...)
	}
}

func deliver(kind opcode, payload []byte, sink frameSink) error {
	if kind == opText && !utf8.Valid(payload) {
		return errNotUTF8
	}
	return sink.frame(kind, payload)
}

// unmask applies the masking key (RFC 6455 section 5.3) to p, whose first byte
// is at offset pos of the payload, and returns the offset after it.
func unmask(p []byte, key [4]byte, pos int) int {
	var rotated [4]byte
	for i := range rotated {
		rotated[i] = key[(pos+i)&3]
	}
	pos += len(p)
	word := uint64(binary.LittleEndian.Uint32(rotated[:]))
	word |= word << 32
	for len(p) >= 8 {
		binary.LittleEndian.PutUint64(p, binary.LittleEndian.Uint64(p)^word)
		p = p[8:]
	}
	for i := range p {
		p[i] ^= rotated[i&3]
	}
	return pos
}
