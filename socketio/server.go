package socketio

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"belfry/engineio"
)

// Options configure a [Server]. The zero value is useful.
type Options struct {
	// Engine configures the connections below: heartbeats, sizes, origins.
	Engine engineio.Options
	// ConnectTimeout closes a connection that has not joined a namespace in
	// this time; 0 means 45 s (the default of the reference server).
	ConnectTimeout time.Duration
	// AckTimeout bounds the wait for an acknowledgement where the caller sets
	// no time; 0 means 30 s.
	AckTimeout time.Duration
	// MaxAttachments bounds the binary values in one packet, in both
	// directions; 0 means 10, which is also what clients accept.
	MaxAttachments int
	// MaxNamespaces bounds the namespaces that one connection may join; 0 means
	// 100.
	MaxNamespaces int
	// MaxRooms bounds the rooms of one socket; 0 means 1,000.
	MaxRooms int
	// Logger gets what is worth an operator's attention; nil means
	// slog.Default().
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	setDefault(&o.ConnectTimeout, 45*time.Second)
	setDefault(&o.AckTimeout, 30*time.Second)
	setDefault(&o.MaxAttachments, 10)
	setDefault(&o.MaxNamespaces, 100)
	setDefault(&o.MaxRooms, 1000)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Engine.Logger == nil {
		o.Engine.Logger = o.Logger
	}
	return o
}

func setDefault[T int | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// A Server serves Socket.IO as an [http.Handler], at whatever path it is
// mounted; clients expect /socket.io/ unless told otherwise.
type Server struct {
	options Options
	engine  *engineio.Server

	connectDelay time.Duration // the constant; longer in tests

	mu         sync.RWMutex
	namespaces map[string]*Namespace
	families   []family
}

// A family decides about dynamic namespaces and has what they do.
type family struct {
	allow    AllowFunc
	handlers *Handlers
}

// An AllowFunc decides whether a client may have a namespace that [Server.Of]
// has not created. It returns nil to allow it. The client learns "Invalid
// namespace" of any error but a [*ConnectError].
type AllowFunc func(name string, h *engineio.Handshake, auth json.RawMessage) error

// NewServer makes a server with the namespace "/".
func NewServer(options Options) *Server {
	s := &Server{options: options.withDefaults(), namespaces: make(map[string]*Namespace), connectDelay: connectDelay}
	s.engine = engineio.NewServer(s.options.Engine, s.open)
	s.options.Engine = s.engine.Options()
	s.Of("/")
	return s
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.engine.ServeHTTP(w, r) }

// Engine returns the Engine.IO server below.
func (s *Server) Engine() *engineio.Server { return s.engine }

// Len returns the number of open connections.
func (s *Server) Len() int { return s.engine.Len() }

// Shutdown refuses new connections, closes the open ones once what is queued
// for them is written, and returns when the last disconnect handler has. No
// DISCONNECT packet is sent: a client that gets one stays away, while one that
// loses its connection comes back, to the next process. When ctx ends first,
// the remaining connections are cut off and ctx's error is returned.
func (s *Server) Shutdown(ctx context.Context) error { return s.engine.Shutdown(ctx) }

// Of returns the namespace with this name, which it creates at its first use.
// A missing slash at the beginning is added. Of panics if the name has a comma,
// which the protocol cannot carry, or more than 128 bytes.
func (s *Server) Of(name string) *Namespace {
	if !strings.HasPrefix(name, "/") {
		name = "/" + name
	}
	if strings.Contains(name, ",") || len(name) > maxNamespaceLen {
		panic("socketio: bad namespace name " + name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.namespaces[name]
	if n == nil {
		n = newNamespace(s, name, new(Handlers))
		s.namespaces[name] = n
	}
	n.dynamic = false
	return n
}

// AllowNamespaces makes the server ask allow about namespaces that clients name
// and nobody has created. Such a namespace exists while it has sockets. All
// those that one allow has admitted share the Handlers that AllowNamespaces
// returns. Where it is called several times, the first to allow a name counts.
func (s *Server) AllowNamespaces(allow AllowFunc) *Handlers {
	h := new(Handlers)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.families = append(s.families, family{allow, h})
	return h
}

var errInvalidNamespace = &ConnectError{Message: "Invalid namespace"}

// enter finds the namespace for a client that connects, or makes a dynamic one.
// Whoever got it calls leave when it is done with it.
func (s *Server) enter(name string, h *engineio.Handshake, auth string) (*Namespace, error) {
	if n := s.retain(name, nil); n != nil {
		return n, nil
	}
	s.mu.RLock()
	families := s.families
	s.mu.RUnlock()
	var err error = errInvalidNamespace
	for _, f := range families {
		e := f.allow(name, h, json.RawMessage(auth))
		if e == nil {
			return s.retain(name, f.handlers), nil
		}
		if ce := connectErrorOf(e); ce != nil {
			err = ce
		}
	}
	return nil, err
}

// retain counts one more user of a namespace. With handlers it makes a missing
// one.
func (s *Server) retain(name string, handlers *Handlers) *Namespace {
	s.mu.RLock()
	if n := s.namespaces[name]; n != nil {
		n.users.Add(1) // leave deletes under the write lock only
		s.mu.RUnlock()
		return n
	}
	s.mu.RUnlock()
	if handlers == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.namespaces[name]
	if n == nil {
		n = newNamespace(s, name, handlers)
		n.dynamic = true
		s.namespaces[name] = n
	}
	n.users.Add(1)
	return n
}

// leave takes back what retain has counted. A dynamic namespace goes with its
// last user.
func (s *Server) leave(n *Namespace) {
	if n.users.Add(-1) > 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if n.dynamic && n.users.Load() == 0 && s.namespaces[n.name] == n {
		delete(s.namespaces, n.name)
	}
}
