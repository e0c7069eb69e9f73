package belfry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"belfry"
)

var (
	ann      = belfry.Identity{User: "1", Company: "acme"}
	annOther = belfry.Identity{User: "1", Company: "other"}
	bob      = belfry.Identity{User: "10", Company: "acme"}
)

func TestAMessageReachesEveryPageOfItsReceiverAndNoOther(t *testing.T) {
	b := newBench(t)
	first, _ := b.login(ann)
	second, _ := b.login(ann)
	elsewhere, _ := b.login(annOther)
	bobs, _ := b.login(bob)

	if r := b.push("all", "", "1"); r.Pages != 3 || !r.Stored || len(r.IDs) != 1 {
		t.Errorf("receipt of the first is %+v", r)
	}
	if r := b.push("acme", "acme", "1"); r.Pages != 2 {
		t.Errorf("receipt of the second is %+v", r)
	}
	for p, want := range map[*page]string{first: "all acme ", second: "all acme ", elsewhere: "all ", bobs: ""} {
		if got := p.titles(belfry.EventMessage); got != want {
			t.Errorf("%s got %q, want %q", p.id, got, want)
		}
	}
	if _, w := b.login(ann); w.Replayed != 0 || w.Counts.Unread != 2 {
		t.Errorf("a further page is welcomed with %+v; nothing waits and 2 are unread", w)
	}
}

func TestAPushToManyStoresOneMessageForEachOfThem(t *testing.T) {
	b := newBench(t)
	p, _ := b.login(ann)
	r := b.push("x", "", "1", "10", " 1", "10", "3")
	if len(r.IDs) != 3 || r.Pages != 1 || len(p.got(belfry.EventMessage)) != 1 {
		t.Errorf("receipt is %+v, want three ids and one page", r)
	}
	for i, user := range []belfry.UserID{"1", "10", "3"} {
		inbox, err := b.Inbox(context.Background(), belfry.Identity{User: user, Company: "c"}, belfry.InboxQuery{})
		if err != nil || len(inbox) != 1 || inbox[0].ID != r.IDs[i] {
			t.Errorf("the inbox of %s is %v, %v", user, inbox, err)
		}
	}
}

func TestADraftIsCheckedFieldByField(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n+1) }
	many := make(map[string]string)
	for i := range belfry.MaxExtraFields + 1 {
		many[fmt.Sprint(i)] = ""
	}
	for field, m := range map[string]belfry.Message{
		"title and content are missing":      {Title: " ", Content: "\n"},
		"title is 1025 bytes":                {Title: long(belfry.MaxTitleBytes)},
		"title is not valid UTF-8":           {Title: "\xff"},
		"content is 65537 bytes":             {Content: long(belfry.MaxContentBytes)},
		"content is not":                     {Content: "a\xc3"},
		"url is 2049":                        {Title: "t", URL: long(belfry.MaxURLBytes)},
		"url is not valid":                   {Title: "t", URL: "\xed\xa0\x80"},
		"portrait is 2049":                   {Title: "t", Portrait: long(belfry.MaxURLBytes)},
		"sender is 257":                      {Title: "t", Sender: long(belfry.MaxNameBytes)},
		"senderID is 129":                    {Title: "t", SenderID: long(belfry.MaxIDBytes)},
		"senderID contains a control":        {Title: "t", SenderID: "a\x00b"},
		"companyID is 129":                   {Title: "t", Company: belfry.CompanyID(long(belfry.MaxIDBytes))},
		"typeID is -1":                       {Title: "t", Type: -1},
		"typeID is 2147483648":               {Title: "t", Type: belfry.MaxType + 1},
		"extra has 33":                       {Title: "t", Extra: many},
		"extra is 4097":                      {Title: "t", Extra: map[string]string{"k": long(belfry.MaxExtraBytes - 1)}},
		"extra has an empty name":            {Title: "t", Extra: map[string]string{"": "v"}},
		"extra has an empty name or invalid": {Title: "t", Extra: map[string]string{"k": "\xff"}},
		"date is out of range":               {Title: "t", Date: time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		t.Run(field, func(t *testing.T) {
			b := newBench(t)
			p, _ := b.login(ann)
			_, err := b.PushMessage(context.Background(), belfry.Push{Message: m, Receivers: []belfry.UserID{"1"}}, nil)
			wantInvalid(t, err, field)
			a := belfry.Activity{
				Company: cmpOr(m.Company, "acme"), OperatorID: m.SenderID, Operator: m.Sender, Portrait: m.Portrait, Title: m.Title,
				Content: m.Content, URL: m.URL, Date: m.Date, ObjectType: belfry.ObjectType(m.Type), Extra: m.Extra,
			}
			_, err = b.PushActivity(context.Background(), belfry.ActivityPush{Activity: a}, nil)
			wantInvalid(t, err, strings.NewReplacer("sender", "operator", "typeID", "objectType").Replace(field))
			if len(p.got(belfry.EventMessage))+len(p.got(belfry.EventActivity)) > 0 {
				t.Error("it was published")
			}
			if c, err := b.Counts(context.Background(), ann); err != nil || c.Unread != 0 {
				t.Errorf("it was stored: %+v, %v", c, err)
			}
		})
	}
}

