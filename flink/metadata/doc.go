// Package metadata reads and writes the _metadata file of Apache Flink's
// checkpoints and savepoints, versions 2 to 7: which operators there were, and for
// each of their subtasks where its state lies.
//
// The file has no checksums and almost no lengths: one tag that is not known makes
// everything behind it unreadable. So decoding is strict. It accepts exactly what
// Flink writes, fails with the offset and the reason otherwise, and whatever it
// accepts [Append] writes again byte for byte.
//
// The model is plain data to be edited: a handle is where some bytes lie, and
// [Metadata.Handles] yields pointers to all of them.
//
// The source of the facts is Flink's package
// org.apache.flink.runtime.checkpoint.metadata; FORMATS.md in the folder above
// says what was checked against real files.
//
// Non-goals: what the handles point to; storage; Java objects as anything but
// data (the last part of the file is one, see [Metadata.Properties]).
package metadata
