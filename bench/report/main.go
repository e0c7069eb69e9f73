// Report makes the table and the plots of docs/ from the results of a comparison.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"

	"belfry/bench/result"
)

func main() {
	log.SetFlags(0)
	show := flag.Bool("print", false, "print the tables and write nothing")
	docs := flag.String("docs", "../docs", "directory of the documents")
	flag.Parse()
	if err := run(flag.Arg(0), *docs, *show); err != nil {
		log.Fatal(err)
	}
}

func run(results, docs string, show bool) error {
	file, err := os.Open(results)
	if err != nil {
		return err
	}
	defer file.Close()
	machine, runs, err := result.Read(file)
	if err != nil {
		return err
	}
	c := newComparison(machine, runs)
	if show {
		_, err := os.Stdout.Write(c.markdown())
		return err
	}
	for name, plot := range map[string][]byte{"peers-rates.svg": c.rates(), "peers-costs.svg": c.costs()} {
		if err := write(filepath.Join(docs, "plots", name), plot); err != nil {
			return err
		}
	}
	return c.insert(filepath.Join(docs, "BENCHMARKS.md"))
}

// A comparison is all that is shown.
type comparison struct {
	machine result.Machine
	peers   []string // in the order of the table
	groups  [][]figure
	runs    []result.Run
}

// titles name the peers.
var titles = map[string]string{"belfry": "belfry", "socketio": "Socket.IO", "centrifuge": "centrifuge"}

func newComparison(m result.Machine, runs []result.Run) *comparison {
	c := &comparison{machine: m, runs: runs}
	for _, peer := range []string{"belfry", "socketio", "centrifuge"} {
		if slices.ContainsFunc(runs, func(r result.Run) bool { return r.Peer == peer }) {
			c.peers = append(c.peers, peer)
		}
	}
	for i := range metrics {
		if found := figures(&metrics[i], c.peers, runs); len(found) > 0 {
			c.groups = append(c.groups, found)
		}
	}
	return c
}

// The marks in the document that the tables stand between.
const (
	beginMark = "<!-- made by bench/run -->\n"
	endMark   = "<!-- end of what bench/run makes -->\n"
)

// insert puts the tables into a document.
func (c *comparison) insert(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, found := bytes.Cut(text, []byte(beginMark))
	_, after, ended := bytes.Cut(rest, []byte(endMark))
	if !found || !ended {
		return errors.New(path + " has no place for the tables")
	}
	return write(path, slices.Concat(before, []byte(beginMark), c.markdown(), []byte(endMark), after))
}

func write(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		return err
	}
	fmt.Println(path)
	return nil
}