func cmpOr(a, b belfry.CompanyID) belfry.CompanyID {
	if a != "" {
		return a
	}
	return b
}

func wantInvalid(t *testing.T, err error, message string) {
	t.Helper()
	if belfry.ErrorCode(err) != belfry.ErrInvalid || !strings.HasPrefix(belfry.ErrorMessage(err), message) {
		t.Errorf("the error is %v, want %s: %s…", err, belfry.ErrInvalid, message)
	}
}

func TestReceiversAreChecked(t *testing.T) {
	b := newBench(t, func(o *belfry.ServiceOptions) { o.MaxReceivers = 2 })
	for message, receivers := range map[string][]belfry.UserID{
		"receiverID is missing":         nil,
		"receiverID is missing ":        {"1", " "},
		"receiverID is 129 bytes":       {belfry.UserID(strings.Repeat("1", 129))},
		"receiverID is not valid UTF-8": {"\xff"},
		"receiverID names 3 receivers":  {"1", "2", "3"},
	} {
		_, err := b.PushMessage(context.Background(), belfry.Push{Message: belfry.Message{Title: "t"}, Receivers: receivers}, nil)
		wantInvalid(t, err, strings.TrimSpace(message))
	}
	_, err := b.PushActivity(context.Background(), belfry.ActivityPush{Activity: belfry.Activity{Title: "t"}}, nil)
	wantInvalid(t, err, "companyID is missing")
	if c, err := b.Counts(context.Background(), ann); err != nil || c.Unread != 0 {
		t.Errorf("something was stored: %+v, %v", c, err)
	}
}

