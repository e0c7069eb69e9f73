// Package sqlite is a [belfry.Store] on an embedded SQLite database.
//
// One goroutine writes. It takes all writes that are waiting, runs them in one
// transaction and answers them when that is durable (WAL, synchronous=FULL), so
// that under load many share one fsync while a single one never lingers.
// Readers have connections of their own and do not wait for the writer.
package sqlite
