// Package serde knows Apache Flink's serialisers: it reads the snapshots in which
// a checkpoint describes them into types, and with these types values.
//
// A Type is a tree made from a snapshot by the class name of each node; the
// classes are a table (classes.go). Bodies of snapshots have no length, so a class
// that is not in the table makes what follows unreadable: that is an error naming
// the class. A value whose encoding is the user's own (Kryo, Writable, Value) is
// opaque: where its end is known from outside it is passed over and shown as
// bytes with its class, elsewhere it is an error.
//
// Nothing here resolves a class name or runs anything on behalf of the bytes. The
// depth of types, the number of nodes of a value and every length are limited.
//
// Non-goals: where values lie in files (package state).
package serde
