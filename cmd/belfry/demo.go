package main

import (
	"fmt"
	"net"
	"os"

	"belfry/server"
	"belfry/web"
)

// A demoCmd serves the demo: a development server with an application on it.
type demoCmd struct {
	Listen      string `help:"Address for pages. Whoever reaches it can be anybody in the demo." default:"localhost:2120" placeholder:"ADDR"`
	Data        string `help:"Directory of the database; without it, one that is removed at the end." type:"path" placeholder:"DIR"`
	serverFlags `embed:""`
}

// Run implements the command.
func (c *demoCmd) Run(out *surroundings) error {
	dir := c.Data
	if dir == "" {
		temporary, err := os.MkdirTemp("", "belfry-demo-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(temporary)
		dir = temporary
	}
	return c.serve(dir, c.logger(out.stderr), func(o *server.Options) {
		developerAccess(o)
		o.Listen = c.Listen
		o.Demo = true
	}, func(s *server.Server) {
		_, port, err := net.SplitHostPort(s.Addr())
		if err != nil {
			port = s.Addr()
		}
		fmt.Fprintf(out.stdout, "The demo is at http://localhost:%s/demo/ — open it in two browsers as two people.\n", port)
		if _, built := web.Demo(); !built {
			fmt.Fprintln(out.stdout, "Its pages are not built into this binary: run make, then start it again.")
		}
	})
}
