package native

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/recovery"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/writer"
	"github.com/tidemark-io/tidemark/writer/writertest"
)

// repairing salvages a checkpoint with repairs, or without, to "savepoint-99".
func repairing(t *testing.T, st store.Store, dir string, bits bool) *recovery.Result {
	t.Helper()
	f := NewFormat(st)
	src, err := recovery.OpenDamaged(context.Background(), f, dir)
	must(t, err)
	defer src.Close()
	r, err := recovery.SalvageWith(context.Background(), src, checkpoint.Salvage{RepairBits: bits}, recovery.Target{Format: f, Path: "savepoint-99"})
	must(t, err)
	return r
}

// blocksOf are all blocks of data of a checkpoint, by object.
func blocksOf(t *testing.T, st store.Store, dir string) map[string][]format.BlockRef {
	t.Helper()
	s, err := openSource(context.Background(), open(t, st, dir))
	must(t, err)
	all := map[string][]format.BlockRef{}
	for row, list := range s.slices {
		for _, sl := range list {
			refs, err := s.BlockRefs(context.Background(), sl, s.states[row].Kind)
			must(t, err)
			name := s.objects[sl.Object].Name
			all[name] = append(all[name], refs...)
		}
	}
	return all
}

// TestRepairBits flips one bit of each of some blocks, in keyed state, lists and
// in-flight data alike: with repairs the result is what was written, and names
// every bit; without, the blocks are lost. Blocks with two flipped bits are lost
// in any case.
func TestRepairBits(t *testing.T) {
	repaired, lost := 0, 0
	for round := range uint64(20) {
		r := rand.New(rand.NewPCG(round, 7))
		j := writertest.Job{Parallelism: 2, Keys: 150, Flight: 40, Seed: round, Options: writer.Options{WriterID: "w", Objects: 1, BlockSize: 500}}
		whole := filesOf(t, func() store.Store { st := files{}.put(t); sample(t, st, j); return st }(), j.Dir())
		pristine := whole.put(t)
		want := contents(t, open(t, pristine, j.Dir()))
		f := maps.Clone(whole)
		flips, doubled := 0, false
		for name, refs := range blocksOf(t, pristine, j.Dir()) {
			data := append([]byte(nil), f[name]...)
			for range 1 + r.IntN(4) {
				ref := refs[r.IntN(len(refs))]
				at := ref.Offset + r.Uint64N(uint64(ref.Length))
				if string(data[ref.Offset:ref.End()]) != string(f[name][ref.Offset:ref.End()]) {
					continue // one bit for each block
				}
				data[at] ^= 1 << r.IntN(8)
				if flips++; round%4 == 3 {
					doubled = true
					data[ref.Offset+(at-ref.Offset+1)%uint64(ref.Length)] ^= 1 << r.IntN(8)
				}
			}
			f[name] = data
		}
		st := f.put(t)
		result := repairing(t, st, j.Dir(), true)
		verified(t, open(t, st, "savepoint-99"))
		if doubled {
			lost += flips
			if len(result.Salvaged.Repaired) != 0 || len(result.Losses) == 0 {
				t.Errorf("round %d: two bits in a block: repaired %v", round, result.Salvaged.Repaired)
			}
			continue
		}
		repaired += flips
		same(t, fmt.Sprint("repaired, round ", round), contents(t, open(t, st, "savepoint-99")), want)
		if len(result.Salvaged.Repaired) != flips {
			t.Errorf("round %d: %d bits flipped, repaired %v", round, flips, result.Salvaged.Repaired)
		}
		for _, p := range result.Salvaged.Repaired {
			if f[p.Object][p.Offset]^whole[p.Object][p.Offset] != 1<<p.Bit {
				t.Errorf("round %d: bit %d of byte %d of %s was not flipped", round, p.Bit, p.Offset, p.Object)
			}
		}
		for _, l := range result.Losses {
			if l.Records != 0 || !strings.Contains(l.Reason, "repaired") {
				t.Errorf("round %d: %+v", round, l)
			}
		}
		if unasked := repairing(t, f.put(t), j.Dir(), false); len(unasked.Salvaged.Repaired) != 0 || unasked.Losses[0].Bytes == 0 {
			t.Errorf("round %d: repaired unasked: %+v", round, unasked.Losses)
		}
	}
	t.Logf("RESULT TestRepairBits repaired=%d lost=%d", repaired, lost)
}
