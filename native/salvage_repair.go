package native

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/format"
)

// repairID tells blocks apart.
type repairID struct {
	object int
	offset uint64
}

// repair is a block of which one bit is turned back.
type repair struct {
	row int // of the source's states
	checkpoint.Repair
}

// read reads a block that an index names. If that was asked for, and one flipped
// bit explains why it has not the checksum that is stated of it, in the block and
// in the index, the bit is turned back. Every error of one bit is found so. Damage
// to more bits can look the same, of random damage about one block of 64 KiB in
// 8,000: then the content has to pass everything else that is checked too (the
// hashes of keys, the checksums of in-flight buffers, order, types), which a wrong
// value may. So it is never done unasked, and always reported.
func (s *salvage) read(r *remains, ref format.BlockRef) ([]byte, error) {
	data, err := s.src.ReadBlock(s.ctx, r.slice, s.src.states[r.row].Kind, ref, s.buf)
	if err != nil {
		return nil, err
	}
	s.buf = data
	if s.edit.Salvage.RepairBits {
		if at, bit, ok := format.FindBitFlip(data, ref.CRC); ok {
			data[at] ^= 1 << bit
			s.flips[repairID{r.slice.Object, ref.Offset}] = repair{r.row, checkpoint.Repair{
				Object: s.src.objects[r.slice.Object].Name, Offset: ref.Offset + uint64(at), Bit: bit}}
		}
	}
	return data, nil
}

// unrepaired forgets a repair of a block that is damaged all the same.
func (s *salvage) unrepaired(r *remains, ref format.BlockRef) {
	delete(s.flips, repairID{r.slice.Object, ref.Offset})
}

// repairs lists what was turned back, by object and offset.
func (s *salvage) repairs() (list []repair) {
	for _, r := range s.flips {
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b repair) int {
		return strings.Compare(fmt.Sprintf("%s %020d", a.Object, a.Offset), fmt.Sprintf("%s %020d", b.Object, b.Offset))
	})
	return list
}

// reportRepairs puts a row into the loss report for each state that has repaired
// blocks: nothing of it is lost, but whoever reads it should know.
func (s *salvage) reportRepairs() {
	byState := make([][]string, len(s.src.states))
	for _, r := range s.repairs() {
		byState[r.row] = append(byState[r.row], fmt.Sprintf("bit %d of byte %d of %s", r.Bit, r.Offset, r.Object))
	}
	for row, st := range s.src.states {
		places := byState[row]
		if len(places) == 0 {
			continue
		}
		uid := s.src.operators[st.Operator].UID
		why := fmt.Sprintf("nothing is lost: %d block(s) repaired, each by one bit, after which its checksum was right: ", len(places))
		if n := len(places); n > maxNamed {
			places = append(places[:maxNamed], "…")
		}
		l := s.loss(uid, why+strings.Join(places, "; "))
		l.State, l.Place = st.Name, text(checkpoint.Selector{Operator: uid, State: st.Name}.String())
		if st.Edge != format.None {
			l.Edge = s.src.edges[st.Edge].ID
		}
		s.losses = append(s.losses, l)
	}
}
