package rescale

import "github.com/tidemark-io/tidemark/checkpoint"

// Mapper is a rule that tells which old subtasks' channel state a new subtask
// receives.
type Mapper uint8

// Mappers, named as in Flink.
const (
	Unsupported Mapper = iota // the edge's in-flight data cannot be redistributed
	RoundRobin                // new i ← old i, i+n, i+2n, …
	First                     // new 0 ← all
	Full                      // every new one ← all; the receiver filters
	Range                     // by overlap of hash intervals; the receiver filters
)

// String is the mapper's name, "ROUND_ROBIN".
func (m Mapper) String() string {
	switch m {
	case RoundRobin:
		return "ROUND_ROBIN"
	case First:
		return "FIRST"
	case Full:
		return "FULL"
	case Range:
		return "RANGE"
	default:
		return "UNSUPPORTED"
	}
}

// MappersOf tells how the two ends of an edge with a partitioner are mapped:
// down for the receiving operator's input state, up for the sender's output
// state. Pointwise edges and broadcast have no channel state to map.
func MappersOf(p checkpoint.Partitioner) (down, up Mapper) {
	switch p {
	case checkpoint.PartitionKeyed:
		return Range, RoundRobin
	case checkpoint.PartitionRebalance, checkpoint.PartitionShuffle:
		return RoundRobin, RoundRobin
	case checkpoint.PartitionGlobal:
		return First, RoundRobin
	case checkpoint.PartitionCustom:
		return Full, RoundRobin
	default:
		return Unsupported, Unsupported
	}
}

// Mapping tells for every new subtask which old subtasks it takes from,
// ascending.
type Mapping [][]int

// Plan is the mapping of one end of an edge from an old to a new layout. Only
// [Range] looks at the key groups. The result is nil for [Unsupported] and for
// layouts without subtasks.
func Plan(m Mapper, old, next Layout) Mapping {
	o, n := old.Parallelism, next.Parallelism
	if o < 1 || n < 1 {
		return nil
	}
	plan := make(Mapping, n)
	switch m {
	case RoundRobin:
		for i := range o {
			plan[i%n] = append(plan[i%n], i)
		}
	case First:
		plan[0] = upTo(o)
	case Full:
		for i := range plan {
			plan[i] = upTo(o)
		}
	case Range:
		parts := Keyed(old, next)
		if parts == nil {
			return nil
		}
		for i, list := range parts {
			for _, part := range list {
				plan[i] = append(plan[i], part.Old)
			}
		}
	default:
		return nil
	}
	return plan
}

// Ambiguous lists the old subtasks, ascending, whose state goes to several new
// ones, so that each receiver must filter the records that are not its own.
func (m Mapping) Ambiguous() []int {
	receivers := map[int]int{}
	last := -1
	for _, olds := range m {
		for _, o := range olds {
			receivers[o]++
			last = max(last, o)
		}
	}
	var list []int
	for o := range last + 1 {
		if receivers[o] > 1 {
			list = append(list, o)
		}
	}
	return list
}

// Identity reports whether every new subtask takes from its own predecessor
// only.
func (m Mapping) Identity() bool {
	for i, olds := range m {
		if len(olds) != 1 || olds[0] != i {
			return false
		}
	}
	return true
}

// upTo lists 0 … n−1.
func upTo(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}
