// Package auth turns what a caller shows into who it is: signed login tokens of
// pages into a [belfry.Identity], API keys of backends into yes or no. It also
// keeps the secrets behind them.
package auth
