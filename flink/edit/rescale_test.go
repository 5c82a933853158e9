package edit_test

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/flink"
	"github.com/tidemark-io/tidemark/flink/edit"
	"github.com/tidemark-io/tidemark/flink/metadata"
	"github.com/tidemark-io/tidemark/flink/oracle"
	"github.com/tidemark-io/tidemark/flink/serde"
	"github.com/tidemark-io/tidemark/flink/sst"
	"github.com/tidemark-io/tidemark/flink/state"
	"github.com/tidemark-io/tidemark/flink/wire"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/store/faults"
	"github.com/tidemark-io/tidemark/store/local"
)

// entries lists all entries of keyed state, "operator state key value", with the
// key groups that they are in, which must be those of the subtask.
func entries(t testing.TB, c *flink.Checkpoint) (lines []string, groups []int) {
	t.Helper()
	type entry struct {
		line  string
		group int
	}
	var all []entry
	m := c.Metadata()
	for i := range m.Operators {
		op := &m.Operators[i]
		for _, s := range op.Subtasks {
			if s.State == nil || s.State.ManagedKeyed == nil {
				continue
			}
			own := keygroup.RangeOf(int(s.Index), int(op.MaxParallelism), int(op.Parallelism))
			header, seq, done := keyedEntries(t, c, op, s.State.ManagedKeyed)
			for e, err := range seq {
				must(t, err)
				if !own.Contains(e.KeyGroup) {
					t.Fatalf("subtask %d of %d has an entry of key group %d", s.Index, op.Parallelism, e.KeyGroup)
				}
				if hash, err := header.Key.HashKey(e.Key); err == nil && serde.KeyGroup(hash, int(op.MaxParallelism)) != e.KeyGroup {
					t.Fatalf("key %x is in key group %d of %d", e.Key, e.KeyGroup, op.MaxParallelism)
				}
				all = append(all, entry{fmt.Sprintf("%s %s %x %x", c.OperatorName(op.ID), header.States[e.State].Name, e.Composite, e.Value), e.KeyGroup})
			}
			done()
		}
	}
	slices.SortFunc(all, func(a, b entry) int { return strings.Compare(a.line, b.line) })
	for _, e := range all {
		lines, groups = append(lines, e.line), append(groups, e.group)
	}
	return lines, groups
}

// keyedEntries opens a keyed handle of any kind.
func keyedEntries(t testing.TB, c *flink.Checkpoint, op *metadata.Operator, h metadata.KeyedHandle) (*state.KeyedHeader, func(func(*state.Entry, error) bool), func()) {
	t.Helper()
	var open []*flink.Source
	source := func(h metadata.StreamHandle) *flink.Source {
		src, err := c.OpenHandle(t.Context(), h)
		must(t, err)
		open = append(open, src)
		return src
	}
	done := func() {
		for _, s := range open {
			must(t, s.Close())
		}
	}
	r := h.KeyGroups()
	groups := keygroup.Range{First: int(r.Start), Last: int(r.Start+r.Count) - 1}
	switch h := h.(type) {
	case *metadata.KeyGroupsHandle:
		src := source(h.Delegate)
		k, err := state.OpenKeyed(state.KeyedFile{Object: src.Object, Data: src, Size: src.Size(), Groups: groups, Offsets: h.Offsets,
			MaxParallelism: int(op.MaxParallelism), Savepoint: h.Tag == metadata.TagSavepoint})
		must(t, err)
		return k.Header, k.Entries(), done
	case *metadata.IncrementalHandle:
		src := source(h.Meta)
		header, err := state.ReadKeyedHeader(wire.NewStream(src.Object, 0, src, src.Size()))
		must(t, err)
		db := sst.Handle{Header: header, Groups: groups, MaxParallelism: int(op.MaxParallelism)}
		for _, f := range append(slices.Clone(h.Shared), h.Private...) {
			src := source(f.Handle)
			db.Files = append(db.Files, sst.File{Name: f.Name, Object: src.Object, Data: src, Size: src.Size()})
		}
		opened, err := sst.Open(db)
		must(t, err)
		return header, opened.Entries(), done
	case *metadata.ChangelogHandle:
		header, seq, err := c.Changelog(t.Context(), op, h)
		must(t, err)
		return header, seq, done
	}
	t.Fatalf("%T", h)
	return nil, nil, nil
}

