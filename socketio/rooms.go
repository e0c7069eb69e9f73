package socketio

import (
	"hash/maphash"
	"math/bits"
	"slices"
	"sync"
)

// shardCount divides the rooms of a namespace, so that joins, leaves and
// broadcasts on many processors seldom wait for one lock. The shards of a
// broadcast are the bits of a uint64.
const shardCount = 64

// A registry knows the sockets of a namespace by id and by room. Every socket
// is also in the room named by its id; that room takes no memory of its own.
type registry struct {
	seed   maphash.Seed
	shards [shardCount]shard
}

type shard struct {
	mu      sync.RWMutex
	rooms   map[string]*room   // never an empty room
	sockets map[string]*Socket // by id
	// passing has, by id, the sockets that are on their way in or out: their
	// ids are neither to be found nor free.
	passing map[string]*Socket
}

// A room lists its sockets. A large room has an index too, so that leaving it
// does not search the list.
type room struct {
	name    string
	sockets []*Socket
	index   map[*Socket]int
}

// indexFrom is the size from which on a room has an index, and unindexBelow
// the one at which it loses it.
const (
	indexFrom    = 32
	unindexBelow = 16
)

func newRegistry() *registry { return &registry{seed: maphash.MakeSeed()} }

func (r *registry) number(name string) int {
	return int(maphash.String(r.seed, name) % shardCount)
}

func (r *registry) shard(name string) *shard { return &r.shards[r.number(name)] }

