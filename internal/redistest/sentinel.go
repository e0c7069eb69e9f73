package redistest

import (
	"errors"
	"fmt"
	"strings"
)

// masterName is what the sentinels call the master.
const masterName = "mine"

// sentinelConfig has a failover take a few seconds. That a server is down two of three have to see.
const sentinelConfig = `
sentinel monitor mine 127.0.0.1 %d 2
sentinel down-after-milliseconds mine ` + calm + `
sentinel failover-timeout mine 5000
`

// After how many milliseconds without a word a server is down. A machine that stands still is not taken for a server that does:
// sentinels are calm until a test has taken the master away, and then alert until another leads.
const (
	calm  = "600000"
	alert = "1000"
)

// Elect has the sentinels find out soon that a test has taken the master away, and returns when the replica has taken over.
func (s *Sentinels) Elect(replica *Server) error {
	if err := s.setDownAfter(alert); err != nil {
		return err
	}
	return errors.Join(replica.Leads(), s.setDownAfter(calm))
}

func (s *Sentinels) setDownAfter(ms string) error {
	for _, one := range s.Sentinels {
		if _, err := one.Command("SENTINEL SET " + masterName + " down-after-milliseconds " + ms); err != nil {
			return err
		}
	}
	return nil
}

// haste has a sentinel of Redis 7 and later look and talk ten times as often as it would, and go on after its process was
// stopped for a while: by itself it does nothing for 30 s where 2 s were missing.
const haste = "SENTINEL DEBUG INFO-PERIOD 1000 PUBLISH-PERIOD 200 ASK-PERIOD 200 TILT-TRIGGER 600000"

// A Sentinels is two servers, one of them a replica of the other, and three sentinels that watch them. It is there until Stop.
type Sentinels struct {
	URL       string // names all of the sentinels, and the master
	Servers   []*Server
	Sentinels []*Server
}

// LaunchSentinels starts servers and sentinels, which then know each other. Flags are of the servers.
func LaunchSentinels(flags ...string) (*Sentinels, error) {
	s := &Sentinels{}
	if err := s.launch(flags); err != nil {
		return nil, errors.Join(fmt.Errorf("the sentinels do not watch: %w", err), s.Stop())
	}
	var addrs []string
	for _, one := range s.Sentinels {
		addrs = append(addrs, one.Addr())
	}
	s.URL = "redis://" + strings.Join(addrs, ",") + "?master=" + masterName
	return s, nil
}

func (s *Sentinels) launch(flags []string) error {
	flags = append([]string{"--repl-diskless-sync-delay", "0"}, flags...) // not 5 s
	master, err := Launch(flags...)
	if err != nil {
		return err
	}
	s.Servers = append(s.Servers, master)
	replica, err := Launch(append([]string{"--replicaof", fmt.Sprint("127.0.0.1 ", master.port)}, flags...)...)
	if err != nil {
		return err
	}
	s.Servers = append(s.Servers, replica)
	if err := replica.Follows(); err != nil {
		return err
	}
	for range 3 {
		one, err := launch(fmt.Sprintf(sentinelConfig, master.port), "--sentinel")
		if err != nil {
			return err
		}
		s.Sentinels = append(s.Sentinels, one)
		if _, err := one.Command(haste); err != nil {
			return err
		}
	}
	for _, one := range s.Sentinels {
		if err := one.says("sentinel", "status=ok", "slaves=1", "sentinels=3"); err != nil {
			return err
		}
	}
	return nil
}

// says waits until a section of a server's INFO has all of some words.
func (s *Server) says(section string, words ...string) error {
	return eventually(func() error {
		info, err := s.Command("INFO " + section)
		for _, word := range words {
			if err == nil && !strings.Contains(info, word) {
				err = fmt.Errorf("%s says %q, want %s", s.Addr(), info, word)
			}
		}
		return err
	})
}

// Follows returns when the server is a replica, and has what its master has.
func (s *Server) Follows() error { return s.says("replication", "role:slave", "master_link_status:up") }

// Leads returns when the server, which was a replica, is a master.
func (s *Server) Leads() error { return s.says("replication", "role:master") }

// Master returns the server that the sentinels, all of them, take for the master, and the other.
func (s *Sentinels) Master() (master, other *Server, err error) {
	err = eventually(func() error {
		master, other = nil, nil
		for _, one := range s.Sentinels {
			info, err := one.Command("INFO sentinel")
			if err != nil {
				return err
			}
			for i, server := range s.Servers {
				if strings.Contains(info, "address="+server.Addr()+",") && (master == nil || master == server) {
					master, other = server, s.Servers[1-i]
				} else if master == server {
					return errors.New("the sentinels do not agree on a master")
				}
			}
		}
		return nil
	})
	return master, other, err
}

// Stop ends servers and sentinels, and deletes their files.
func (s *Sentinels) Stop() error {
	var all error
	for _, one := range append(s.Sentinels, s.Servers...) {
		all = errors.Join(all, one.Stop())
	}
	return all
}
