package edit_test

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/flink"
	"github.com/tidemark-io/tidemark/flink/edit"
	"github.com/tidemark-io/tidemark/internal/testkit"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/store/local"
	"github.com/tidemark-io/tidemark/store/mem"
)

// Every fixture with keyed state, of whatever types (SQL rows, Avro, windows, CEP,
// Kryo), at another parallelism and with twice as many key groups: keys and values are
// carried over as bytes, or it is refused by name.
func TestRescaleFixtures(t *testing.T) {
	done, total := map[string]int{}, 0
	reasons := map[string]int{}
	err := filepath.WalkDir(testkit.FlinkFixtures(t), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != flink.MetadataName {
			return err
		}
		dir := filepath.Dir(path)
		st, err := local.Open(dir)
		must(t, err)
		defer st.Close()
		c, err := flink.NewFormat(st, flink.WithRoot(filepath.ToSlash(dir))).OpenCheckpoint(t.Context(), "")
		must(t, err)
		for _, double := range []bool{false, true} {
			e, keyed := layoutsOf(c, double)
			if !keyed {
				return nil
			}
			f := edit.NewFormat(mem.New())
			_, err := f.Apply(t.Context(), c, e, "result", nil)
			var r *checkpoint.RefusedError
			switch {
			case errors.As(err, &r):
				done[fmt.Sprintf("refused, double %t", double)]++
				reasons[r.Reasons[0].Problem]++
				continue
			case errors.Is(err, checkpoint.ErrUnsupported):
				done["unsupported"]++
				continue
			case err != nil:
				t.Errorf("%s: %v", dir, err)
				continue
			}
			result, err := f.OpenCheckpoint(t.Context(), "result")
			must(t, err)
			verified(t, result)
			want, _ := entries(t, c)
			got, _ := entries(t, result)
			if want, got := withoutTimers(want), withoutTimers(got); !slices.Equal(want, got) {
				t.Errorf("%s, double %t: %d entries, want %d", dir, double, len(got), len(want))
			}
			done[fmt.Sprintf("rescaled, double %t", double)]++
			total += len(want)
		}
		return nil
	})
	must(t, err)
	for why, n := range reasons {
		t.Logf("refused %d times: %s", n, why)
	}
	if done["rescaled, double false"] < 100 || done["rescaled, double true"] < 100 {
		t.Errorf("%v", done)
	}
	fmt.Printf("RESULT flink-rescale-fixtures %v entries=%d\n", done, total)
}

// layoutsOf gives every operator of a checkpoint another parallelism, and twice as
// many key groups if that is wanted; what is in flight is left out.
func layoutsOf(c *flink.Checkpoint, double bool) (e checkpoint.Edit, keyed bool) {
	e = checkpoint.Edit{Command: "rescale", Layouts: map[string]checkpoint.Layout{}, Drop: stripAll.Drop}
	m := c.Metadata()
	for i := range m.Operators {
		op := &m.Operators[i]
		l := checkpoint.Layout{Parallelism: uint32(min(op.Parallelism%3+1, op.MaxParallelism))}
		if double {
			l.KeyGroups = uint32(min(2*op.MaxParallelism, keygroup.MaxGroups))
		}
		e.Layouts[op.ID.String()] = l
		for _, s := range op.Subtasks {
			keyed = keyed || s.State != nil && s.State.ManagedKeyed != nil
		}
	}
	return e, keyed
}

// withoutTimers leaves out timers: those of raw keyed state become a state.
func withoutTimers(lines []string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return strings.Contains(l, " _timer_state/") })
}
