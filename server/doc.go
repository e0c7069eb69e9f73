// Package server is everything of belfry that speaks HTTP or Socket.IO: the
// gateway from the events of pages to the rules of [belfry.Service], the push
// endpoint of backends, health, and the demo.
//
// There are two ports. The public one is for pages, the push port for backends;
// routes.go lists what each answers.
package server
