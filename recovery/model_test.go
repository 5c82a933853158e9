package recovery

import (
	"context"
	"fmt"
	"iter"
	"testing"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/mem"
	"github.com/tidemark-io/tidemark/writer/writertest"
)

// model is a checkpoint made of lists, of no format.
type model struct {
	info      checkpoint.Info
	operators []checkpoint.Operator
	states    []checkpoint.State
	entries   [][]checkpoint.Entry // by state
	records   []checkpoint.Record
	parts     []checkpoint.Part
	objects   []checkpoint.Object
	inOrder   bool
	fail      error // behind the last entry
}

func each[T any](list []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, v := range list {
			if !yield(v, nil) {
				return
			}
		}
	}
}

func (m *model) Info() checkpoint.Info { return m.info }
func (m *model) Close() error          { return nil }
func (m *model) Operators(context.Context) iter.Seq2[checkpoint.Operator, error] {
	return each(m.operators)
}
func (m *model) States(context.Context) iter.Seq2[checkpoint.State, error] {
	for i := range m.states {
		m.states[i].Row = i
	}
	return each(m.states)
}
func (m *model) Edges(context.Context) iter.Seq2[checkpoint.Edge, error] {
	return each[checkpoint.Edge](nil)
}
func (m *model) InOrder(checkpoint.State) bool { return m.inOrder }
func (m *model) Entries(_ context.Context, sel checkpoint.Selector) iter.Seq2[checkpoint.Entry, error] {
	return func(yield func(checkpoint.Entry, error) bool) {
		for i, list := range m.entries {
			if !sel.Takes(m.states[i]) {
				continue
			}
			for _, e := range list {
				e.State = m.states[i]
				e.State.Row = i
				if sel.Subtasks.Contains(uint64(e.Subtask)) && !yield(e, nil) {
					return
				}
			}
		}
		if m.fail != nil {
			yield(checkpoint.Entry{}, m.fail)
		}
	}
}
func (m *model) Records(context.Context, checkpoint.Selector) iter.Seq2[checkpoint.Record, error] {
	return each(m.records)
}
func (m *model) Parts(context.Context, checkpoint.Selector) iter.Seq2[checkpoint.Part, error] {
	return each(m.parts)
}
func (m *model) Objects(context.Context) iter.Seq2[checkpoint.Object, error] { return each(m.objects) }
func (m *model) AppendValue(dst []byte, _ checkpoint.State, _ checkpoint.Field, value []byte) ([]byte, error) {
	if string(value) == "bad" {
		return dst, fmt.Errorf("does not decode")
	}
	return fmt.Appendf(dst, "%q", value), nil
}

// native writes a sample checkpoint and opens it.
func native(t *testing.T, j writertest.Job) *reader.Model {
	t.Helper()
	st := mem.New()
	if _, err := j.Write(t.Context(), st); err != nil {
		t.Fatal(err)
	}
	return open(t, st, j.Dir())
}

func open(t *testing.T, st store.Store, dir string) *reader.Model {
	t.Helper()
	c, err := reader.Open(t.Context(), st, dir)
	if err != nil {
		t.Fatal(err)
	}
	m := reader.NewModel(c)
	t.Cleanup(func() { m.Close() })
	return m
}

// ctxOf is the context of a test, also of a property's.
func ctxOf(t any) context.Context {
	if c, ok := t.(interface{ Context() context.Context }); ok {
		return c.Context()
	}
	return context.Background()
}
