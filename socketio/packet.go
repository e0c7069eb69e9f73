package socketio

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
)

// A packetType is the first digit of a packet (Socket.IO protocol, "Exchange
// protocol").
type packetType byte

const (
	packetConnect packetType = iota
	packetDisconnect
	packetEvent
	packetAck
	packetConnectError // "ERROR" in revision 4
	packetBinaryEvent
	packetBinaryAck
)

const (
	// maxNamespaceLen bounds the bytes of a namespace's name, its query left aside.
	maxNamespaceLen = 128
	// maxNamespaceQuery is what a revision 4 name with a query may have.
	maxNamespaceQuery = 4096
	// maxAckID is the largest integer that JavaScript tells from its neighbours.
	maxAckID = 1<<53 - 1
	// noAck stands for a packet without acknowledgement id.
	noAck = -1
)

// reservedEvents are those that client and server raise themselves. Neither
// side may send them.
var reservedEvents = []string{
	"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener",
}

func isReserved(name string) bool { return slices.Contains(reservedEvents, name) }

// Why a message is no packet. They end up in the log, at level debug.
var (
	errEmptyPacket       = errors.New("empty packet")
	errUTF8              = errors.New("text is not UTF-8")
	errPacketType        = errors.New("unknown packet type")
	errAttachments       = errors.New("bad number of attachments")
	errPlaceholder       = errors.New("bad placeholder")
	errNamespace         = errors.New("bad namespace name")
	errAckID             = errors.New("bad acknowledgement id")
	errPayload           = errors.New("bad payload")
	errReserved          = errors.New("reserved event name")
	errTextExpected      = errors.New("binary message where a packet begins")
	errBinaryExpected    = errors.New("text message where an attachment belongs")
	errInvalidState      = errors.New("packet for a namespace that is not connected")
	errTooManyNamespaces = errors.New("too many namespaces")
)

// A packet is one decoded text message. Its slices are parts of the message.
type packet struct {
	typ         packetType // never a binary one, see binary
	binary      bool       // the payload has placeholders, attachments follow
	attachments int
	namespace   []byte
	query       []byte // of the namespace, revision 4 only
	id          int64  // noAck where there is none
	payload     []byte // JSON; nil where there is none
	items       []span // of events and acks: the elements of payload
}

// decodePacket reads the text of a packet:
//
//	<type>[<attachments>-][<namespace>,][<id>][<JSON>]
//
// (Socket.IO protocol, "Packet encoding"). items is scratch space for
// packet.items.
func decodePacket(text []byte, revision, maxAttachments int, items []span) (packet, error) {
	p := packet{id: noAck, namespace: []byte("/")}
	if len(text) == 0 {
		return p, errEmptyPacket
	}
	if !utf8.Valid(text) {
		return p, errUTF8
	}
	p.typ = packetType(text[0] - '0')
	if p.typ > packetBinaryAck {
		return p, errPacketType
	}
	rest, err := p.decodeAttachments(text[1:], revision, maxAttachments)
	if err != nil {
		return p, err
	}
	if rest, err = p.decodeNamespace(rest, revision); err != nil {
		return p, err
	}
	if rest, err = p.decodeID(rest); err != nil {
		return p, err
	}
	if len(rest) > 0 {
		p.payload = rest
	}
	return p, p.checkPayload(items)
}

// decodeAttachments reads "<n>-" of a binary packet. Clients of revision 4 can
// announce 0: they look for binary data less carefully than they extract it.
func (p *packet) decodeAttachments(text []byte, revision, limit int) ([]byte, error) {
	switch p.typ {
	case packetBinaryEvent:
		p.typ = packetEvent
	case packetBinaryAck:
		p.typ = packetAck
	default:
		return text, nil
	}
	p.binary = true
	digits, rest, found := bytes.Cut(text, []byte("-"))
	p.attachments = parseIndex(digits)
	if !found || p.attachments < 0 || p.attachments > limit || p.attachments == 0 && revision >= 5 {
		return nil, errAttachments
	}
	return rest, nil
}

