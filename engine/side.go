package engine

import (
	"fmt"
	"reflect"
)

// Tag names a side output of an operator: a second stream of records, of a type
// of its own, that a function emits besides its main output. See [EmitTo] and
// [SideOutput].
type Tag[T any] struct{ name string }

// NewTag returns the tag of a name. Tags of one name and type are the same tag;
// usually a tag is a package variable.
func NewTag[T any](name string) Tag[T] { return Tag[T]{name: name} }

// Name is the tag's name.
func (t Tag[T]) Name() string { return t.name }

// EmitTo sends a record to a side output, with the timestamp of the record (or
// timer) being processed. It never blocks. A record to a tag that nobody
// consumes is dropped.
func EmitTo[Out, T any](out *Output[Out], tag Tag[T], record T) {
	emitTo(out, tag, record, out.timestamp)
}

func emitTo[Out, T any](out *Output[Out], tag Tag[T], record T, timestamp int64) {
	for i := range out.sides {
		if out.sides[i].name != tag.name {
			continue
		}
		side, ok := out.sides[i].out.(*Output[T])
		if !ok {
			out.env.Fail(fmt.Errorf("side output %q was given a %v and is consumed as %T", tag.name, reflect.TypeFor[T](), out.sides[i].out))
			return
		}
		side.env = out.env
		side.EmitAt(record, timestamp)
	}
}

// SideOutput is the stream of what an operator emits to a tag. s is the main
// output of that operator, one whose functions are given an [Output]; how s is
// partitioned does not matter.
func SideOutput[T, Out any](s Stream[Out], tag Tag[T]) Stream[T] {
	l := s.legs[0]
	tags, can := s.g.tags[l.node]
	switch was, known := tags[tag.name], reflect.TypeFor[T](); {
	case !can || len(s.legs) > 1 || l.tag != "":
		s.g.fail("side output %q of %q: it is not the main output of one operator that can emit to a tag", tag.name, s.uid())
	case tag.name == "":
		s.g.fail("operator %q: a side output needs a tag with a name", s.uid())
	case was != nil && was != known:
		s.g.fail("operator %q: side output %q is consumed as %v and as %v", s.uid(), tag.name, was, known)
	default:
		tags[tag.name] = known
	}
	side := newStream[T](s.g, l.node)
	side.legs[0].tag = tag.name
	return side
}

// sideOutput is one side output of an operator instance: an *Output of the tag's
// type.
type sideOutput struct {
	name string
	out  any
}

// sideProducer is an operator instance that can emit to tags.
type sideProducer interface {
	sideOutputs() *[]sideOutput
}

// addSide makes r a consumer of a side output.
func addSide[T any](p sideProducer, name string, r receiver[T]) {
	sides := p.sideOutputs()
	for _, s := range *sides {
		if s.name == name {
			s.out.(*Output[T]).addConsumer(r)
			return
		}
	}
	o := &Output[T]{}
	o.addConsumer(r)
	*sides = append(*sides, sideOutput{name: name, out: o})
}
