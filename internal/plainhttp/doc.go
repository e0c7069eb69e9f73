// Package plainhttp answers plain HTTP/1.1 requests with little work, for callers
// that keep their connections and send the same kind of request again and again.
//
// It knows no more of HTTP than such a request needs: one path, GET or POST, a
// body with a Content-Length that fits into memory, headers that change nothing about how
// the message is read (RFC 9112). Whatever is different in any way, or wrong, is left to
// net/http: the connection is handed to it as if nothing of it had been read, and stays there. So
// nothing is refused here, and a request means the same whoever answers it.
package plainhttp
