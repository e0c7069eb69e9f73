package main

import (
	"context"
	"encoding/json"
	"log"
	"sync"
	"time"

	"github.com/centrifugal/centrifuge"
)

// tellEvery is how often a company is told its number of people, once for all who came and went
// meanwhile: as rarely as Socket.IO beside it does, where belfry does it every 250 ms.
const tellEvery = time.Second

// online counts the users of companies who have pages.
type online struct {
	node *centrifuge.Node

	mu        sync.Mutex
	companies map[string]map[string]int // pages of each user
	changed   map[string]bool
}

func newOnline(node *centrifuge.Node) *online {
	return &online{node: node, companies: make(map[string]map[string]int), changed: make(map[string]bool)}
}

func (o *online) enter(company, user string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	users := o.companies[company]
	if users == nil {
		users = make(map[string]int)
		o.companies[company] = users
	}
	if users[user]++; users[user] == 1 {
		o.changed[company] = true
	}
}

func (o *online) leave(company, user string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	users := o.companies[company]
	if users[user]--; users[user] == 0 {
		delete(users, user)
		o.changed[company] = true
	}
}

// tell tells companies their numbers until ctx ends.
func (o *online) tell(ctx context.Context) {
	ticker := time.NewTicker(tellEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for company, n := range o.take() {
			data, err := json.Marshal(map[string]any{"event": "update_online_count", "data": n})
			if err == nil {
				_, err = o.node.Publish(companyChannel(company), data)
			}
			if err != nil {
				log.Print(err)
			}
		}
	}
}

// take returns the numbers that have changed.
func (o *online) take() map[string]int {
	o.mu.Lock()
	defer o.mu.Unlock()
	changed := make(map[string]int, len(o.changed))
	for company := range o.changed {
		changed[company] = len(o.companies[company])
	}
	clear(o.changed)
	return changed
}
