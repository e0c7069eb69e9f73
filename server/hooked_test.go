package server

import (
	"context"
	"sync"

	"belfry"
)

// A hookedStore is a store that can fail: where a hook is set it is called
// first.
type hookedStore struct {
	belfry.Store

	mu                       sync.Mutex
	add                      func() error // before messages are stored
	since                    func() error // before the log is read
	inbox, counts, delivered func()
}

// set changes the hooks.
func (h *hookedStore) set(change func(*hookedStore)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change(h)
}

// call calls the hook that of picks, if it is set.
func (h *hookedStore) call(of func(*hookedStore) func()) {
	h.mu.Lock()
	hook := of(h)
	h.mu.Unlock()
	if hook != nil {
		hook()
	}
}

func (h *hookedStore) Add(ctx context.Context, entries belfry.Entries) ([]belfry.Replaced, error) {
	h.mu.Lock()
	add := h.add
	h.mu.Unlock()
	if add != nil {
		// It is being stored: it has its places.
		if entries.Place != nil {
			entries.Place(belfry.ID{}, &entries)
			entries.Place = nil
		}
		if err := add(); err != nil {
			return nil, err
		}
	}
	return h.Store.Add(ctx, entries)
}

func (h *hookedStore) Inbox(ctx context.Context, who belfry.Identity, q belfry.InboxQuery) ([]belfry.Message, error) {
	h.call(func(h *hookedStore) func() { return h.inbox })
	return h.Store.Inbox(ctx, who, q)
}

func (h *hookedStore) Counts(ctx context.Context, who belfry.Identity) (belfry.Counts, error) {
	h.call(func(h *hookedStore) func() { return h.counts })
	return h.Store.Counts(ctx, who)
}

func (h *hookedStore) MarkDelivered(ctx context.Context, receiver belfry.UserID, ids []belfry.ID) error {
	h.call(func(h *hookedStore) func() { return h.delivered })
	return h.Store.MarkDelivered(ctx, receiver, ids)
}

func (h *hookedStore) Since(ctx context.Context, who belfry.Identity, after, until belfry.ID, limit int) ([]belfry.LogEntry, bool, error) {
	h.mu.Lock()
	since := h.since
	h.mu.Unlock()
	if since != nil {
		if err := since(); err != nil {
			return nil, false, err
		}
	}
	return h.Store.Since(ctx, who, after, until, limit)
}
