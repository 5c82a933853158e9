package native

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/local"
	"github.com/tidemark-io/tidemark/store/mem"
	"github.com/tidemark-io/tidemark/writer/writertest"
)

// sample writes a checkpoint into a store.
func sample(t *testing.T, st store.Store, j writertest.Job) *source {
	t.Helper()
	_, err := j.Write(context.Background(), st)
	must(t, err)
	s, err := openSource(context.Background(), open(t, st, j.Dir()))
	must(t, err)
	return s
}

// to changes both operators' parallelism and the keyed one's groups, 0 for no
// change.
func to(p, groups uint32) checkpoint.Edit {
	return checkpoint.Edit{Command: "rescale", Layouts: map[string]checkpoint.Layout{
		writertest.Source: {Parallelism: p}, writertest.Count: {Parallelism: p, KeyGroups: groups}}}
}

// apply makes one checkpoint of another in the same store.
func apply(t *testing.T, st store.Store, from string, edit checkpoint.Edit, dst string) *checkpoint.Outcome {
	t.Helper()
	if edit.External == checkpoint.ExternalRefuse {
		edit.External = checkpoint.ExternalKeep
	}
	out, err := NewFormat(st).Apply(context.Background(), open(t, st, from), edit, dst, nil)
	must(t, err)
	return &out
}

// TestRescaleIsTheIdentity: p → p' → p holds what it held, for all p and p' up to
// 21, with in-flight data.
func TestRescaleIsTheIdentity(t *testing.T) {
	list := []uint32{1, 2, 3, 5, 8, 21}
	if os.Getenv("TIDEMARK_LONG") == "1" {
		list = nil
		for p := range uint32(21) {
			list = append(list, p+1)
		}
	}
	pairs := 0
	for _, p := range list {
		st := mem.New()
		j := writertest.Job{Parallelism: int(p), Keys: 100, Flight: 300}
		sample(t, st, j)
		want := contents(t, open(t, st, j.Dir()))
		for _, q := range list {
			there, back := fmt.Sprintf("to-%d", q), fmt.Sprintf("back-%d", q)
			apply(t, st, j.Dir(), to(q, 0), there)
			verified(t, open(t, st, there))
			apply(t, st, there, to(p, 0), back)
			verified(t, open(t, st, back))
			name := fmt.Sprintf("%d → %d", p, q)
			same(t, name, contents(t, open(t, st, there)), want)
			same(t, name+" and back", contents(t, open(t, st, back)), want)
			pairs++
		}
	}
	t.Logf("RESULT TestRescaleIsTheIdentity pairs=%d", pairs)
}

// TestRescaleKeyGroups changes the number of key groups through several values.
func TestRescaleKeyGroups(t *testing.T) {
	st := mem.New()
	j := writertest.Job{Parallelism: 3, Keys: 200, Flight: 300}
	sample(t, st, j)
	want := contents(t, open(t, st, j.Dir()))
	from := j.Dir()
	for i, groups := range []uint32{4096, 128, 97} {
		dst := fmt.Sprintf("savepoint-%d", i+2)
		apply(t, st, from, to(3, groups), dst)
		m := open(t, st, dst)
		verified(t, m)
		same(t, fmt.Sprint(groups, " key groups"), contents(t, m), want)
		from = dst
	}
}

// TestRescaleWritesNoKeyedState: what is stored by hash is taken over by
// reference, with hard links where there are some.
func TestRescaleWritesNoKeyedState(t *testing.T) {
	st, err := local.Open(t.TempDir(), local.WithCreate())
	must(t, err)
	defer st.Close()
	j := writertest.Job{Parallelism: 3, Keys: 20_000, ValueSize: 100, Flight: 300}
	sample(t, st, j)
	out := apply(t, st, j.Dir(), to(7, 0), "wide")
	size := open(t, st, j.Dir()).Info().Bytes
	if out.Linked.Bytes == 0 || out.Copied.Objects != 0 || uint64(size) < 50*out.Rewritten.Bytes {
		t.Errorf("of %d bytes of state: linked %+v, copied %+v, rewritten %+v", size, out.Linked, out.Copied, out.Rewritten)
	}
	same(t, "rescaled", contents(t, open(t, st, "wide")), contents(t, open(t, st, j.Dir())))
	before, err := st.Stat(context.Background(), open(t, st, j.Dir()).Checkpoint().Dir()+"/MANIFEST")
	must(t, err)
	if !strings.HasSuffix(before.Name, "MANIFEST") {
		t.Error(before)
	}
	t.Logf("RESULT TestRescaleWritesNoKeyedState state=%d linked=%d rewritten=%d", size, out.Linked.Bytes, out.Rewritten.Bytes)
}
