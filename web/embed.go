// Package web holds the pages of belfry as built files. They are built by
// Node (see the Makefile's target web) and are not needed to build or test the Go
// code.
package web

import (
	"embed"
	"io/fs"
)

//go:embed all:dist
var dist embed.FS

//go:embed unbuilt
var unbuilt embed.FS

// Demo returns the files of the demo page, index.html among them, and whether
// they were there when this binary was built. Where they were not, index.html
// is the only file and says how to build them.
func Demo() (files fs.FS, built bool) {
	return choose(dist)
}

func choose(dist fs.FS) (files fs.FS, built bool) {
	if _, err := fs.Stat(dist, "dist/demo/index.html"); err == nil {
		return sub(dist, "dist/demo"), true
	}
	return sub(unbuilt, "unbuilt"), false
}

// ClientFile is the name of the official Socket.IO client in [Client].
const ClientFile = "socket.io.js"

// Client returns a directory with the official Socket.IO client for browsers,
// and whether it was there when this binary was built.
func Client() (files fs.FS, built bool) {
	if _, err := fs.Stat(dist, "dist/client/"+ClientFile); err != nil {
		return nil, false
	}
	return sub(dist, "dist/client"), true
}

// sub is fs.Sub for directories that are known to be well named, the only way
// in which it fails.
func sub(files fs.FS, dir string) fs.FS {
	part, err := fs.Sub(files, dir)
	if err != nil {
		panic(err)
	}
	return part
}
