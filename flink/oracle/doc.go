// Package oracle lets a real Apache Flink judge: it writes checkpoints and
// savepoints whose content is known, and restores the ones that Tidemark's tools
// wrote. It is for tests and for making the samples in testdata/flink; nothing
// that users run imports it.
//
// The Java side (java/) runs one deterministic job on a MiniCluster. The
// job's records are numbered, and state and output are functions of those
// numbers, so that the Go side (Job, Expect) works out independently what
// Flink must hold and emit. One JVM per Flink version serves many requests; it
// ends when its standard input does, so that a killed test leaves no process.
//
// Flink's artifacts are resolved by Maven once per machine, into the user's cache
// directory; afterwards neither Maven nor a network is needed.
package oracle