func (p *packet) decodeNamespace(text []byte, revision int) ([]byte, error) {
	if len(text) == 0 || text[0] != '/' {
		return text, nil
	}
	name, rest, _ := bytes.Cut(text, []byte(","))
	if revision < 5 && p.typ == packetConnect {
		name, p.query, _ = bytes.Cut(name, []byte("?"))
		if len(p.query) > maxNamespaceQuery {
			return nil, errNamespace
		}
	}
	if revision < 5 && !isASCII(name) {
		return nil, errNamespace
	}
	p.namespace = name
	return rest, nil
}

func (p *packet) decodeID(text []byte) ([]byte, error) {
	n := skipDigits(text, 0)
	if n == 0 {
		return text, nil
	}
	if n > len("9007199254740991") || p.typ != packetEvent && p.typ != packetAck {
		return nil, errAckID
	}
	p.id = 0
	for _, c := range text[:n] {
		p.id = p.id*10 + int64(c-'0')
	}
	if p.id > maxAckID {
		return nil, errAckID
	}
	return text[n:], nil
}

// checkPayload holds the payload against what the type demands.
func (p *packet) checkPayload(items []span) error {
	switch p.typ {
	case packetConnect:
		if p.payload == nil {
			return nil
		}
		if i := skipSpace(p.payload, 0); i == len(p.payload) || p.payload[i] != '{' || !validJSON(p.payload) {
			return errPayload
		}
	case packetDisconnect:
		if p.payload != nil {
			return errPayload
		}
	case packetConnectError:
		if p.payload != nil && !validJSON(p.payload) {
			return errPayload
		}
	case packetAck:
		if p.id == noAck {
			return errAckID
		}
		return p.splitPayload(items)
	default:
		if err := p.splitPayload(items); err != nil {
			return err
		}
		if len(p.items) == 0 {
			return errPayload
		}
		name, err := eventName(p.items[0].of(p.payload))
		if err != nil {
			return err
		}
		if isReserved(string(name)) {
			return errReserved
		}
	}
	return nil
}

func (p *packet) splitPayload(items []span) error {
	var ok bool
	if p.items, ok = splitArray(p.payload, items); !ok {
		return errPayload
	}
	return nil
}

// eventName returns the name that the first element of an event stands for: a
// string, or a number in its decimal form as the reference allows.
func eventName(element []byte) ([]byte, error) {
	switch c := element[0]; {
	case c == '"':
		return unquote(element), nil
	case c == '-' || isDigit(c):
		return element, nil
	}
	return nil, errPayload
}

// args returns the arguments of an event or ack as they are after the first
// skip elements, copied. The attachments become the Args' own.
func (p *packet) args(skip int, files [][]byte) (Args, error) {
	a := Args{}
	if n := len(p.items) - skip; n > 0 {
		payload := bytes.Clone(p.payload)
		a.items = make([]json.RawMessage, n)
		for i, s := range p.items[skip:] {
			a.items[i] = s.of(payload)
		}
	}
	if !p.binary {
		return a, nil
	}
	a.binary = &binaryArgs{files: files, holes: make([][]placeholder, len(a.items))}
	for i, item := range a.items {
		holes, _ := findPlaceholders(item, 0, nil)
		for _, h := range holes {
			if h.num < 0 || h.num >= len(files) {
				return Args{}, fmt.Errorf("%w in argument %d", errPlaceholder, i)
			}
		}
		a.binary.holes[i] = holes
	}
	return a, nil
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// A partial is a binary packet that waits for its attachments.
type partial struct {
	packet packet
	files  [][]byte
}

// newPartial keeps a copy of what p refers to.
func newPartial(p *packet) *partial {
	p.namespace = bytes.Clone(p.namespace)
	p.payload = bytes.Clone(p.payload)
	p.items = slices.Clone(p.items)
	return &partial{packet: *p, files: make([][]byte, 0, p.attachments)}
}

// add takes the next attachment and reports whether it was the last.
func (w *partial) add(data []byte) bool {
	w.files = append(w.files, bytes.Clone(data))
	return len(w.files) == w.packet.attachments
}
