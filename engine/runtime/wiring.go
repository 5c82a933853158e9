package runtime

import "github.com/tidemark-io/tidemark/format"

// wiring says which subtasks an edge connects: the senders of each receiver and
// the receivers of each sender, both ascending and, by construction, runs of
// consecutive numbers. Channel i of a receiver belongs to its i-th sender, and
// channel i of a sender to its i-th receiver.
func (p *plan) wiring(edge int) (senders, receivers [][]int) {
	e := p.graph.Edges[edge]
	from, to := p.parallelism[e.From], p.parallelism[e.To]
	if pointwise(p.partitioner[edge]) {
		return wirePointwise(from, to)
	}
	senders, receivers = make([][]int, to), make([][]int, from)
	for s := range from {
		for r := range to {
			senders[r] = append(senders[r], s)
			receivers[s] = append(receivers[s], r)
		}
	}
	return senders, receivers
}

// pointwise reports whether a partitioner connects a subtask with some subtasks
// only, so that its records do not cross the whole job.
func pointwise(p format.Partitioner) bool { return p == format.Forward || p == format.Rescale }

// wirePointwise connects unequal numbers of subtasks as Flink does: each subtask
// of the smaller side with its share of consecutive ones of the larger side.
func wirePointwise(from, to int) (senders, receivers [][]int) {
	senders, receivers = make([][]int, to), make([][]int, from)
	connect := func(s, r int) {
		senders[r] = append(senders[r], s)
		receivers[s] = append(receivers[s], r)
	}
	if from >= to {
		for r := range to {
			for s := r * from / to; s < (r+1)*from/to; s++ {
				connect(s, r)
			}
		}
		return senders, receivers
	}
	for s := range from {
		for r := (s*to + from - 1) / from; r < ((s+1)*to+from-1)/from; r++ {
			connect(s, r)
		}
	}
	return senders, receivers
}
