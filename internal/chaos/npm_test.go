package chaos

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// workspace has the official clients among its modules, once they have been installed.
const workspace = "../../web/e2e/package.json"

// officialClients are those of which there is a page each.
var officialClients = []string{"socket.io-client-2", "socket.io-client-3", "socket.io-client-4"}

// missingClients says why the official clients cannot be had, if so.
func missingClients() error {
	if _, err := exec.LookPath("node"); err != nil {
		return err
	}
	for _, client := range officialClients {
		if _, err := os.Stat(filepath.Join(filepath.Dir(workspace), "..", "node_modules", client)); err != nil {
			return err
		}
	}
	return nil
}

// official drives pages by the official clients, in a process of their own.
type official struct {
	pages []*page
	node  *exec.Cmd
	alive io.Closer
	heard chan error
}

// driveOfficial opens a page by each official client, with the token of the same place.
func driveOfficial(addr string, pages []*page, tokens []string) (*official, error) {
	type config struct {
		Client string `json:"client"`
		Token  string `json:"token"`
	}
	var configs []config
	for i, client := range officialClients {
		configs = append(configs, config{client, tokens[i]})
	}
	from, err := filepath.Abs(workspace)
	if err != nil {
		return nil, err
	}
	o := &official{pages: pages, node: exec.Command("node", "clients.mjs", from, "http://"+addr, encode(configs)), heard: make(chan error, 1)}
	o.node.Stderr = os.Stderr
	if o.alive, err = o.node.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := o.node.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := o.node.Start(); err != nil {
		return nil, err
	}
	go func() { o.heard <- o.hear(out) }()
	return o, nil
}

// hear notes what happens to the pages, until the process ends.
func (o *official) hear(out io.Reader) error {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, maxFrame)
	for lines.Scan() {
		var line struct {
			Page             int
			What, Why, Event string
			Args             []json.RawMessage
			Counts           counts
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return fmt.Errorf("%s: %w", lines.Bytes(), err)
		}
		p := o.pages[line.Page]
		switch line.What {
		case "connects":
			p.connects(-1)
		case "in":
			p.loggedIn(line.Counts)
		case "anew":
			p.loadsAnew(line.Why)
		case "refused":
			p.refused()
		case "out":
			p.leaves(line.Why)
		case "event":
			if _, err := p.take(line.Event, line.Args); err != nil {
				return err
			}
		}
	}
	return lines.Err()
}

// close ends the process.
func (o *official) close() error {
	err := o.alive.Close()
	return errors.Join(err, <-o.heard, o.node.Wait())
}
