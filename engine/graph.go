package engine

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/tidemark-io/tidemark/engine/runtime"
	"github.com/tidemark-io/tidemark/format"
)

// Graph is a job under construction: sources, operators and sinks, and the
// streams between them. Building it runs nothing. Mistakes made while building
// (a type without codec, a uid used twice) are collected and reported together
// by [Run] and [Start].
//
// A graph is built by one goroutine. It may be run several times.
type Graph struct {
	plan   runtime.Graph
	uids   map[string]bool
	errs   []error
	seqnos map[string]int
	// tags are the side outputs that are consumed, by operator and name; only
	// operators that can emit to any have an entry.
	tags map[int]map[string]reflect.Type
}

// NewGraph returns an empty graph. The name appears in checkpoints and logs.
func NewGraph(name string) *Graph {
	return &Graph{plan: runtime.Graph{Name: name}, uids: map[string]bool{}, seqnos: map[string]int{}, tags: map[int]map[string]reflect.Type{}}
}

// Err returns the mistakes made so far, joined, or nil.
func (g *Graph) Err() error { return errors.Join(g.errs...) }

// fail records a mistake.
func (g *Graph) fail(format string, args ...any) {
	g.errs = append(g.errs, fmt.Errorf(format, args...))
}

// add appends an operator and returns its index. An operator without uid gets a
// generated one; it must not be stateful.
func (g *Graph) add(n *runtime.Node, opts []Option) int {
	o := collect(opts)
	n.Parallelism = o.parallelism
	if n.Stateful && n.UID == "" {
		n.Name = cmp.Or(o.name, "operator")
		g.fail("operator number %d of the graph (%s) keeps state and needs a uid", len(g.plan.Nodes)+1, n.Name)
	}
	if n.UID == "" {
		g.seqnos[n.Name]++
		n.UID = fmt.Sprintf("%s-%d", n.Name, g.seqnos[n.Name])
	}
	if g.uids[n.UID] {
		g.fail("two operators have the uid %q", n.UID)
	}
	g.uids[n.UID] = true
	if o.name != "" {
		n.Name = o.name
	}
	if o.windows {
		g.fail("operator %q: AllowedLateness and LateTo are settings of windows", n.UID)
	}
	if o.parallelism < 0 {
		g.fail("operator %q: its parallelism must be at least 1", n.UID)
	}
	g.plan.Nodes = append(g.plan.Nodes, n)
	return len(g.plan.Nodes) - 1
}

// emits notes that the functions of an operator are given an [Output], so that
// it can have side outputs.
func (g *Graph) emits(node int) { g.tags[node] = map[string]reflect.Type{} }

// Option is a setting of one operator.
type Option func(*options)

type options struct {
	parallelism int
	name        string

	windows  bool // settings of windows were given and the operator has none
	lateness time.Duration
	lateTag  any // a Tag, nil if none

	cursor any // a Codec of a resumable function's cursor, nil to derive it
}

func collect(opts []Option) options {
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	return o
}

// Parallelism sets the number of subtasks of an operator, at least 1. Without
// it the job's parallelism holds.
func Parallelism(n int) Option {
	return func(o *options) {
		o.parallelism = n
		if n < 1 {
			o.parallelism = -1
		}
	}
}

// Named sets the name that people read. Without it the uid or the kind of
// operator serves.
func Named(name string) Option { return func(o *options) { o.name = name } }

// edge describes how one stream reaches the next operator.
func (g *Graph) connect(e *runtime.Edge) { g.plan.Edges = append(g.plan.Edges, e) }

// pipe is the partitioning of a stream that was not told otherwise.
const pipe = format.Forward
