package engineio

import (
	"encoding/base64"
	"errors"
)

// packetType is the kind of a packet (EIO4, "Protocol"). On the wire it is one
// ASCII digit, or in binary packets of protocol 3 the number itself.
type packetType byte

const (
	packetOpen packetType = iota
	packetClose
	packetPing
	packetPong
	packetMessage
	packetUpgrade
	packetNoop
)

// A packet is one decoded packet. Its data is a view into what it was decoded
// from.
type packet struct {
	kind   packetType
	binary bool
	data   []byte
}

var (
	errEmptyPacket  = errors.New("engineio: empty packet")
	errPacketType   = errors.New("engineio: unknown packet type")
	errPacketBase64 = errors.New("engineio: malformed base64 in a packet")
)

// decodeText decodes the text form of a packet: a digit and the data, or 'b' and
// base64 (in protocol 3 with the digit between them).
func decodeText(p Protocol, text []byte) (packet, error) {
	if len(text) == 0 {
		return packet{}, errEmptyPacket
	}
	if text[0] != 'b' {
		kind, err := digitType(text[0])
		return packet{kind: kind, data: text[1:]}, err
	}
	text, kind := text[1:], packetMessage
	if p == Protocol3 {
		if len(text) == 0 {
			return packet{}, errEmptyPacket
		}
		var err error
		if kind, err = digitType(text[0]); err != nil {
			return packet{}, err
		}
		text = text[1:]
	}
	data, err := decodeBase64(text)
	return packet{kind: kind, binary: true, data: data}, err
}

// decodeBinary decodes the binary form of a packet: the data of a message, in
// protocol 3 behind a byte with the type.
func decodeBinary(p Protocol, b []byte) (packet, error) {
	if p == Protocol4 {
		return packet{kind: packetMessage, binary: true, data: b}, nil
	}
	if len(b) == 0 {
		return packet{}, errEmptyPacket
	}
	if b[0] > byte(packetNoop) {
		return packet{}, errPacketType
	}
	return packet{kind: packetType(b[0]), binary: true, data: b[1:]}, nil
}

func digitType(c byte) (packetType, error) {
	if c < '0' || c > '0'+byte(packetNoop) {
		return 0, errPacketType
	}
	return packetType(c - '0'), nil
}

// decodeBase64 accepts padded and unpadded input, as the reference parser does.
func decodeBase64(text []byte) ([]byte, error) {
	enc := base64.StdEncoding
	if len(text)%4 != 0 {
		enc = base64.RawStdEncoding
	}
	data := make([]byte, enc.DecodedLen(len(text)))
	n, err := enc.Decode(data, text)
	if err != nil {
		return nil, errPacketBase64
	}
	return data[:n], nil
}

// appendBase64Packet appends the text form of a binary message.
func appendBase64Packet(dst []byte, p Protocol, data []byte) []byte {
	dst = append(dst, 'b')
	if p == Protocol3 {
		dst = append(dst, '0'+byte(packetMessage))
	}
	return base64.StdEncoding.AppendEncode(dst, data)
}