// claim takes an id that has been another socket's for one that is about to be
// added. It reports false while a socket has the id or the owner of the last one
// that had it has not been told.
func (r *registry) claim(s *Socket) bool {
	sh := r.shard(s.id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.sockets[s.id] != nil || sh.passing[s.id] != nil {
		return false
	}
	sh.pass(s)
	return true
}

// add makes a socket known by its id.
func (r *registry) add(s *Socket) {
	sh := r.shard(s.id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.passed(s)
	if sh.sockets == nil {
		sh.sockets = make(map[string]*Socket)
	}
	sh.sockets[s.id] = s
}

// remove makes a socket unknown. Its id stays taken until free.
func (r *registry) remove(s *Socket) {
	sh := r.shard(s.id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.sockets[s.id] == s {
		delete(sh.sockets, s.id)
		sh.pass(s)
	}
}

// free gives back the id of a socket that has been claimed or removed.
func (r *registry) free(s *Socket) {
	sh := r.shard(s.id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.passed(s)
}

// owner returns the socket that has an id, connected or on its way in or out, or
// nil if the id is free.
func (r *registry) owner(id string) *Socket {
	sh := r.shard(id)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	if s := sh.sockets[id]; s != nil {
		return s
	}
	return sh.passing[id]
}

func (sh *shard) pass(s *Socket) {
	if sh.passing == nil {
		sh.passing = make(map[string]*Socket)
	}
	sh.passing[s.id] = s
}

func (sh *shard) passed(s *Socket) {
	if sh.passing[s.id] == s {
		delete(sh.passing, s.id)
	}
}

func (r *registry) socket(id string) *Socket {
	sh := r.shard(id)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	return sh.sockets[id]
}

// join puts a socket that is not in it into a room. It returns the room's name
// as all members share it.
func (r *registry) join(name string, s *Socket) string {
	sh := r.shard(name)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	rm := sh.rooms[name]
	if rm == nil {
		if sh.rooms == nil {
			sh.rooms = make(map[string]*room)
		}
		rm = &room{name: name}
		sh.rooms[name] = rm
	}
	rm.add(s)
	return rm.name
}

// leave takes a member out of a room. An emptied room is forgotten.
func (r *registry) leave(name string, s *Socket) {
	sh := r.shard(name)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	rm := sh.rooms[name]
	if rm == nil {
		return
	}
	if rm.remove(s); len(rm.sockets) == 0 {
		delete(sh.rooms, name)
	}
}

// list appends up to max sockets of a room to into, from index i of its list down,
// and returns the next index, which is negative at the end.
func (r *registry) list(name string, i, max int, into []*Socket) ([]*Socket, int) {
	sh := r.shard(name)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	rm := sh.rooms[name]
	if rm == nil {
		return into, -1
	}
	for i = min(i, len(rm.sockets)-1); i >= 0 && len(into) < max; i-- {
		into = append(into, rm.sockets[i])
	}
	return into, i
}

// has reports whether s is in a room.
func (r *registry) has(name string, s *Socket) bool {
	sh := r.shard(name)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	return sh.has(name, s)
}

// settle waits for the broadcasts to a room that are under way. Those that start
// later see what happened before the call.
func (r *registry) settle(name string) {
	sh := r.shard(name)
	sh.mu.Lock() // a broadcast has the read lock as long as it lasts
	defer sh.mu.Unlock()
}

// size returns the number of sockets in a room.
func (r *registry) size(name string) int {
	sh := r.shard(name)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	n := 0
	if rm := sh.rooms[name]; rm != nil {
		n = len(rm.sockets)
	}
	if sh.sockets[name] != nil {
		n++
	}
	return n
}

func (rm *room) add(s *Socket) {
	rm.sockets = append(rm.sockets, s)
	switch {
	case rm.index != nil:
		rm.index[s] = len(rm.sockets) - 1
	case len(rm.sockets) >= indexFrom:
		rm.index = make(map[*Socket]int, 2*indexFrom)
		for i, member := range rm.sockets {
			rm.index[member] = i
		}
	}
}

func (rm *room) find(s *Socket) int {
	if rm.index == nil {
		return slices.Index(rm.sockets, s)
	}
	if i, ok := rm.index[s]; ok {
		return i
	}
	return -1
}

func (rm *room) remove(s *Socket) {
	i, last := rm.find(s), len(rm.sockets)-1
	if i < 0 {
		return
	}
	moved := rm.sockets[last]
	rm.sockets[i], rm.sockets[last] = moved, nil
	rm.sockets = rm.sockets[:last]
	if rm.index != nil {
		rm.index[moved] = i
		delete(rm.index, s)
		if last < unindexBelow {
			rm.index = nil
		}
	}
	if cap(rm.sockets) > 4*indexFrom && last < cap(rm.sockets)/4 {
		rm.sockets = append(make([]*Socket, 0, 2*last), rm.sockets...)
	}
}

// has reports whether s is in the room. The shard's lock is held.
func (sh *shard) has(name string, s *Socket) bool {
	if s.id == name {
		return true
	}
	rm := sh.rooms[name]
	return rm != nil && rm.find(s) >= 0
}

// A selection says which sockets a broadcast is for: those in any of the rooms,
// or all where there are none, but not self nor those in an excepted room.
type selection struct {
	rooms, except []string
	self          *Socket
}

// each calls do for every selected socket once. Read locks are held meanwhile:
// do must neither wait nor use the registry. All the shards of the rooms are
// locked together, so a socket that changes rooms at the same time is still
// seen at most once.
func (r *registry) each(sel selection, do func(*Socket)) {
	shards := r.shardsOf(sel)
	for rest := shards; rest != 0; rest &= rest - 1 {
		r.shards[bits.TrailingZeros64(rest)].mu.RLock()
	}
	defer func() {
		for rest := shards; rest != 0; rest &= rest - 1 {
			r.shards[bits.TrailingZeros64(rest)].mu.RUnlock()
		}
	}()
	if len(sel.rooms) == 0 {
		for i := range r.shards {
			for _, s := range r.shards[i].sockets {
				if !r.excepted(sel, s) {
					do(s)
				}
			}
		}
		return
	}
	for i, name := range sel.rooms {
		r.eachInRoom(name, func(s *Socket) {
			if !r.inAny(sel.rooms[:i], s) && !r.excepted(sel, s) {
				do(s)
			}
		})
	}
}

// shardsOf returns the shards that hold the answer to a selection, a bit each:
// locked in the order of their numbers, two broadcasts cannot block each other.
func (r *registry) shardsOf(sel selection) uint64 {
	if len(sel.rooms) == 0 {
		return ^uint64(0)
	}
	var shards uint64
	for _, name := range sel.rooms {
		shards |= 1 << r.number(name)
	}
	for _, name := range sel.except {
		shards |= 1 << r.number(name)
	}
	return shards
}

// eachInRoom is each for one room; the caller holds the lock.
func (r *registry) eachInRoom(name string, do func(*Socket)) {
	sh := r.shard(name)
	if s := sh.sockets[name]; s != nil {
		do(s)
	}
	if rm := sh.rooms[name]; rm != nil {
		for _, s := range rm.sockets {
			do(s)
		}
	}
}

func (r *registry) excepted(sel selection, s *Socket) bool {
	return s == sel.self || r.inAny(sel.except, s)
}

// inAny reports whether s is in one of the rooms; the caller holds their locks.
func (r *registry) inAny(rooms []string, s *Socket) bool {
	for _, name := range rooms {
		if r.shard(name).has(name, s) {
			return true
		}
	}
	return false
}

// sizeOf returns about how many sockets a selection has, and 0 only if it has
// none: those in several rooms count several times, and those that are excepted too. It locks
// one shard at a time.
func (r *registry) sizeOf(sel selection) (n int) {
	for _, name := range sel.rooms {
		n += r.size(name)
	}
	if len(sel.rooms) > 0 {
		return n
	}
	for i := range r.shards {
		sh := &r.shards[i]
		sh.mu.RLock()
		n += len(sh.sockets)
		sh.mu.RUnlock()
	}
	return n
}

// oneRoom returns the room of a selection that consists of nothing else.
func (sel selection) oneRoom() (name string, ok bool) {
	if len(sel.rooms) != 1 || len(sel.except) > 0 || sel.self != nil {
		return "", false
	}
	return sel.rooms[0], true
}
