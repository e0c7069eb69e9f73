package server

import "belfry"

// A Cluster makes what a node shares with others. The server closes both.
type Cluster interface {
	Broker(belfry.Emitter) Broker
	Presence(belfry.PresenceOptions) (Presence, error)
}

// A Broker is a [belfry.Broker] that is closed at the end.
type Broker interface {
	belfry.Broker
	Close()
}

// A Presence is a [belfry.Presence] that is closed at the end.
type Presence interface {
	belfry.Presence
	Close()
}

// alone is the Cluster of a single node.
type alone struct{}

func (alone) Broker(e belfry.Emitter) Broker { return NewMemoryBroker(e) }

func (alone) Presence(o belfry.PresenceOptions) (Presence, error) {
	return belfry.NewMemoryPresence(o), nil
}

// NewMemoryBroker makes the broker of a single node.
func NewMemoryBroker(e belfry.Emitter) Broker { return memoryBroker{belfry.NewMemoryBroker(e)} }

type memoryBroker struct{ *belfry.MemoryBroker }

// Close implements [Broker].
func (memoryBroker) Close() {}
