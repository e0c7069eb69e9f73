package sqlite_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"belfry"
	"belfry/sqlite"
)

// nobodyThere is an emitter without pages.
type nobodyThere struct{}

func (nobodyThere) Emit(belfry.Envelope) (pages int) { return 0 }

func (nobodyThere) Pace() {}

// A message to a user who has no page open waits in the inbox.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "belfry")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	store, err := sqlite.Open(ctx, dir, sqlite.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	service, err := belfry.NewService(ctx, belfry.ServiceOptions{
		Store:  store,
		Broker: belfry.NewMemoryBroker(nobodyThere{}),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer service.Close()

	receipt, err := service.PushMessage(ctx, belfry.Push{
		Message:   belfry.Message{Type: belfry.OperationNotice, Title: "New task", Content: "Review the home page"},
		Receivers: []belfry.UserID{"7"},
	}, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("stored:", receipt.Stored, "pages:", receipt.Pages)

	counts, err := service.Counts(ctx, belfry.Identity{User: "7", Company: "acme"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("unread:", counts.Unread)
	// Output:
	// stored: true pages: 0
	// unread: 1
}
