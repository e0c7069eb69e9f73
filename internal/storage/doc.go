// Package storage has what a [belfry.Store] keeps in memory beside its database, whatever that is.
package storage
