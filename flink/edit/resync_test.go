package edit

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// elementsOf makes a stream of elements of some kind, and says where they are.
func elementsOf(r *rand.Rand, kind string, n int) (data []byte, all []span) {
	for range n {
		var e []byte
		switch kind {
		case "text": // Tuple2<Long, String>
			e = binary.BigEndian.AppendUint64([]byte{1}, uint64(r.IntN(1000)))
			e = append(e, bytes.Repeat([]byte{byte('a' + r.IntN(26))}, 1+r.IntN(90))...)
		case "time":
			e = binary.BigEndian.AppendUint64([]byte{0}, uint64(r.IntN(1<<40)))
			e = binary.BigEndian.AppendUint64(e, uint64(r.IntN(7)))
		case "row": // of SQL: a length, a kind, and the row
			row := append(make([]byte, 8), make([]byte, 8*r.IntN(5))...)
			for i := 8; i < len(row); i++ {
				row[i] = byte(r.IntN(3))
			}
			e = binary.BigEndian.AppendUint32([]byte{1}, uint32(len(row)))
			e = append(e, row...)
		case "random":
			e = []byte{1}
			for range 1 + r.IntN(300) {
				e = append(e, byte(r.Uint32()))
			}
		}
		if r.IntN(9) == 0 {
			e = binary.BigEndian.AppendUint64([]byte{2}, uint64(r.IntN(1<<40)))
		}
		from := len(data)
		data = append(binary.BigEndian.AppendUint32(data, uint32(len(e))), e...)
		all = append(all, span{from, len(data)})
	}
	return data, all
}

// Whatever is overwritten: elements that are kept are such as were there, and every
// element that no damage touches is kept, but for those in doubt.
func TestResync(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	wrong, missing, lost, doubts, kept := 0, 0, 0, 0, 0
	for i := range 4000 {
		kind := []string{"text", "time", "row", "random"}[i%4]
		data, all := elementsOf(r, kind, 1+r.IntN(40))
		clean := slices.Clone(data)
		var hurt []span
		for range 1 + r.IntN(3) {
			from := r.IntN(len(data))
			to := min(from+1+r.IntN(60), len(data))
			switch i / 4 % 4 {
			case 0: // one bit of a length
				e := all[r.IntN(len(all))]
				from, to = e.from+r.IntN(4), 0
				to = from + 1
				data[from] ^= 1 << r.IntN(8)
			case 1:
				clear(data[from:to])
			case 2:
				for k := from; k < to; k++ {
					data[k] = byte(r.Uint32())
				}
			case 3:
				for k := from; k < to; k++ {
					data[k] = 0xFF
				}
			}
			hurt = append(hurt, span{from, to})
		}
		got, doubtful := run{data: data, first: true, last: true}.elements()
		doubts += doubtful
		left := doubtful
		for _, e := range got {
			if !slices.Contains(all, e) {
				wrong++
			}
		}
		for _, e := range all {
			touched := !bytes.Equal(clean[e.from:e.to], data[e.from:e.to])
			has := slices.Contains(got, e)
			switch {
			case has:
				kept++
			case touched:
				lost++
			case left > 0:
				left--
			default:
				missing++
			}
		}
	}
	fmt.Printf("RESULT flink-resync kept=%d lost=%d doubtful=%d undamaged-lost=%d wrong=%d\n", kept, lost, doubts, missing, wrong)
}
