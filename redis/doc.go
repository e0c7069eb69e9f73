// Package redis is what the nodes of belfry share through Redis 6.2 or later: a single server, one that
// Sentinel watches, or a cluster. It holds nothing that cannot be lost: every node knows what it has
// put there, and puts it there again.
//
// # Broker
//
// What a node tells its own pages it tells the others, on channels that have one slot of a cluster:
//
//	{prefix}:u:<user>, {prefix}:c:<company>, {prefix}:t:<topic>   what is for their pages; a node listens while it has such
//	{prefix}:all                                                  what is for all nodes: the ends of runs, and what is for everybody
//	{prefix}:n:<node>                                             answers: how many pages were reached
//
// A message is a letter for its kind and JSON ([Broker]).
//
// # Presence
//
// Each node counts its own pages in memory, as [belfry.MemoryPresence] does, and keeps Redis like its
// memory: what it sends are states ("user 7 has 2 pages here"), never steps, so that sending them again is
// harmless. All keys of a company are in one slot:
//
//	{prefix:company}:users        HASH   user -> number of nodes that have the user; online users are its length
//	{prefix:company}:leases       ZSET   node -> when its lease ends, in milliseconds of Redis's clock
//	{prefix:company}:pages        HASH   node -> its pages
//	{prefix:company}:node:<node>  HASH   user -> the user's pages on that node; 0 within the grace period
//	{prefix@user}:pages           HASH   node -> the user's pages there, as JSON; expires unless refreshed
//	{prefix}:nodes                ZSET   node -> when its lease ends
//	{prefix}:addresses            HASH   node -> where other nodes reach it
//	{prefix}:companies:<node>     SET    the companies of that node, for who reaps it
//	prefix:online                 channel: a company's number has changed
//
// A node that is killed renews no lease: the others take its users out, at most 500 in a step. A node that was
// only slow finds out with its next beat that its users are gone, and registers them again. A lease is for
// counting, and for finding each other: nothing is decided by who holds one.
//
// The pages of a node that is not listed among the nodes are believed by nobody. So a write of pages asks whether
// the node is listed, in the same round trip, and where it is not, it is first listed and then writes again.
//
// What Redis may have lost is written again: all, when a connection was made anew, the node was not listed or a cluster has
// a new master; and a part with each beat in any case. That a user has left is written again too, for a turn of beats: a replica that
// takes over may not have heard of it. Where a node has left a company and Redis has forgotten that, the others take it out
// when its lease there has ended for as long as it lasts.
//
// While a slot of a cluster moves, scripts of which a key is missing have to wait for it; its companies count as they
// do without Redis, and nothing else is troubled.
package redis
