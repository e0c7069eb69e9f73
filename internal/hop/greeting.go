package hop

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	"net"
)

// A Key is what nodes prove to each other that they have.
type Key struct{ key []byte }

// NewKey derives the key of a secret (HKDF, RFC 5869). The label makes it another than any that the secret is used for
// elsewhere.
func NewKey(secret string) Key {
	key, err := hkdf.Key(sha256.New, []byte(secret), nil, "belfry hop between nodes", sha256.Size)
	if err != nil { // only for a key that is longer than HKDF can make
		panic(err)
	}
	return Key{key}
}

// hello begins a connection. No HTTP request does, and none is shorter.
const hello = "belfry hop 1\n"

const nonceSize = 32

var (
	errNoHello  = errors.New("not a node")
	errNoProof  = errors.New("a node with another secret")
	errNotOwner = errors.New("what answers there is not that node, or has another secret")
)

// Who proves.
const (
	ofOwner  = 'o'
	ofPasser = 'p'
)

// proof says that who has the key, for this connection and this node. All that is before the node has one length.
func (k Key) proof(who byte, passers, owners []byte, node string) []byte {
	mac := hmac.New(sha256.New, k.key)
	mac.Write([]byte{who})
	mac.Write(passers)
	mac.Write(owners)
	mac.Write([]byte(node))
	return mac.Sum(nil)
}

// introduce greets the node that owns what is to be passed on. The deadline is the caller's to set.
func (k Key) introduce(c net.Conn, node string) error {
	mine := make([]byte, nonceSize)
	rand.Read(mine)
	if _, err := c.Write(append([]byte(hello), mine...)); err != nil {
		return err
	}
	var answer [nonceSize + sha256.Size]byte
	if _, err := io.ReadFull(c, answer[:]); err != nil {
		return errors.Join(errNotOwner, err)
	}
	theirs, proof := answer[:nonceSize], answer[nonceSize:]
	if !hmac.Equal(proof, k.proof(ofOwner, mine, theirs, node)) {
		return errNotOwner
	}
	_, err := c.Write(k.proof(ofPasser, mine, theirs, node))
	return err
}

// receive is the other side of introduce, at the node of that name.
func (k Key) receive(c net.Conn, node string) error {
	var first [len(hello)]byte
	if _, err := io.ReadFull(c, first[:]); err != nil {
		return err
	}
	if string(first[:]) != hello {
		return errNoHello
	}
	var theirs [nonceSize]byte
	if _, err := io.ReadFull(c, theirs[:]); err != nil {
		return err
	}
	mine := make([]byte, nonceSize, nonceSize+sha256.Size)
	rand.Read(mine)
	if _, err := c.Write(append(mine, k.proof(ofOwner, theirs[:], mine, node)...)); err != nil {
		return err
	}
	var proof [sha256.Size]byte
	if _, err := io.ReadFull(c, proof[:]); err != nil {
		return err
	}
	if !hmac.Equal(proof[:], k.proof(ofPasser, theirs[:], mine, node)) {
		return errNoProof
	}
	return nil
}
