package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"belfry/auth"
)

// An explainCmd asks a running server what became of a message.
type explainCmd struct {
	ID      string        `arg:"" help:"messageID, or the scheduledID of a push that waits for its time."`
	UID     string        `help:"User whose story it is; not needed for a message to one receiver."`
	Push    string        `help:"URL of the push port." default:"http://127.0.0.1:2121" placeholder:"URL"`
	Auth    keyFlags      `embed:"" prefix:"auth."`
	Data    string        `help:"Directory of the key." default:"belfry-data" type:"path" placeholder:"DIR"`
	Timeout time.Duration `help:"How long to wait for the answer." default:"15s"`
}

type keyFlags struct {
	PushKey auth.Secret `help:"Key of backends. Default: the one in the data directory." placeholder:"KEY"`
}

// An explanation is the server's answer.
type explanation struct {
	MessageID string
	UID       string
	Verdict   string
	Partial   bool
	Steps     []struct {
		At           time.Time
		What         string
		Page, Detail string
		Count        int
	}
	Detail string // of a problem
}

// maxExplanation bounds what is read of an answer.
const maxExplanation = 1 << 20

// Run implements the command.
func (c *explainCmd) Run(out *surroundings) error {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	ctx, cancelTimeout := context.WithTimeout(ctx, c.Timeout)
	defer cancelTimeout()
	e, err := c.ask(ctx)
	if err != nil {
		return err
	}
	return e.print(out.stdout)
}

func (c *explainCmd) ask(ctx context.Context) (*explanation, error) {
	key, err := existingSecret(c.Auth.PushKey, filepath.Join(c.Data, pushKeyFile))
	if err != nil {
		return nil, err
	}
	address := strings.TrimSuffix(c.Push, "/") + "/v1/messages/" + url.PathEscape(c.ID) + "/explain"
	if c.UID != "" {
		address += "?uid=" + url.QueryEscape(c.UID)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	if key != "" { // a server in development may need none
		req.Header.Set("Authorization", "Bearer "+string(key))
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("the server does not answer: %w", err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxExplanation))
	if err != nil {
		return nil, err
	}
	var e explanation
	if err := json.Unmarshal(body, &e); err != nil {
		return nil, fmt.Errorf("the server answered %s, which is no explanation", res.Status)
	}
	if res.StatusCode != http.StatusOK {
		return nil, errors.New(e.Detail)
	}
	return &e, nil
}

// print writes the story, a line a step.
func (e *explanation) print(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, s := range e.Steps {
		var more []string
		if s.Page != "" {
			more = append(more, "page "+s.Page)
		}
		if s.Count > 0 {
			more = append(more, fmt.Sprintf("%d pages", s.Count))
		}
		if s.Detail != "" {
			more = append(more, s.Detail)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", s.At.Local().Format("2006-01-02 15:04:05.000"), s.What, strings.Join(more, ", "))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	who := ""
	if e.UID != "" {
		who = " for user " + e.UID
	}
	_, err := fmt.Fprintf(w, "%s%s: %s\n", e.MessageID, who, e.Verdict)
	if e.Partial {
		fmt.Fprintln(w, "Facts have been dropped: the story may have gaps.")
	}
	return err
}
