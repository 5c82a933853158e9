// Package engine runs stateful streaming jobs in one process, with event time,
// keyed state, timers, and checkpoints from which a job continues exactly where
// it was.
//
// A job is a graph of streams. What changes the type of the records is a
// function ([Map], [FlatMap], [KeyBy], [Apply], [Tumbling]); what keeps it is a
// method of [Stream]:
//
//	g        := engine.NewGraph("departures")
//	flights  := engine.From(g, "flights", source, engine.BoundedDisorder(departure, 30*time.Minute))
//	byOrigin := engine.KeyBy(flights, func(f Flight) string { return f.Origin })
//	counts   := engine.Apply(byOrigin, "count", func() engine.Process[string, Flight, Count] { return &counter{} })
//	counts.To("out", sink)
//	err      := engine.Run(ctx, g, engine.Config{Parallelism: 4, Checkpoints: …})
//
// State is declared as a typed value ([Value], [SplitList], [UnionList]), bound
// when the operator opens, and follows the current key. Every operator with
// state has a uid, by which a checkpoint finds it again. Types cross exchanges
// and enter checkpoints through a [Codec], derived once per type.
//
// Sources implement [Source] and sinks [Sink]; a sink whose writer is a
// [Committer] delivers exactly once. Ready-made ones are in the packages below
// connector.
//
// How to read the source: stream.go and graph.go build the graph; output.go is
// the hot path between operators; process.go, value.go and window.go are keyed
// operators and their state; source_op.go and sink_op.go the ends. Package
// runtime executes the graph: plan.go, task.go and coordinator.go, in this
// order. Below it, exchange moves buffers, barrier decides about checkpoints,
// and state holds the tables.
//
// Non-goals: more than one process, and SQL.
package engine
