package load

import (
	"encoding/binary"
	"errors"
)

// The opcodes of WebSocket frames (RFC 6455 section 5.2).
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA
)

// maxMessage bounds one message, or the body of one answer, from the server.
const maxMessage = 16 << 20

// maxKept is the largest buffer that a connection keeps between messages.
const maxKept = 16 << 10

var (
	errFrame  = errors.New("the server broke the WebSocket protocol")
	errTooBig = errors.New("the server sent more than 16 MiB at once")
)

// appendFrame appends a frame as clients send it. Frames of clients must be masked (section
// 5.3); the key is zero, so that the payload stays as it is.
func appendFrame(b []byte, op byte, payload []byte) []byte {
	b = append(b, 0x80|op)
	switch n := len(payload); {
	case n <= 125:
		b = append(b, 0x80|byte(n))
	case n <= 0xFFFF:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	b = append(b, 0, 0, 0, 0)
	return append(b, payload...)
}

// A frameSink gets whole messages and control frames. The payload is valid during the
// call.
type frameSink interface {
	frame(op byte, payload []byte) error
}

// A frameReader turns what a server sends into messages, however it is split. What lies in one piece
// is handed over where it lies.
type frameReader struct {
	header [10]byte
	have   int    // bytes of the header
	size   int    // of the payload; known when the header is complete
	whole  bool   // the header is complete
	part   []byte // of a payload that came in pieces
	joined []byte // of a message in fragments
	kind   byte   // of that message
}

// feed consumes p. After an error the reader is not used again.
func (r *frameReader) feed(p []byte, sink frameSink) error {
	for {
		if !r.whole {
			n, err := r.readHeader(p)
			if err != nil {
				return err
			}
			if p = p[n:]; !r.whole {
				return nil
			}
		}
		need := r.size - len(r.part)
		if len(p) < need {
			r.part = append(r.part, p...)
			return nil
		}
		payload := p[:need]
		p = p[need:]
		if len(r.part) > 0 {
			r.part = append(r.part, payload...)
			payload = r.part
		}
		err := r.take(payload, sink)
		r.part = reset(r.part)
		r.have, r.whole = 0, false
		if err != nil {
			return err
		}
	}
}

// reset empties a buffer, and lets a large one go.
func reset(b []byte) []byte {
	if cap(b) > maxKept {
		return nil
	}
	return b[:0]
}

// readHeader consumes bytes of the header and checks it when it is complete.
func (r *frameReader) readHeader(p []byte) (n int, err error) {
	for n < len(p) {
		r.header[r.have] = p[n]
		r.have++
		n++
		if r.have >= 2 && r.have == headerSize(r.header[1]) {
			r.whole = true
			return n, r.begin()
		}
	}
	return n, nil
}

func headerSize(second byte) int {
	switch second & 0x7F {
	case 126:
		return 4
	case 127:
		return 10
	}
	return 2
}

func (r *frameReader) begin() error {
	length := uint64(r.header[1] & 0x7F)
	switch length {
	case 126:
		length = uint64(binary.BigEndian.Uint16(r.header[2:]))
	case 127:
		length = binary.BigEndian.Uint64(r.header[2:])
	}
	op, fin := r.header[0]&0x0F, r.header[0]&0x80 != 0
	switch {
	case r.header[0]&0x70 != 0, r.header[1]&0x80 != 0: // reserved bits, a mask
		return errFrame
	case op >= opClose && (!fin || length > 125 || op > opPong):
		return errFrame
	case op == opContinuation && r.kind == 0, op != opContinuation && op < opClose && r.kind != 0:
		return errFrame
	case op > opBinary && op < opClose:
		return errFrame
	case length > maxMessage-uint64(len(r.joined)):
		return errTooBig
	}
	r.size = int(length)
	return nil
}

// take gets the payload of a frame.
func (r *frameReader) take(payload []byte, sink frameSink) error {
	op, fin := r.header[0]&0x0F, r.header[0]&0x80 != 0
	if op >= opClose || fin && op != opContinuation {
		return sink.frame(op, payload)
	}
	if op != opContinuation {
		r.kind = op
	}
	r.joined = append(r.joined, payload...)
	if !fin {
		return nil
	}
	err := sink.frame(r.kind, r.joined)
	r.kind, r.joined = 0, reset(r.joined)
	return err
}
