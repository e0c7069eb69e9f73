package redistest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
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
// while the machine does. With the short one a replica is soon elected.
const (
	longTimeout  = "600000"
	shortTimeout = "2000"
)

// launchNode starts a node, which has a short timeout until it is part of a cluster: it takes half of it, or 5 s, to be.
func launchNode() (*Server, error) {
	return Launch("--cluster-enabled", "yes", "--cluster-node-timeout", shortTimeout, "--cluster-require-full-coverage", "no",
		"--repl-diskless-sync-delay", "0")
}

// setTimeout sets the timeout of all masters.
func (c *Cluster) setTimeout(ms string) error {
	for _, s := range c.Masters {
		if _, err := s.Command("CONFIG SET cluster-node-timeout " + ms); err != nil {
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
	for _, s := range c.Masters[1:] {
		if _, err := command(c.Masters[0].Addr(), fmt.Sprintf("CLUSTER MEET 127.0.0.1 %d", s.port)); err != nil {
			return err
		}
	}
	for _, s := range c.Masters {
		err := eventually(func() error {
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
	return c.setTimeout(longTimeout)
}

// AddReplica gives a master a replica, which takes over where it is killed.
func (c *Cluster) AddReplica(master int) (*Server, error) {
	if err := c.setTimeout(shortTimeout); err != nil {
		return nil, err
	}
	s, err := launchNode()
	if err != nil {
		return nil, err
	}
	c.Replicas = append(c.Replicas, s)
	id, err := c.Masters[master].Command("CLUSTER MYID")
	if err != nil {
		return nil, err
	}
	if _, err := s.Command(fmt.Sprintf("CLUSTER MEET 127.0.0.1 %d", c.Masters[master].port)); err != nil {
		return nil, err
	}
	err = eventually(func() error { // it has heard of the master
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
	return s, s.Follows()
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
		if _, err := m.from.Command(fmt.Sprintf("MIGRATE 127.0.0.1 %d %s 0 5000", m.to.port, key)); err != nil {
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
