package redistest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// slots is how many a Redis Cluster has.
const slots = 16384

// A Cluster is there until Stop.
type Cluster struct {
	URL      string // names all of its servers
	Masters  []*Server
	Replicas []*Server
}

// The timeout of a cluster's nodes is after how many milliseconds without a word one is taken for lost. Where two of three are,
// the third refuses all commands: masters that have a long one stay up while a test stops one after the other, and
// while the machine does. With the short one a replica is soon elected. Who is taken for failed stays so for twice the timeout.
const (
	longTimeout  = "600000"
	shortTimeout = "2000"
)

// launchNode starts a node, which has a short timeout until it is part of a cluster: it takes half of it, or 5 s, to be.
func launchNode() (*Server, error) {
	return Launch("--cluster-enabled", "yes", "--cluster-node-timeout", shortTimeout, "--cluster-require-full-coverage", "no",
		"--repl-diskless-sync-delay", "0")
}

// setTimeout sets the timeout of a node, now and whenever it is started again.
func (s *Server) setTimeout(ms string) error {
	s.flags = append(s.flags, "--cluster-node-timeout", ms) // the last one counts
	_, err := s.Command("CONFIG SET cluster-node-timeout " + ms)
	return err
}

// settle gives nodes the long timeout, at a moment when none of them takes another for lost.
func settle(nodes []*Server) error {
	all := func(ms string) (err error) {
		for _, s := range nodes {
			err = errors.Join(err, s.setTimeout(ms))
		}
		return err
	}
	return eventually(func() error {
		if err := wellTogether(nodes); err != nil {
			return err
		}
		err := errors.Join(all(longTimeout), wellTogether(nodes)) // one may just have stood still
		if err != nil {
			err = errors.Join(err, all(shortTimeout))
		}
		return err
	})
}