// Every sample: rescaled, rescaled again, and with other key groups, all entries are
// there, each in the key group of its hash, and nothing else.
func TestRescaleSamples(t *testing.T) {
	n, total := 0, 0
	for _, s := range oracle.Samples(t) {
		t.Run(s.Name, func(t *testing.T) {
			j := copied(t, s)
			all := func(p, groups uint32) checkpoint.Edit {
				e := checkpoint.Edit{Command: "rescale", Layouts: map[string]checkpoint.Layout{}, Drop: stripAll.Drop}
				for _, op := range j.open(t, j.chk).Metadata().Operators {
					e.Layouts[op.ID.String()] = checkpoint.Layout{Parallelism: p, KeyGroups: groups}
				}
				return e
			}
			want, _ := entries(t, j.open(t, j.chk))
			steps := []checkpoint.Edit{all(5, 0), all(2, 0), all(3, 256), all(1, 96)}
			from := j.chk
			for i, e := range steps {
				dst := fmt.Sprint("step-", i)
				out, err := j.format.Apply(t.Context(), j.open(t, from), e, dst, nil)
				must(t, err)
				c := j.open(t, dst)
				verified(t, c)
				got, _ := entries(t, c)
				if !slices.Equal(got, want) {
					t.Fatalf("%s: %d entries, want %d", dst, len(got), len(want))
				}
				if out.Rewritten.Objects == 0 {
					t.Errorf("%s: %+v", dst, out)
				}
				if formula := formulas[s.Request.Job.KeyType]; formula != "" && e.Layouts["keyed"].KeyGroups > 0 && !strings.HasSuffix(out.KeyHash["keyed"], formula) {
					t.Errorf("%s: the hash of its keys is %q, want %s", dst, out.KeyHash, formula)
				}
				from = dst
				n++
			}
			total += len(want)
		})
	}
	fmt.Printf("RESULT flink-rescale-samples steps=%d entries=%d\n", n, total)
}

// formulas are those of the POJOs among the oracle's types of keys.
var formulas = map[string]string{"pojo": "KeyPojo: objects-hash(name, number)", "pojo-idea": "KeyIdea: idea(number, name, odd)",
	"record": "KeyRecord: record(name, number)"}

// keyed is the operator of the oracle's job that has keyed state.
func keyed(t testing.TB, c *flink.Checkpoint) string {
	t.Helper()
	for op, err := range c.Operators(t.Context()) {
		must(t, err)
		if op.KeyGroups > 0 {
			return op.UID
		}
	}
	t.Fatal("no operator has keyed state")
	return ""
}

