// Package auth turns what a caller shows into who it is: signed login tokens of
// pages into [Claims], recovery statements into a [Page], API keys of backends
// into yes or no. It also keeps the secrets and the public keys behind them.
package auth