// wellTogether fails where a node takes the cluster or another node for lost.
func wellTogether(nodes []*Server) error {
	for _, s := range nodes {
		info, err := s.Command("CLUSTER INFO")
		if err == nil && !strings.Contains(info, "cluster_state:ok") {
			err = errors.New(info)
		}
		if err != nil {
			return err
		}
		said, err := s.Command("CLUSTER NODES")
		if err == nil && strings.Contains(said, "fail") { // or fail?, of which it is not certain
			err = errors.New(said)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// LaunchCluster starts a cluster of three masters without replicas. A master that is away is missed by nobody but who asks it.
func LaunchCluster() (*Cluster, error) {
	c := &Cluster{}
	for range 3 {
		s, err := launchNode()
		if err != nil {
			return nil, errors.Join(err, c.Stop())
		}
		c.Masters = append(c.Masters, s)
	}
	if err := c.join(); err != nil {
		return nil, errors.Join(fmt.Errorf("the cluster has not formed: %w", err), c.Stop())
	}
	var addrs []string
	for _, s := range c.Masters {
		addrs = append(addrs, s.Addr())
	}
	c.URL = "redis://" + strings.Join(addrs, ",")
	return c, nil
}

// join gives each master a third of the slots, and has them meet.
func (c *Cluster) join() error {
	for i, s := range c.Masters {
		var b strings.Builder
		b.WriteString("CLUSTER ADDSLOTS")
		for slot := i * slots / len(c.Masters); slot < (i+1)*slots/len(c.Masters); slot++ {
			fmt.Fprintf(&b, " %d", slot)
		}
		if _, err := command(s.Addr(), b.String()); err != nil {
			return err
		}
		if _, err := command(s.Addr(), fmt.Sprintf("CLUSTER SET-CONFIG-EPOCH %d", i+1)); err != nil {
			return err
		}
	}
	for _, s := range c.Masters {
		meeting := meet(c.Masters[0], c.Masters[1:]...)
		err := eventually(func() error {
			if err := meeting(); err != nil {
				return err
			}
			info, err := command(s.Addr(), "CLUSTER INFO")
			for _, line := range []string{"cluster_state:ok", "cluster_known_nodes:3", fmt.Sprintf("cluster_slots_assigned:%d", slots)} {
				if err == nil && !strings.Contains(info, line) {
					err = errors.New(info)
				}
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return settle(c.Masters)
}

// meet returns what has a node meet others when it is called, and again now and then: one that stands still meanwhile is forgotten.
func meet(node *Server, others ...*Server) func() error {
	var next time.Time
	return func() error {
		if time.Now().Before(next) {
			return nil
		}
		for _, s := range others {
			if _, err := node.Command(fmt.Sprintf("CLUSTER MEET 127.0.0.1 %d", s.port)); err != nil {
				return err
			}
		}
		next = time.Now().Add(5 * time.Second)
		return nil
	}
}

// AddReplica gives a master a replica, which takes over when the master was killed and the others are to elect.
func (c *Cluster) AddReplica(master int) (*Server, error) {
	s, err := launchNode()
	if err != nil {
		return nil, err
	}
	c.Replicas = append(c.Replicas, s)
	id, err := c.Masters[master].Command("CLUSTER MYID")
	if err != nil {
		return nil, err
	}
	meeting := meet(s, c.Masters[master])
	err = eventually(func() error { // until it has heard of the master
		if err := meeting(); err != nil {
			return err
		}
		_, err := s.Command("CLUSTER REPLICATE " + id)
		return err
	})
	if err != nil {
		return nil, err
	}
	own, err := s.Command("CLUSTER MYID")
	if err != nil {
		return nil, err
	}
	for _, other := range c.Masters {
		err := eventually(func() error {
			if said, err := other.Command("CLUSTER NODES"); err != nil || !isReplica(said, own, id) {
				return errors.Join(errors.New("a master does not know the replica"), err)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	c.URL += "," + s.Addr()
	if err := s.Follows(); err != nil {
		return nil, err
	}
	return s, settle(append(slices.Clone(c.Masters), s))
}

// Elect has the others of a cluster find out soon that a master was killed, and returns when its replica has taken over. Before, no
// machine that stands still is taken for a dead one.
func (c *Cluster) Elect(killed int, replica *Server) error {
	left := append(slices.Delete(slices.Clone(c.Masters), killed, killed+1), replica)
	for _, s := range left {
		if err := s.setTimeout(shortTimeout); err != nil {
			return err
		}
	}
	return replica.Leads()
}

// isReplica reads what CLUSTER NODES says.
func isReplica(said, replica, master string) bool {
	for line := range strings.Lines(said) { // id address flags master …
		if words := strings.Fields(line); words[0] == replica {
			return words[3] == master
		}
	}
	return false
}

// CutOff keeps a replica from what its master gets from now on.
func (s *Server) CutOff(master *Server) error {
	if _, err := s.Command("CONFIG SET masterauth no"); err != nil { // of which the master knows nothing
		return err
	}
	_, err := master.Command("CLIENT KILL TYPE replica")
	return err
}

// TakeOver has a replica be a master at once, whatever the rest of the cluster thinks.
func (s *Server) TakeOver() error {
	_, err := s.Command("CLUSTER FAILOVER TAKEOVER")
	return err
}

// A Move takes a slot from one master of a cluster to another.
type Move struct {
	slot     int
	from, to *Server
	masters  []*Server
}

// Begin has the masters of a cluster know that a slot will move. Its keys are where they were.
func (c *Cluster) Begin(slot, from, to int) (*Move, error) {
	m := &Move{slot, c.Masters[from], c.Masters[to], c.Masters}
	source, err := m.from.Command("CLUSTER MYID")
	if err != nil {
		return nil, err
	}
	if _, err := m.to.Command(fmt.Sprintf("CLUSTER SETSLOT %d IMPORTING %s", slot, source)); err != nil {
		return nil, err
	}
	target, err := m.to.Command("CLUSTER MYID")
	if err != nil {
		return nil, err
	}
	_, err = m.from.Command(fmt.Sprintf("CLUSTER SETSLOT %d MIGRATING %s", slot, target))
	return m, err
}

// Keys moves at most so many of the slot's keys, and says how many it has moved.
func (m *Move) Keys(most int) (int, error) {
	answer, err := m.from.Command(fmt.Sprintf("CLUSTER GETKEYSINSLOT %d %d", m.slot, most))
	if err != nil || answer == "" {
		return 0, err
	}
	keys := strings.Split(answer, "\n")
	for _, key := range keys {
		if _, err := m.from.Command(fmt.Sprintf("MIGRATE 127.0.0.1 %d %s 0 60000", m.to.port, key)); err != nil {
			return 0, err
		}
	}
	return len(keys), nil
}

// End moves the other keys, and gives the slot to its new master. It returns when all masters say so, with the same
// epochs: before, another move could undo it.
func (m *Move) End() error {
	for {
		n, err := m.Keys(100)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
	}
	target, err := m.to.Command("CLUSTER MYID")
	if err != nil {
		return err
	}
	for _, s := range append([]*Server{m.to, m.from}, m.masters...) { // the new one first, as Redis wants it
		if _, err := s.Command(fmt.Sprintf("CLUSTER SETSLOT %d NODE %s", m.slot, target)); err != nil {
			return err
		}
	}
	return agree(m.masters)
}

// agree waits until the servers of a cluster say the same of who has which slots.
func agree(servers []*Server) error {
	return eventually(func() error {
		var all []string
		for _, s := range servers {
			said, err := s.Command("CLUSTER NODES")
			if err != nil {
				return err
			}
			var lines []string
			for line := range strings.Lines(said) { // id address flags master ping pong epoch link slots…
				words := strings.Fields(line)
				lines = append(lines, fmt.Sprint(words[0], words[3], words[6], words[8:]))
			}
			slices.Sort(lines)
			all = append(all, strings.Join(lines, "\n"))
		}
		if len(slices.Compact(all)) > 1 {
			return errors.New("the masters do not agree on who has which slots")
		}
		return nil
	})
}

// Stop ends the servers, and deletes their files.
func (c *Cluster) Stop() error {
	var all error
	for _, s := range append(c.Masters, c.Replicas...) {
		all = errors.Join(all, s.Stop())
	}
	return all
}
