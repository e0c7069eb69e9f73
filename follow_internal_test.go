package belfry

import (
	"context"
	"log/slog"
	"testing"
	"time"
)

// A lastStore knows the last place, and that what is stored concerns nobody.
type lastStore struct {
	Store
	last ID
}

func (s lastStore) Last(context.Context) (ID, error) { return s.last, nil }

func (s lastStore) Concerned(context.Context, ID) ([]Identity, bool, error) { return nil, true, nil }

// TestALossDoesNotEndBeforeAllIsTold has a flight of this node hold up the look at what others have stored.
func TestALossDoesNotEndBeforeAllIsTold(t *testing.T) {
	presence := NewMemoryPresence(PresenceOptions{})
	defer presence.Close()
	s := &Service{
		store: lastStore{last: placeAt(9)}, presence: presence, follower: newFollower(), shared: true,
		line: newLine(NewIDSource(), placeAt(1), time.Now, slog.New(slog.DiscardHandler)),
	}
	own := s.line.book(1)
	own.depart(placeAt(1)) // others have stored more since, and it will depart again
	s.follower.set(true, true)
	if all, err := s.catchUp(t.Context()); all || err != nil || s.place() != placeAt(1) {
		t.Errorf("while it is this node's turn, all is told: %v, %v, up to %s", all, err, s.place())
	}
	own.drop()
	if all, err := s.catchUp(t.Context()); !all || err != nil || s.place() != placeAt(9) {
		t.Errorf("when it is not, all is told: %v, %v, up to %s", all, err, s.place())
	}
}

// A hookedStore calls a function when it is asked for the last place.
type hookedStore struct {
	lastStore
	asked func()
}

func (s hookedStore) Last(ctx context.Context) (ID, error) {
	s.asked()
	return s.lastStore.Last(ctx)
}

// TestALossThatComesAndGoesWhileAnotherEndsIsOneOfItsOwn has a node hear nothing for a moment while it reads what it has missed
// before: what was stored in this moment may be behind what it reads.
func TestALossThatComesAndGoesWhileAnotherEndsIsOneOfItsOwn(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	s := &Service{
		follower: newFollower(), shared: true, background: ctx,
		line: newLine(NewIDSource(), placeAt(9), time.Now, slog.New(slog.DiscardHandler)),
	}
	lost := make(chan bool, 2) // at each look
	looks := 0
	s.store = hookedStore{lastStore{last: placeAt(9)}, func() {
		switch looks++; looks {
		case 1:
			s.Lost()
			s.Found()
		case 2:
			lost <- s.follower.isLost()
		case 3:
			lost <- s.follower.isLost()
			stop()
		}
	}}
	s.Lost()
	s.Found()
	s.follow()
	if !<-lost {
		t.Error("a loss has ended with the one before it")
	}
	if <-lost {
		t.Error("it does not end")
	}
}

// An expiringStore finds a message that expires, after places that this node has not been told of.
type expiringStore struct {
	lastStore
	expiring chan struct{} // closed while it does
}

func (s expiringStore) NextDue(context.Context) (time.Time, error) {
	select {
	case <-s.expiring:
		return time.Time{}, nil
	default:
		return time.Now(), nil
	}
}

func (s expiringStore) Due(context.Context, time.Time, int) ([]Scheduled, error) { return nil, nil }

// Expire is being carried out when the service is closed.
func (s expiringStore) Expire(ctx context.Context, _ time.Time, place Placer, _ int) ([]Message, error) {
	place(placeAt(9))
	close(s.expiring)
	<-ctx.Done()
	return []Message{{ID: placeAt(2), Receiver: "1"}}, nil
}

// A sharingBroker says that there are other nodes, of which nothing comes.
type sharingBroker struct{ Broker }

func (sharingBroker) Serve(Receiver) bool       { return true }
func (sharingBroker) Emit(Envelope) (pages int) { return 0 }

// TestACloseDoesNotWaitForWhatOtherNodesHaveStored has the agenda store something after what this node has not told yet, and will
// not any more.
func TestACloseDoesNotWaitForWhatOtherNodesHaveStored(t *testing.T) {
	store := expiringStore{lastStore{last: placeAt(1)}, make(chan struct{})}
	s, err := NewService(t.Context(), ServiceOptions{Store: store, Broker: sharingBroker{}})
	if err != nil {
		t.Fatal(err)
	}
	<-store.expiring
	closed := make(chan struct{})
	go func() {
		s.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(30 * time.Second):
		t.Error("the service does not close")
	}
	if len(s.line.flights) > 0 {
		t.Errorf("%d flights are left", len(s.line.flights))
	}
}

// A hastyBroker has something to deliver while it is told to serve.
type hastyBroker struct {
	sharingBroker
	delivered chan struct{}
}

func (b hastyBroker) Serve(r Receiver) bool {
	r.Lost()
	begun := make(chan struct{})
	go func() {
		close(begun)
		for range 100 {
			r.Deliver(Envelope{Rooms: []string{EverybodyRoom}, Event: "x"})
		}
		close(b.delivered)
	}()
	<-begun
	return true
}

// TestWhatComesWhileAServiceBeginsDisturbsNothing is of use with the race detector.
func TestWhatComesWhileAServiceBeginsDisturbsNothing(t *testing.T) {
	broker := hastyBroker{delivered: make(chan struct{})}
	s, err := NewService(t.Context(), ServiceOptions{Store: idleStore{}, Broker: broker})
	if err != nil {
		t.Fatal(err)
	}
	<-broker.delivered
	s.Close()
}

// An idleStore has nothing.
type idleStore struct{ lastStore }

func (idleStore) NextDue(context.Context) (time.Time, error) { return time.Time{}, nil }
