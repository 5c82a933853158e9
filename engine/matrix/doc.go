// Package matrix has no code but tests: those of the engine that carry the names
// of Flink's, so that whoever knows Flink's can see what is covered. They use
// the public API only. The table of all of them is docs/matrix.md.
//
// Each test runs jobs under backpressure, lets them fail or restores them at
// another parallelism, and counts what is lost, what comes twice and what is out
// of order; all three must be 0. What they share is in pump_test.go (sources
// that the number of checkpoints drives) and run_test.go (one run of a job).
// Their long form, with TIDEMARK_LONG=1, has more records, more checkpoints and
// further modes.
package matrix
