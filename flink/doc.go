// Package flink presents the checkpoints and savepoints of Apache Flink in the
// model of package checkpoint, so that the tools work on them as on our own. No
// JVM, no class of the job and no cluster is needed.
//
// A checkpoint is a folder with a file _metadata, whose appearance is the commit,
// and files beside it or in other folders of the job ("shared", "taskowned").
// Files beside it are named relatively, all others by the absolute URI that they
// had when they were written. Nothing outside the store's root is ever opened: a
// URI that leads there is looked for at the same place relative to the checkpoint,
// which is where it is after the whole folder was moved or copied; see
// [Checkpoint.Locate].
//
// The packages below know the bytes: metadata, wire, javaser and those that decode
// state. FORMATS.md gathers the facts.
//
// Non-goals: deciding what to do with a checkpoint (package recovery).
package flink
