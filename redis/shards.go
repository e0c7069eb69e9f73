package redis

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

// slots is how many a cluster has.
const slots = 16384

// The numbers of goroutines that keep companies and users of a shard in Redis as they are here. Each
// writes many at a time: what comes while it waits for Redis goes with the next write.
const (
	companyWorkers = 4
	userWorkers    = 4
)

// A shard is a server that has a part of the keys: a master of a cluster, or the only one. Each is in trouble
// by itself. The presence's lock guards it.
type shard struct {
	lost      string // a key that was asked for in vain; "" while the shard answers
	companies queue[*company]
	users     queue[*user]
}

// out says whether the last answer was none. Nobody waits for a shard that is out; the retries find out
// when it is back.
func (s *shard) out() bool { return s.lost != "" }

// A slotRange is of one shard.
type slotRange struct {
	last  int
	shard *shard
}

// shards are those that there have been, and their slots in order.
type shards struct {
	byName map[string]*shard
	ranges []slotRange // one, to the last slot, unless there is a cluster
}

// addShard starts the goroutines of a shard. The lock is held.
func (p *Presence) addShard(name string) *shard {
	s := &shard{}
	s.companies.some, s.users.some = sync.NewCond(&p.mu), sync.NewCond(&p.mu)
	p.shards.byName[name] = s
	if !p.closed {
		for range companyWorkers {
			p.running.Go(func() { p.syncCompanies(s) })
		}
		for range userWorkers {
			p.running.Go(func() { p.syncUsers(s) })
		}
	}
	return s
}

// shardOf returns the shard that has a key. The lock is held.
func (p *Presence) shardOf(key string) *shard {
	if len(p.shards.ranges) == 1 {
		return p.shards.ranges[0].shard
	}
	i, _ := slices.BinarySearchFunc(p.shards.ranges, slotOf(key), func(r slotRange, slot int) int { return r.last - slot })
	return p.shards.ranges[min(i, len(p.shards.ranges)-1)].shard
}

// readShards finds out which masters a cluster has. Where that fails, what was known stays. Where one is new, all is written
// again: there may have been a connection to it while it was a replica.
func (p *Presence) readShards() {
	if !p.c.clustered() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), p.patience)
	defer cancel()
	answer, err := p.c.r.Do(ctx, p.c.r.B().ClusterSlots().Build()).ToArray()
	if err != nil {
		return
	}
	type owned struct {
		last int
		name string
	}
	var all []owned
	for _, entry := range answer {
		last, name, err := readSlots(entry)
		if err != nil {
			return
		}
		all = append(all, owned{last, name})
	}
	if len(all) == 0 {
		return
	}
	slices.SortFunc(all, func(a, b owned) int { return a.last - b.last })
	p.mu.Lock()
	defer p.mu.Unlock()
	before := make(map[*shard]bool)
	for _, r := range p.shards.ranges {
		before[r.shard] = true
	}
	p.shards.ranges = p.shards.ranges[:0]
	left, other := maps.Clone(p.shards.byName), false
	for _, o := range all {
		s := p.shards.byName[o.name]
		if s == nil {
			s = p.addShard(o.name)
		}
		other = other || len(before) > 0 && !before[s]
		p.shards.ranges = append(p.shards.ranges, slotRange{o.last, s})
		delete(left, o.name)
	}
	for _, s := range left { // another has its slots
		s.lost = ""
	}
	if other { // it has perhaps not got all that the one before it had
		p.there = time.Now()
		p.registerAll()
	}
}

var errSlots = errors.New("redis: an entry of CLUSTER SLOTS is short")

// readSlots reads an entry of CLUSTER SLOTS: first, last, master (host, port, name), replicas…
func readSlots(entry rueidis.RedisMessage) (last int, master string, err error) {
	parts, err := entry.ToArray()
	if err != nil || len(parts) < 3 {
		return 0, "", errSlots
	}
	end, err := parts[1].AsInt64()
	if err != nil {
		return 0, "", err
	}
	server, err := parts[2].ToArray()
	if err != nil || len(server) < 3 {
		return 0, "", errSlots
	}
	master, err = server[2].ToString()
	return int(end), master, err
}

// slotOf returns the slot of a key: that of what stands between the first '{' and the '}' after it, if anything does.
func slotOf(key string) int {
	if _, after, ok := strings.Cut(key, "{"); ok {
		if tag, _, ok := strings.Cut(after, "}"); ok && tag != "" {
			key = tag
		}
	}
	crc := uint16(0) // CRC-16/XMODEM
	for i := range len(key) {
		crc ^= uint16(key[i]) << 8
		for range 8 {
			top := crc&0x8000 != 0
			crc <<= 1
			if top {
				crc ^= 0x1021
			}
		}
	}
	return int(crc % slots)
}
