package belfry

import (
	"hash/maphash"
	"sync"
)

// A flight is a message or an activity between the moment it gets its ID and
// the moment it is published or given up.
type flight struct {
	lane    *lane
	id      ID
	publish func() // set once it is stored
	pages   int
}

// A lane holds what is in flight to one receiver (or company), in the order of
// the IDs. Its lock is held while something is published to the receiver
// and while one of the receiver's pages logs in, so that a login sees every
// message either stored and published, or still in flight.
type lane struct {
	key  string
	refs int // flights and logins that hold it; guarded by the shard

	mu      sync.Mutex
	flights []*flight
}

// head returns the oldest flight, or nil. The lane is locked.
func (l *lane) head() *flight {
	if len(l.flights) == 0 {
		return nil
	}
	return l.flights[0]
}

// carries reports whether id is in flight. The lane is locked.
func (l *lane) carries(id ID) bool {
	for _, f := range l.flights {
		if f.id == id {
			return true
		}
	}
	return false
}

// laneShards is a power of two.
const laneShards = 64

// lanes holds the lanes that are in use; a receiver with nothing in flight has
// none. Publications to different receivers do not wait for each other.
type lanes struct {
	seed   maphash.Seed
	shards [laneShards]struct {
		mu    sync.Mutex
		lanes map[string]*lane
	}
}

func newLanes() *lanes {
	ls := &lanes{seed: maphash.MakeSeed()}
	for i := range ls.shards {
		ls.shards[i].lanes = make(map[string]*lane)
	}
	return ls
}

func (ls *lanes) shard(key string) int {
	return int(maphash.String(ls.seed, key) & (laneShards - 1))
}

// hold returns the lane of key, unlocked. Each hold has its release.
func (ls *lanes) hold(key string) *lane {
	shard := &ls.shards[ls.shard(key)]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	l := shard.lanes[key]
	if l == nil {
		l = &lane{key: key}
		shard.lanes[key] = l
	}
	l.refs++
	return l
}

// release gives up n holds. The caller does not have l locked.
func (ls *lanes) release(l *lane, n int) {
	if n == 0 {
		return
	}
	shard := &ls.shards[ls.shard(l.key)]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if l.refs -= n; l.refs == 0 {
		delete(shard.lanes, l.key)
	}
}

// depart appends f to the lane of key with an ID made under the lane's lock.
func (ls *lanes) depart(f *flight, key string, newID func() ID) {
	l := ls.hold(key)
	l.mu.Lock()
	defer l.mu.Unlock()
	f.lane, f.id = l, newID()
	l.flights = append(l.flights, f)
}

// land says that f may be published, and publishes it and those behind it that
// were waiting, if none before it is still being stored. Otherwise the one that f
// waits for publishes f. Nobody waits here for another push, so pushes with
// several receivers in common cannot block each other.
func (ls *lanes) land(f *flight, publish func()) {
	l := f.lane
	gone := 0
	defer func() { ls.release(l, gone) }()
	l.mu.Lock()
	defer l.mu.Unlock()
	f.publish = publish
	l.publishReady(&gone)
}

// drop takes f out of its lane unpublished; those behind it move up.
func (ls *lanes) drop(f *flight) {
	l := f.lane
	gone := 1
	defer func() { ls.release(l, gone) }()
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, g := range l.flights {
		if g == f {
			l.flights = append(l.flights[:i], l.flights[i+1:]...)
			break
		}
	}
	l.publishReady(&gone)
}

// publishReady publishes from the head as far as flights are stored, and
// adds to gone how many have left. The lane is locked. A flight leaves the lane
// after its publication, also one whose publication panics: those behind it
// must not wait for ever.
func (l *lane) publishReady(gone *int) {
	for len(l.flights) > 0 && l.flights[0].publish != nil {
		l.publishHead(gone)
	}
}

func (l *lane) publishHead(gone *int) {
	defer func() {
		l.flights[0] = nil
		l.flights = l.flights[1:]
		*gone++
	}()
	l.flights[0].publish()
}
