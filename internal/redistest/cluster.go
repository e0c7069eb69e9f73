package redistest

import (
	"errors"
	"fmt"
	"strings"
)

// slots is how many a Redis Cluster has.
const slots = 16384

// A Cluster is there until Stop.
type Cluster struct {
	URL     string // names all of its masters
	Masters []*Server
}

// LaunchCluster starts a cluster of three masters without replicas.
func LaunchCluster() (*Cluster, error) {
	c := &Cluster{}
	for range 3 {
		s, err := Launch("--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-require-full-coverage", "no")
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
	return nil
}

// Stop ends the masters, and deletes their files.
func (c *Cluster) Stop() error {
	var all error
	for _, s := range c.Masters {
		all = errors.Join(all, s.Stop())
	}
	return all
}
