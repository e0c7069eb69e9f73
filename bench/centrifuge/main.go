// Centrifuge is a push server on the centrifuge library, the engine of Centrifugo, in memory, for
// comparison: pages speak the library's own protocol, in JSON, and are subscribed by the server
// to the channels of their user and their company; backends push over HTTP with the fields of the article. It does what
// belfry does with store=0, and nothing is checked: neither tokens nor keys, as with belfry
// serve --dev.
//
//	centrifuge ADDRESS-FOR-PAGES ADDRESS-FOR-BACKENDS
//
// SIGTERM stops it. Settings are the library's defaults, and those that its documentation names for
// many connections: pooled write buffers, small read buffers, commands off the reading goroutine. There is no history,
// and presence is only the number of a company's users.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/centrifugal/centrifuge"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: centrifuge ADDRESS-FOR-PAGES ADDRESS-FOR-BACKENDS")
	}
	if err := serve(os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

// serve serves until it fails or the process is told to stop.
func serve(pagesAt, backendsAt string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	node, err := centrifuge.New(centrifuge.Config{})
	if err != nil {
		return err
	}
	online := newOnline(node)
	node.OnConnecting(connecting)
	node.OnConnect(func(c *centrifuge.Client) {
		company := string(c.Info())
		online.enter(company, c.UserID())
		c.OnDisconnect(func(centrifuge.DisconnectEvent) { online.leave(company, c.UserID()) })
	})
	if err := node.Run(); err != nil {
		return err
	}
	go online.tell(ctx)
	pages := http.NewServeMux()
	pages.Handle("/connection/websocket", centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{
		ReadBufferSize: 512, UseWriteBufferPool: true, ProcessCommandsOffReadLoop: true,
	}))
	failed := make(chan error, 2)
	for address, handler := range map[string]http.Handler{pagesAt: pages, backendsAt: push(node)} {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		go func() { failed <- http.Serve(listener, handler) }()
	}
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return nil // what pages see is that the process ends
	}
}

func userChannel(uid string) string          { return "uid:" + uid }
func companyChannel(companyID string) string { return "company:" + companyID }

// connecting logs a page in with {uid, companyID}.
func connecting(_ context.Context, e centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
	var who struct{ UID, CompanyID string }
	if err := json.Unmarshal(e.Data, &who); err != nil || who.UID == "" || who.CompanyID == "" {
		return centrifuge.ConnectReply{}, centrifuge.ErrorBadRequest
	}
	return centrifuge.ConnectReply{
		Credentials: &centrifuge.Credentials{UserID: who.UID, Info: []byte(who.CompanyID)},
		Subscriptions: map[string]centrifuge.SubscribeOptions{
			userChannel(who.UID): {}, companyChannel(who.CompanyID): {},
		},
	}, nil
}

// push answers backends: it publishes a message to a user, or an activity to a company, and says
// whether a page was there.
func push(node *centrifuge.Node) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		word, err := publish(node, r)
		if err != nil {
			w.Header().Set("X-Belfry-Error", err.Error())
			word = "fail"
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprint(w, word)
	})
}

func publish(node *centrifuge.Node, r *http.Request) (string, error) {
	if err := r.ParseForm(); err != nil {
		return "", err
	}
	event := struct {
		Event string            `json:"event"`
		Data  map[string]string `json:"data"`
	}{Data: make(map[string]string, len(r.Form))}
	var channel string
	switch r.Form.Get("action") {
	case "message":
		event.Event, channel = "new_msg", userChannel(r.Form.Get("receiverID"))
	case "dynamic":
		event.Event, channel = "update_dynamic", companyChannel(r.Form.Get("companyID"))
	default:
		return "", errors.New("action must be message or dynamic")
	}
	for name, values := range r.Form {
		if name != "action" && name != "store" {
			event.Data[name] = values[0]
		}
	}
	data, err := json.Marshal(event)
	if err != nil {
		return "", err
	}
	there := node.Hub().NumSubscribers(channel) > 0
	if _, err := node.Publish(channel, data); err != nil {
		return "", err
	}
	if there {
		return "ok", nil
	}
	return "offline", nil
}
