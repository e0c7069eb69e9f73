// Package hop passes HTTP requests on from one node to another, between private addresses: polls, that wait, and
// upgrades to WebSocket, whose bytes it then carries for as long as the connection lives.
//
// A [Passer] has connections to the [Listener] of the other node. When one is made, before any HTTP, both sides prove that
// they have the key that the nodes share:
//
//	passer   hello, nonce
//	owner    nonce, proof of the owner
//	passer   proof of the passer
//
// A proof is the HMAC-SHA256 of who proves it, both nonces, and the name of the node that is meant. So a proof that was
// overheard is worth nothing, no clocks need to agree, and a request, which holds what its page trusts the node with, never goes to
// another node or program that has got the address since. Requests on the connection are believed without more:
// nothing is computed for a request.
//
// What this keeps out is whoever can reach the listener. It does not encrypt: whoever can read, or change, what is sent between the
// nodes is not kept out, no more than from what else the nodes send each other. So connections are made, and accepted,
// between private addresses only.
package hop
