package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
)

// A front takes the connections of clients and has FerretDB serve them, without the bounds that clients set for the time of a
// question. FerretDB ends such a question by interrupting SQLite, and modernc.org/sqlite 1.32 then at times leaves the
// statement as it is: its connection goes back to the pool with the state of the database that it began to read, and with it
// answers questions of others, or fails whatever it is asked ("interrupted (9)"). Commits that were acknowledged
// were not there for who read through such a connection.
type front struct {
	listener net.Listener
	behind   string // the socket of FerretDB
}

func (f *front) serve() error {
	for {
		c, err := f.listener.Accept()
		if err != nil {
			return err
		}
		go f.pass(c)
	}
}

func (f *front) pass(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("unix", f.behind)
	if err != nil {
		return
	}
	go func() {
		defer client.Close() // which ends the reading below
		_, _ = io.Copy(client, server)
	}()
	defer server.Close()
	for {
		m, err := readMessage(client)
		if err != nil {
			return
		}
		unbind(m)
		if _, err := server.Write(m); err != nil {
			return
		}
	}
}

// maxMessage is what a message has at most (maxMessageSizeBytes in the answer to hello).
const maxMessage = 48_000_000

// readMessage reads a message: its length, in all, comes first ("MongoDB Wire Protocol", "Standard Message Header").
func readMessage(r io.Reader) ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(length[:])
	if n < uint32(len(length)) || n > maxMessage {
		return nil, errors.New("a message has no such length")
	}
	m := make([]byte, n)
	copy(m, length[:])
	_, err := io.ReadFull(r, m[len(length):])
	return m, err
}

// bound is the field of a command that says for how many milliseconds the server may work, an int64 (type 0x12 in bsonspec.org).
var bound = []byte("\x12maxTimeMS\x00")

// unbind sets it to 0, which is no bound. No other field of what belfry stores has the name.
func unbind(message []byte) {
	for {
		i := bytes.Index(message, bound)
		if i < 0 || len(message) < i+len(bound)+8 {
			return
		}
		message = message[i+len(bound):]
		clear(message[:8])
	}
}
