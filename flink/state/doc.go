// Package state reads the files in which Apache Flink keeps operator state and
// keyed state.
//
// A file begins with a header: the names of its states and the serialisers of
// their parts. Entries lie behind it, at offsets that only the checkpoint's
// metadata knows. Keyed state has two layouts, that of canonical savepoints and
// that of the heap backend; both are read into the same entries, whose bytes are
// those of the canonical layout, so that what is read from one can be written as
// the other. Timers are entries of states of their own. What RocksDB keeps is read
// by package sst into these entries too.
//
// Reading needs memory for one entry; a list of the heap layout is one entry.
//
// Non-goals: metadata, opening of files, and what values mean (package serde).
package state
