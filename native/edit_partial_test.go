package native

import (
	"context"
	"fmt"
	"testing"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/store/mem"
	"github.com/tidemark-io/tidemark/writer/writertest"
)

// TestRescaleOneEnd: only the sender or only the receiver of a connection gets
// another parallelism, and its in-flight data comes along.
func TestRescaleOneEnd(t *testing.T) {
	st := mem.New()
	j := writertest.Job{Parallelism: 3, Keys: 60, Flight: 200}
	sample(t, st, j)
	want := contents(t, open(t, st, j.Dir()))
	for _, uid := range []string{writertest.Source, writertest.Count} {
		from := j.Dir()
		for i, p := range []uint32{1, 5, 2, 3} {
			dst := fmt.Sprintf("%s-%d", uid, i)
			apply(t, st, from, checkpoint.Edit{Command: "rescale", Layouts: map[string]checkpoint.Layout{uid: {Parallelism: p}}}, dst)
			verified(t, open(t, st, dst))
			same(t, dst, contents(t, open(t, st, dst)), want)
			from = dst
		}
	}
}

// TestStripOfDamagedChannels: in-flight data is left out since a byte of it is
// damaged, the rest is taken over, what is lost is counted, and the result is sound.
func TestStripOfDamagedChannels(t *testing.T) {
	for _, c := range []struct {
		kind   format.Kind
		drop   string
		groups uint32 // of a rescale at the same time, 0 for none
	}{
		{format.KindInputChannel, "operator=count", 0},
		{format.KindInputChannel, "operator=count,subtask=1", 0},
		{format.KindInputChannel, "operator=count,subtask=1", 97},
		{format.KindOutputChannel, "operator=count,channel=gate0/1", 0},
		{format.KindOutputChannel, "operator=count,channel=gate0/1", 97},
	} {
		t.Run(fmt.Sprintf("%v of %s, %d", c.kind, c.drop, c.groups), func(t *testing.T) {
			st := mem.New()
			j := writertest.Job{Parallelism: 3, Keys: 60, Flight: 200}
			s := sample(t, st, j)
			edit := checkpoint.Edit{Command: "strip", External: checkpoint.ExternalKeep, Drop: []checkpoint.Drop{{Kind: checkpoint.DropInFlight, Selector: selector(t, c.drop)}}}
			if c.groups > 0 {
				edit.Layouts = map[string]checkpoint.Layout{writertest.Count: {KeyGroups: c.groups}}
			}
			sound := apply(t, st, j.Dir(), edit, "sound")
			all := filesOf(t, st, j.Dir())
			damaged := false
			for _, row := range s.statesOf(0, c.kind) {
				for _, sl := range s.slices[row] {
					if sl.Subtask == 1 && sl.Bytes > 0 {
						all[s.objects[sl.Object].Name][sl.Offset-sl.Bytes+20] ^= 1
						damaged = true
					}
				}
			}
			if !damaged {
				t.Fatal("there is nothing to damage")
			}
			hurt := all.put(t)
			out, err := NewFormat(hurt).Apply(context.Background(), open(t, hurt, j.Dir()), edit, "less", nil)
			must(t, err)
			verified(t, open(t, hurt, "less"))
			same(t, "what is left", contents(t, open(t, hurt, "less")), contents(t, open(t, st, "sound")))
			elsewhere := mem.New()
			_, err = NewFormat(elsewhere).Apply(context.Background(), open(t, hurt, j.Dir()), edit, "less", nil)
			must(t, err)
			verified(t, open(t, elsewhere, "less"))
			if got, want := out.Losses[0].Records, sound.Losses[0].Records; got != want || got == 0 {
				t.Errorf("%d records are lost, it says %d", want, got)
			}
			edges, err := open(t, hurt, "less").Checkpoint().Edges()
			must(t, err)
			if got, want := edges[0].InFlightRecords, s.edges[0].InFlightRecords-sound.Losses[0].Records; got != want {
				t.Errorf("%d records in flight, want %d", got, want)
			}
			// What stays must be sound.
			edit.Drop[0].Selector = selector(t, "operator=count,subtask=0")
			if c.kind == format.KindOutputChannel {
				edit.Drop[0].Selector = selector(t, "operator=count,channel=gate0/0")
			}
			if _, err := NewFormat(hurt).Apply(context.Background(), open(t, hurt, j.Dir()), edit, "other", nil); err == nil {
				t.Error("damaged data was taken over")
			}
		})
	}
}
