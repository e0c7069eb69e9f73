package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/signal"
	"syscall"
	"time"
)

// A healthCmd asks a running server whether it can do its work. It is for containers, which have
// no other program to ask with.
type healthCmd struct {
	URL     string        `help:"URL of the health check, on the port for pages or the one for backends." default:"http://127.0.0.1:2120/healthz" placeholder:"URL"`
	Timeout time.Duration `help:"How long to wait for the answer." default:"4s"`
}

// maxHealth bounds what is read of an answer.
const maxHealth = 4 << 10

// Run implements the command. It fails unless the server says that it is well.
func (c *healthCmd) Run(out *surroundings) error {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	ctx, cancelTimeout := context.WithTimeout(ctx, c.Timeout)
	defer cancelTimeout()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("the server does not answer: %w", err)
	}
	defer res.Body.Close()
	var said struct{ Status string }
	body, err := io.ReadAll(io.LimitReader(res.Body, maxHealth))
	if err != nil {
		return fmt.Errorf("the server does not answer: %w", err)
	}
	if err := json.Unmarshal(body, &said); err != nil || said.Status == "" {
		return fmt.Errorf("the server answered %s, and not as belfry does", res.Status)
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the server is not well: %.100q", said.Status)
	}
	_, err = fmt.Fprintln(out.stdout, said.Status)
	return err
}
