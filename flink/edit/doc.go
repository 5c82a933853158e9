// Package edit makes checkpoints of Flink's format out of others: it is what the
// tools that write (strip, remap, cp, rescale) do with Flink's checkpoints, in the
// terms of [checkpoint.Edit].
//
// The result lies in one folder and depends on nothing outside it, like a native
// savepoint: every file that the metadata names is linked or copied beside it and
// named by a relative path. Tables of RocksDB that other checkpoints share are
// listed among the private files, as native savepoints have them, so that a job
// restored from the result does not refer to them from its own checkpoints. What
// lies in a segment of a merged file becomes a file of its own. Everything else in
// the metadata stays as it is, byte by byte, unless the edit is about it.
//
// Keyed state that must be written again (another number of key groups, another
// parallelism, a state left out) is written as in a canonical savepoint, by
// package canonical.
//
// The losses of an edit stand in a file beside the metadata, which Flink passes
// over (flink.LossesName).
//
// Non-goals: deciding what to change, and formats other than Flink's.
package edit
