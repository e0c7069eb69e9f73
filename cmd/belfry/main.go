// Command belfry is the notification bell and the activity feed of a web
// application, as one program.
package main

import (
	"fmt"
	"io"
	"os"
	_ "time/tzdata" // the zones, for machines that have none

	"github.com/alecthomas/kong"

	"belfry/server"
)

// A cli is the command line. Every flag is also an environment variable (BELFRY_
// and the name in capitals) and a key of the configuration file.
type cli struct {
	Config kong.ConfigFlag `help:"YAML file with settings; its keys are the flags' names." placeholder:"FILE" short:"c"`

	Serve   serveCmd   `cmd:"" help:"Serve pages and backends."`
	Demo    demoCmd    `cmd:"" help:"Serve a demo application that shows what belfry does."`
	Bench   benchCmd   `cmd:"" help:"Put load on an installation and measure it."`
	Explain explainCmd `cmd:"" help:"Tell what became of a message."`
	Token   tokenCmd   `cmd:"" help:"Sign a login token."`
	Health  healthCmd  `cmd:"" help:"Ask a running server whether it can do its work."`
	Migrate migrateCmd `cmd:"" help:"Copy all that is stored from one database to another: SQLite, MongoDB."`
	Version versionCmd `cmd:"" help:"Say which version this is."`
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is main with its surroundings as arguments. It returns the exit code: 2
// for a command line or configuration that is wrong, 1 for a command that failed.
func run(args []string, stdout, stderr io.Writer) (code int) {
	var c cli
	exited := -1
	parser, err := kong.New(&c,
		kong.Name("belfry"),
		kong.Description("The notification bell and the activity feed of a web application.\n\n"+
			"Every flag is also an environment variable (--push-listen is BELFRY_PUSH_LISTEN) and a key of the configuration file (push_listen). "+
			"The command line wins over the environment, and that over the file."),
		kong.DefaultEnvars("BELFRY"),
		kong.Configuration(loadYAML),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exited = code }),
		kong.Vars{"zone": server.DefaultZone},
	)
	if err != nil {
		fmt.Fprintln(stderr, "belfry:", err)
		return 2
	}
	ctx, err := parser.Parse(args)
	if exited >= 0 { // --help has been answered
		return exited
	}
	if err != nil {
		fmt.Fprintln(stderr, "belfry:", err)
		return 2
	}
	if err := ctx.Run(&surroundings{stdout, stderr}); err != nil {
		fmt.Fprintln(stderr, "belfry:", err)
		return 1
	}
	return 0
}

// surroundings is what commands write to.
type surroundings struct {
	stdout, stderr io.Writer
}
