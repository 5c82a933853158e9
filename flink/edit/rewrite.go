package edit

import "github.com/tidemark-io/tidemark/flink/metadata"

// rewrite is an operator whose state is written again.
type rewrite struct{}

func (j *job) dropKeyed(op *metadata.Operator, name string) error { return noState(j.name(op), name) }
func (j *job) decideLayouts() error                               { return nil }
func (j *job) decideRewrites() error                              { return nil }
func (j *job) writeAnew() error                                   { return nil }