func sample(t testing.TB, name string) *oracle.Sample {
	t.Helper()
	for _, s := range oracle.Samples(t) {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("there is no sample %s", name)
	return nil
}

// A state of a keyed backend is left out by writing the others; one of operator
// state by the metadata; an operator with all it has.
func TestStripState(t *testing.T) {
	for _, name := range []string{"1.20/heap-canonical", "2.2/rocksdb-incremental-long", "1.20/heap-native"} {
		j := copied(t, sample(t, name))
		src := j.open(t, j.chk)
		op := keyed(t, src)
		drop := func(kind checkpoint.DropKind, sel checkpoint.Selector, dst string) (*flink.Checkpoint, checkpoint.Outcome) {
			out := j.apply(t, checkpoint.Edit{Command: "strip", Drop: []checkpoint.Drop{{Kind: kind, Selector: sel}}}, dst)
			c := j.open(t, dst)
			verified(t, c)
			return c, out
		}
		want, _ := entries(t, src)
		had := len(want)
		want = slices.DeleteFunc(want, func(l string) bool { return strings.Contains(l, " words ") })
		c, out := drop(checkpoint.DropState, checkpoint.Selector{Operator: "keyed", State: "words"}, "no-words")
		got, _ := entries(t, c)
		if !slices.Equal(got, want) || len(want) == had || len(out.Losses) != 1 || out.Losses[0].Records != uint64(had-len(want)) || out.Losses[0].Operator != op {
			t.Errorf("%s: %d entries, want %d; losses %+v", name, len(got), len(want), out.Losses)
		}
		c, out = drop(checkpoint.DropOperator, checkpoint.Selector{Operator: "keyed"}, "no-operator")
		if got, _ := entries(t, c); len(got) > 0 || len(c.Metadata().Operators) != len(src.Metadata().Operators)-1 || len(out.Losses) != 1 {
			t.Errorf("%s: %d entries, %d operators; losses %+v", name, len(got), len(c.Metadata().Operators), out.Losses)
		}
	}
	j := copied(t, sample(t, "1.20/heap-canonical"))
	var lost string
	for s, err := range j.open(t, j.chk).States(t.Context()) {
		must(t, err)
		if s.Kind == checkpoint.UnionList {
			lost = s.Name
		}
	}
	out := j.apply(t, checkpoint.Edit{Command: "strip", Drop: []checkpoint.Drop{{Kind: checkpoint.DropState, Selector: checkpoint.Selector{Operator: "ops", State: lost}}}}, "no-union")
	for s, err := range j.open(t, "no-union").States(t.Context()) {
		must(t, err)
		if s.Name == lost && s.Bytes != 0 { // its description stays
			t.Errorf("there is %+v still", s)
		}
	}
	if lost == "" || len(out.Losses) != 1 || out.Losses[0].Records == 0 {
		t.Errorf("%q: losses %+v", lost, out.Losses)
	}
}

// In-flight data is left out in parts where records begin and end with the parts;
// else this is refused with the channels, unless the sender is named.
func TestStripPartly(t *testing.T) {
	torn, verbatim, paired := 0, 0, 0
	for _, s := range oracle.Samples(t) {
		if !strings.Contains(s.Name, "unaligned") {
			continue
		}
		j := copied(t, s)
		src := j.open(t, j.chk)
		part := checkpoint.Drop{Kind: checkpoint.DropInFlight, Selector: checkpoint.Selector{Operator: "keyed"}}
		_, err := j.format.Apply(t.Context(), src, checkpoint.Edit{Command: "strip", Drop: []checkpoint.Drop{part}}, "part", nil)
		switch {
		case err == nil:
			verified(t, j.open(t, "part"))
			verbatim++
		case errors.As(err, new(*checkpoint.EditError)): // nothing is on its way to it
			continue
		default:
			if r := refused(t, err); !strings.Contains(r.Error(), "channel gate0/") || !strings.Contains(r.Error(), "--with-upstream") {
				t.Errorf("%s: %v", s.Name, err)
			}
			torn++
		}
		part.Upstream = "ops" // the last one of the chain with the source
		out, err := j.format.Apply(t.Context(), src, checkpoint.Edit{Command: "strip", Drop: []checkpoint.Drop{part}}, "both", nil)
		if err != nil {
			t.Errorf("%s: %v", s.Name, err)
			continue
		}
		paired++
		c := j.open(t, "both")
		verified(t, c)
		var records uint64
		for _, l := range out.Losses {
			records += l.Records
		}
		if records != uint64(len(s.InFlight)) {
			t.Errorf("%s: %d records are lost, %d were in flight", s.Name, records, len(s.InFlight))
		}
		for _, ch := range out.Channels {
			if ch.To != "" && ch.Fate == checkpoint.ChannelsVerbatim && s.Request.Job.SinkEdge == "" {
				t.Errorf("%s: %+v", s.Name, ch)
			}
		}
	}
	if torn == 0 || paired == 0 {
		t.Errorf("%d torn, %d with their senders", torn, paired)
	}
	fmt.Printf("RESULT flink-strip-partly torn=%d verbatim=%d paired=%d\n", torn, verbatim, paired)
}

// What cannot be is refused, with words, and nothing is left behind.
func TestRefusals(t *testing.T) {
	j := copied(t, sample(t, "1.20/unaligned-3"))
	layout := func(p, groups uint32) checkpoint.Edit {
		return checkpoint.Edit{Command: "rescale", Layouts: map[string]checkpoint.Layout{"keyed": {Parallelism: p, KeyGroups: groups}}}
	}
	inFlight := func(sel checkpoint.Selector) checkpoint.Edit {
		return checkpoint.Edit{Drop: []checkpoint.Drop{{Kind: checkpoint.DropInFlight, Selector: sel}}}
	}
	cases := []struct {
		name string
		edit checkpoint.Edit
		dst  string
		want string
	}{
		{"in flight", layout(5, 0), "x", "--strip all"},
		{"too many", layout(200, 0), "x", "--key-groups keyed="},
		{"unknown", checkpoint.Edit{Rename: map[string]string{"nobody": "x"}}, "x", `no operator "nobody"`},
		{"twice", checkpoint.Edit{Rename: map[string]string{"keyed": "source"}}, "x", "both have the hash"},
		{"version", checkpoint.Edit{Version: "2"}, "x", "needs version 3"},
		{"no version", checkpoint.Edit{Version: "nine"}, "x", "none of the versions"},
		{"name", checkpoint.Edit{}, "chk-5", "is the name of a checkpoint"},
		{"exists", checkpoint.Edit{}, j.chk, "the destination exists"},
		{"state", checkpoint.Edit{Drop: []checkpoint.Drop{{Kind: checkpoint.DropState, Selector: checkpoint.Selector{Operator: "keyed", State: "nothing"}}}}, "x", "has no state"},
		{"sender", checkpoint.Edit{Drop: []checkpoint.Drop{{Kind: checkpoint.DropInFlight, Selector: checkpoint.Selector{Operator: "keyed"}, Upstream: "keyed"}}}, "x", "does not continue"},
		{"whose", inFlight(checkpoint.Selector{Subtasks: &checkpoint.Span{}}), "x", "does not store the job graph"},
		{"none", inFlight(checkpoint.Selector{Operator: "keyed", Subtasks: &checkpoint.Span{First: 90, Last: 90}}), "x", "there is none"},
	}
	for _, c := range cases {
		e := c.edit
		e.KeepKind = c.name == "exists"
		_, err := j.format.Apply(t.Context(), j.open(t, j.chk), e, c.dst, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want something with %q", c.name, err, c.want)
		}
		if ok, err := j.format.Probe(t.Context(), "x"); ok || err != nil {
			t.Fatalf("%s: something was made: %v", c.name, err)
		}
	}
}

// After a failure of the store at any step, or when the context ends, nothing is left
// at the destination, and the source is as it was.
func TestNothingIsLeft(t *testing.T) {
	s := sample(t, "1.20/unaligned-edges")
	j := copied(t, s)
	inner, err := local.Open(j.root)
	must(t, err)
	defer inner.Close()
	e := layouts(3, 256)
	e.Drop, e.Layouts["ops"] = stripAll.Drop, checkpoint.Layout{Parallelism: 3}
	failed := 0
	for n := 1; ; n++ {
		st, err := faults.Wrap(inner, fmt.Sprintf(`(error ENOSPC (op link create commit) (name "result/*") (nth %d))`, n))
		must(t, err)
		f := edit.NewFormat(st)
		c, err := f.Open(context.Background(), j.chk)
		must(t, err)
		_, err = f.Apply(t.Context(), c, e, "result", nil)
		if err == nil {
			break
		}
		failed++
		for info, err := range inner.List(t.Context(), "result/") {
			must(t, err)
			t.Fatalf("after failure %d (%v) there is %s", n, err, path.Base(info.Name))
		}
	}
	if failed < 5 {
		t.Errorf("%d failures", failed)
	}
	verified(t, j.open(t, "result"))
}
