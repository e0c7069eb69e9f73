package socketio

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
)

// census counts what a registry still holds, ids that are taken included.
func (r *registry) census() (rooms, sockets int) {
	for i := range r.shards {
		r.shards[i].mu.RLock()
		rooms += len(r.shards[i].rooms)
		sockets += len(r.shards[i].sockets) + len(r.shards[i].passing)
		r.shards[i].mu.RUnlock()
	}
	return rooms, sockets
}

func selected(r *registry, sel selection) []string {
	var ids []string
	r.each(sel, func(s *Socket) { ids = append(ids, s.id) })
	slices.Sort(ids)
	return ids
}

func TestRegistrySelectsEachSocketOnce(t *testing.T) {
	r := newRegistry()
	sockets := map[string]*Socket{}
	for id, rooms := range map[string][]string{"a": {"x", "y"}, "b": {"x"}, "c": {"y", "z"}, "d": nil} {
		s := &Socket{id: id}
		sockets[id] = s
		r.add(s)
		for _, room := range rooms {
			r.join(room, s)
		}
	}
	for _, test := range []struct {
		name string
		sel  selection
		want []string
	}{
		{"all", selection{}, []string{"a", "b", "c", "d"}},
		{"one room", selection{rooms: []string{"x"}}, []string{"a", "b"}},
		{"rooms that overlap", selection{rooms: []string{"x", "y", "x"}}, []string{"a", "b", "c"}},
		{"an id and a room", selection{rooms: []string{"a", "x"}}, []string{"a", "b"}},
		{"a room but for another", selection{rooms: []string{"y"}, except: []string{"z"}}, []string{"a"}},
		{"all but a room", selection{except: []string{"x"}}, []string{"c", "d"}},
		{"all but an id", selection{except: []string{"d"}}, []string{"a", "b", "c"}},
		{"all but oneself", selection{self: sockets["b"]}, []string{"a", "c", "d"}},
		{"nobody", selection{rooms: []string{"nowhere"}}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := selected(r, test.sel); !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestRoomsKeepTheirMembersThroughJoinsAndLeaves(t *testing.T) {
	r := newRegistry()
	var all, in []*Socket
	for i := range 300 {
		all = append(all, &Socket{id: fmt.Sprint(i)})
	}
	check := func() {
		t.Helper()
		var want []string
		for _, s := range in {
			want = append(want, s.id)
		}
		slices.Sort(want)
		if got := selected(r, selection{rooms: []string{"room"}}); !slices.Equal(got, want) || r.size("room") != len(want) {
			t.Fatalf("the room has %d sockets, want %d", len(got), len(want))
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	for _, target := range []int{300, 10, 40, 0} { // across the sizes at which the index comes and goes
		for len(in) != target {
			if len(in) < target {
				s := all[random.IntN(len(all))]
				if slices.Contains(in, s) {
					continue
				}
				in = append(in, s)
				r.join("room", s)
			} else {
				i := random.IntN(len(in))
				r.leave("room", in[i])
				in = slices.Delete(in, i, i+1)
			}
			if len(in)%7 == 0 {
				check()
			}
		}
		check()
	}
	if rooms, _ := r.census(); rooms != 0 {
		t.Errorf("%d rooms are left", rooms)
	}
	r.leave("room", all[0])
}

func TestHoldWaitsForTheBroadcastsThatAreUnderWay(t *testing.T) {
	r := newRegistry()
	for _, sel := range []selection{{}, {rooms: []string{"room"}}, {rooms: []string{"a"}}} {
		s := &Socket{id: "a", namespace: &Namespace{registry: r}, state: stateConnected, rooms: []string{"room"}}
		r.add(s)
		r.join("room", s)
		var over atomic.Bool
		started := make(chan struct{})
		go r.each(sel, func(s *Socket) {
			close(started)
			for s.held.Load() == nil {
				runtime.Gosched()
			}
			for range 1000 { // gives Hold the time to return, if it does not wait
				runtime.Gosched()
			}
			over.Store(true)
		})
		<-started
		if s.Hold(); !over.Load() {
			t.Errorf("Hold did not wait for a broadcast to %v", sel.rooms)
		}
		r.leave("room", s)
		r.remove(s)
	}
}