func TestADraftIsCompletedAndItsOwnFieldsStayRaw(t *testing.T) {
	now := time.Date(2026, 5, 6, 7, 8, 9, 999, time.UTC)
	b := newBench(t, func(o *belfry.ServiceOptions) { o.Now = func() time.Time { return now } })
	p, _ := b.login(ann)
	extra := map[string]string{"k": "v"}
	draft := belfry.Message{
		ID: belfry.ID{1}, Receiver: "nobody", IsRead: true, Company: " acme ", SenderID: " 7 ",
		Title: "<b>", URL: "javascript:x", Extra: extra,
	}
	r, err := b.PushMessage(context.Background(), belfry.Push{Message: draft, Receivers: []belfry.UserID{"1"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	extra["k"] = "changed by the caller"
	want := belfry.Message{
		ID: r.IDs[0], Receiver: "1", Company: "acme", SenderID: "7", Title: "<b>", URL: "javascript:x",
		Date: now.Truncate(time.Second), Type: belfry.SystemNotice, Extra: map[string]string{"k": "v"},
	}
	if got := p.messages(); len(got) != 1 || !reflect.DeepEqual(got[0].Message, &want) {
		t.Errorf("the page got %+v, want %+v", got, want)
	}
	inbox, err := b.Inbox(context.Background(), ann, belfry.InboxQuery{})
	if err != nil || len(inbox) != 1 || !reflect.DeepEqual(inbox[0], want) {
		t.Errorf("the inbox is %+v (%v), want %+v", inbox, err, want)
	}
}

func TestAnActivityReachesEveryPageOfItsCompanyAndNoOther(t *testing.T) {
	b := newBench(t)
	anns, _ := b.login(ann)
	bobs, _ := b.login(bob)
	elsewhere, _ := b.login(annOther)
	r, err := b.PushActivity(context.Background(), belfry.ActivityPush{Activity: belfry.Activity{Company: "acme", Title: "x"}}, nil)
	if err != nil || r.Pages != 2 || !r.Stored || len(r.IDs) != 1 {
		t.Errorf("receipt is %+v, %v", r, err)
	}
	for p, want := range map[*page]string{anns: "x ", bobs: "x ", elsewhere: ""} {
		if got := p.titles(belfry.EventActivity); got != want {
			t.Errorf("%s got %q, want %q", p.id, got, want)
		}
	}
	feed, err := b.Feed(context.Background(), bob.Company, belfry.FeedQuery{})
	if err != nil || len(feed) != 1 || feed[0].ID != r.IDs[0] {
		t.Errorf("the feed is %v, %v", feed, err)
	}
	if feed, err := b.Feed(context.Background(), annOther.Company, belfry.FeedQuery{}); err != nil || len(feed) != 0 {
		t.Errorf("the feed of the other company is %v, %v", feed, err)
	}
}

func TestWhatIsTransientIsSentAndNotStored(t *testing.T) {
	ctx := context.Background()
	b := newBench(t)
	p, _ := b.login(ann)
	r, err := b.PushMessage(ctx, belfry.Push{Message: belfry.Message{Title: "m"}, Receivers: []belfry.UserID{"1", "10"}, Transient: true}, nil)
	if err != nil || r.Stored || r.Pages != 1 || len(r.IDs) != 2 {
		t.Errorf("receipt of the message is %+v, %v", r, err)
	}
	r, err = b.PushActivity(ctx, belfry.ActivityPush{Activity: belfry.Activity{Company: "acme", Title: "a"}, Transient: true}, nil)
	if err != nil || r.Stored || r.Pages != 1 {
		t.Errorf("receipt of the activity is %+v, %v", r, err)
	}
	if p.titles(belfry.EventMessage) != "m " || p.titles(belfry.EventActivity) != "a " {
		t.Errorf("the page got %v", p.all())
	}
	if _, w := b.login(bob); w.Replayed != 0 || w.Counts.Unread != 0 {
		t.Errorf("bob is welcomed with %+v", w)
	}
	if feed, err := b.Feed(ctx, ann.Company, belfry.FeedQuery{}); err != nil || len(feed) != 0 {
		t.Errorf("the feed is %v, %v", feed, err)
	}
}

func TestATextGoesToAUserOrToEverybody(t *testing.T) {
	ctx := context.Background()
	b := newBench(t)
	anns, _ := b.login(ann)
	bobs, _ := b.login(bob)
	if r, err := b.PublishText(ctx, "1", "one", true); err != nil || !r.Stored || r.Pages != 1 {
		t.Errorf("to a user: %+v, %v", r, err)
	}
	if r, err := b.PublishText(ctx, "", "all", true); err != nil || r.Stored || r.Pages != 2 {
		t.Errorf("to everybody: %+v, %v", r, err)
	}
	_, err := b.PublishText(ctx, "", "", true)
	wantInvalid(t, err, "title and content are missing")
	if anns.titles(belfry.EventMessage) != "one all " || bobs.titles(belfry.EventMessage) != "all " {
		t.Errorf("ann got %q, bob %q", anns.titles(belfry.EventMessage), bobs.titles(belfry.EventMessage))
	}
	if m := anns.messages()[1].Message; !m.Bare || m.Type != belfry.SystemNotice {
		t.Errorf("the message is %+v, want a bare one", m)
	}
}

func TestNothingIsSentThatTheStoreRefuses(t *testing.T) {
	ctx := context.Background()
	b := newBench(t)
	p, _ := b.login(ann)
	refusal := belfry.Errorf(belfry.ErrUnavailable, "away")
	b.store.set(func(s *shakyStore) { s.add = func(context.Context) error { return refusal } })
	if _, err := b.PushMessage(ctx, belfry.Push{Message: belfry.Message{Title: "m"}, Receivers: []belfry.UserID{"1"}}, nil); !errors.Is(err, refusal) {
		t.Errorf("the message: %v", err)
	}
	if _, err := b.PushActivity(ctx, belfry.ActivityPush{Activity: belfry.Activity{Company: "acme", Title: "a"}}, nil); !errors.Is(err, refusal) {
		t.Errorf("the activity: %v", err)
	}
	b.store.set(func(s *shakyStore) { s.add = nil })
	b.push("next", "", "1") // nothing is left that it would wait for
	if got := p.titles(belfry.EventMessage) + p.titles(belfry.EventActivity); got != "next " {
		t.Errorf("the page got %q", got)
	}
}

// A wildBroker panics at its first envelope.
type wildBroker struct {
	belfry.Broker
	calm *atomic.Bool
}

func (w wildBroker) Emit(env belfry.Envelope) int {
	if !w.calm.Swap(true) {
		panic("wild")
	}
	return w.Broker.Emit(env)
}

func TestAPanicWhilePublishingHoldsUpNobodyAfterItAndIsLogged(t *testing.T) {
	var calm atomic.Bool
	var log lockedBuffer
	b := newBench(t, func(o *belfry.ServiceOptions) {
		o.Broker = wildBroker{o.Broker, &calm}
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	if r := b.record("lost", "acme"); r.Pages != 0 {
		t.Errorf("receipt is %+v", r)
	}
	p, _ := b.login(ann)
	b.record("next", "acme")
	if got := p.titles(belfry.EventActivity); got != "next " {
		t.Errorf("the page got %q", got)
	}
	if !strings.Contains(log.String(), "panic") || !strings.Contains(log.String(), "wildBroker") {
		t.Errorf("the panic was hidden: %s", log.String())
	}
}

// A lockedBuffer collects a log.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// A deafBroker reaches nobody while it is deaf.
type deafBroker struct {
	belfry.Broker
	deaf *atomic.Bool
}

func (d deafBroker) Emit(env belfry.Envelope) int {
	if d.deaf.Load() {
		return 0
	}
	return d.Broker.Emit(env)
}

func (d deafBroker) Publish(ctx context.Context, env belfry.Envelope) (belfry.Reach, error) {
	if d.deaf.Load() {
		return belfry.Reach{}, errors.New("the network is away")
	}
	return d.Broker.Publish(ctx, env)
}

func TestAMessageThatCannotBePublishedWaitsForTheNextLogin(t *testing.T) {
	var deaf atomic.Bool
	b := newBench(t, func(o *belfry.ServiceOptions) { o.Broker = deafBroker{o.Broker, &deaf} })
	before, _ := b.login(ann)
	deaf.Store(true)
	if r := b.push("m", "", "1"); r.Pages != 0 || !r.Stored {
		t.Errorf("receipt is %+v", r)
	}
	if _, err := b.PublishEvent(context.Background(), belfry.GenericEvent{Event: "x", Rooms: []string{"uid:1"}}, nil); belfry.ErrorCode(err) != belfry.ErrUnavailable {
		t.Errorf("an event, stored nowhere: %v, want %s", err, belfry.ErrUnavailable)
	}
	deaf.Store(false)
	after, w := b.login(ann)
	if w.Replayed != 1 || after.titles(belfry.EventMessage) != "m " || before.titles(belfry.EventMessage) != "" {
		t.Errorf("the new page got %q (%+v), the old one %q", after.titles(belfry.EventMessage), w, before.titles(belfry.EventMessage))
	}
}

func TestAPushIsFinishedAlthoughItsCallerHasLeft(t *testing.T) {
	b := newBench(t)
	p, _ := b.login(ann)
	ctx, cancel := context.WithCancel(context.Background())
	b.hub.mu.Lock() // the commit is through, the publication waits
	done := make(chan belfry.Receipt)
	go func() {
		r, err := b.PushMessage(ctx, belfry.Push{Message: belfry.Message{Title: "m"}, Receivers: []belfry.UserID{"1"}}, nil)
		if err != nil {
			t.Errorf("PushMessage: %v", err)
		}
		done <- r
	}()
	waitFor(t, func() bool { return b.counts(ann).Unread == 1 })
	cancel()
	b.hub.mu.Unlock()
	if r := <-done; r.Pages != 1 || p.titles(belfry.EventMessage) != "m " {
		t.Errorf("receipt is %+v, the page got %q", r, p.titles(belfry.EventMessage))
	}
}

// waitFor waits until a condition holds.
func waitFor(t *testing.T, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatal("the condition does not come true")
		}
		time.Sleep(time.Millisecond)
	}
}

func TestAMessageThatIsStoredEarlyWaitsForThoseBeforeIt(t *testing.T) {
	b := newBench(t)
	p, _ := b.login(ann)
	// Stores end when the test says so.
	started := make(chan chan error)
	b.store.set(func(s *shakyStore) {
		s.add = func(context.Context) error {
			end := make(chan error)
			started <- end
			return <-end
		}
	})
	receipts := make(chan string, 3)
	push := func(title string, to ...belfry.UserID) chan error {
		go func() {
			_, err := b.PushMessage(context.Background(), belfry.Push{Message: belfry.Message{Title: title}, Receivers: to}, nil)
			receipts <- fmt.Sprint(title, err)
		}()
		return <-started
	}
	// Two of them share their receivers the other way round.
	first, second, third := push("1", "1", "10"), push("2", "10", "1"), push("3", "1")
	third <- nil
	second <- nil
	waitFor(t, func() bool { return b.counts(ann).Unread == 2 })
	if got := p.titles(belfry.EventMessage); got != "" || len(receipts) != 0 {
		t.Errorf("the page got %q and %d pushes were answered before the first was stored", got, len(receipts))
	}
	// Who logs in now gets what is in flight once as well, and in order.
	late, w := b.login(ann)
	first <- errors.New("refused")
	answers := []string{<-receipts, <-receipts, <-receipts}
	slices.Sort(answers)
	if want := []string{"1refused", "2<nil>", "3<nil>"}; !slices.Equal(answers, want) {
		t.Errorf("answers are %q, want %q", answers, want)
	}
	for _, p := range []*page{p, late} {
		if got := p.titles(belfry.EventMessage); got != "2 3 " {
			t.Errorf("%s got %q, want \"2 3 \"", p.id, got)
		}
	}
	if first := late.messages()[0].Message.ID; belfry.ID(w.Cursor).Compare(first) >= 0 {
		t.Errorf("the cursor %v skips %v, which was in flight", belfry.ID(w.Cursor), first)
	}
}

// TestTheLineDoesNotWaitForAStoreThatWaitsForTheLine has somebody come after a message to him was counted and before it is told,
// when the store answers as late as it may: it waits for who needs a place in the line.
func TestTheLineDoesNotWaitForAStoreThatWaitsForTheLine(t *testing.T) {
	b := newBench(t)
	anns, _ := b.login(ann)
	started, prepared := make(chan chan error, 2), make(chan struct{}, 10)
	var slow atomic.Bool
	b.store.set(func(s *shakyStore) {
		s.add = func(context.Context) error {
			end := make(chan error)
			started <- end
			return <-end
		}
		s.count = func(ctx context.Context, who belfry.Identity) {
			switch {
			case who == ann:
				prepared <- struct{}{}
			case slow.Load():
				<-ctx.Done()
			}
		}
	})
	pushed := make(chan error, 2)
	push := func(to ...belfry.UserID) chan error {
		go func() {
			_, err := b.PushMessage(context.Background(), belfry.Push{Message: belfry.Message{Title: "m"}, Receivers: to}, nil)
			pushed <- err
		}()
		return <-started
	}
	first, second := push("100"), push(bob.User, ann.User)
	second <- nil
	<-prepared // bob had no page
	bobs, _ := b.login(bob)
	slow.Store(true)
	first <- errors.New("refused")
	waitFor(t, func() bool {
		return anns.titles(belfry.EventMessage) == "m " && bobs.titles(belfry.EventMessage) == "m "
	})
	if c := bobs.messages()[0].Counts; c != nil {
		t.Errorf("counts %+v have come from a store that does not answer", c)
	}
	<-pushed
	<-pushed
	slow.Store(false)
	waitFor(t, func() bool {
		counts := bobs.got(belfry.EventCounts)
		return len(counts) > 0 && counts[len(counts)-1].(belfry.Counts).Unread == 1
	})
}
