package edit

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/tidemark-io/tidemark/flink"
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
			e = binary.BigEndian.AppendUint64([]byte{0}, uint64(r.Int64N(1<<40)))
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
			e = binary.BigEndian.AppendUint64([]byte{2}, uint64(r.Int64N(1<<40)))
		}
		from := len(data)
		data = append(binary.BigEndian.AppendUint32(data, uint32(len(e))), e...)
		all = append(all, span{from, len(data)})
	}
	return data, all
}

// overwrite damages a stream in one place, in a way that n decides.
func overwrite(r *rand.Rand, n int, data []byte, all []span) {
	from := r.IntN(len(data))
	to := min(from+1+r.IntN(60), len(data))
	switch n % 4 {
	case 0: // one bit of a length
		data[all[r.IntN(len(all))].from+r.IntN(lengthSize)] ^= 1 << r.IntN(8)
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
}

// Whatever is overwritten: what is kept are elements that were there, and every element
// that no damage touches is kept, but for those in doubt. Lengths are all there is to
// go by, so that in a hundred damages one may be taken for something else where
// elements are full of small numbers, as rows of SQL are.
func TestResync(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	type tally struct{ kept, lost, doubtful, missing, wrong int }
	tallies := map[string]*tally{}
	for i := range 8000 {
		kind := []string{"text", "time", "row", "random"}[i%4]
		n := tallies[kind]
		if n == nil {
			n = &tally{}
			tallies[kind] = n
		}
		data, all := elementsOf(r, kind, 1+r.IntN(40))
		clean := slices.Clone(data)
		overwrite(r, i/4, data, all)
		got, doubtful := run{data: data, first: true, last: true}.elements()
		n.doubtful += doubtful
		for _, e := range got {
			if !slices.Contains(all, e) {
				n.wrong++
			}
		}
		for _, e := range all {
			switch {
			case slices.Contains(got, e):
				n.kept++
			case !bytes.Equal(clean[e.from:e.to], data[e.from:e.to]):
				n.lost++
			case doubtful > 0:
				doubtful--
			default:
				n.missing++
			}
		}
	}
	for kind, n := range tallies {
		limit := n.lost/500 + 2
		if kind == "row" {
			limit = n.lost / 20
		}
		if n.wrong > limit || n.missing > 2*limit {
			t.Errorf("%s: %+v", kind, *n)
		}
		fmt.Printf("RESULT flink-resync-%s kept=%d lost=%d doubtful=%d undamaged-lost=%d wrong=%d\n", kind, n.kept, n.lost, n.doubtful, n.missing, n.wrong)
	}
}

// What is cut out of the middle leaves the elements on both sides; what is whole is
// taken as it is; nothing is nothing.
func TestElements(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	data, all := elementsOf(r, "text", 20)
	if got, doubt := (run{data: data, first: true, last: true}).elements(); !slices.Equal(got, all) || doubt != 0 {
		t.Errorf("whole: %v", got)
	}
	mid := all[9].from + 3
	if got, _ := (run{data: data[:mid], first: true}).elements(); !slices.Equal(got, all[:9]) {
		t.Errorf("front: %v, want %v", got, all[:9])
	}
	rest := data[mid:]
	got, _ := run{data: rest, last: true}.elements()
	for i := range got {
		got[i].from, got[i].to = got[i].from+mid, got[i].to+mid
	}
	if !slices.Equal(got, all[10:]) {
		t.Errorf("back: %v, want %v", got, all[10:])
	}
	for _, r := range []run{{}, {first: true, last: true}, {data: []byte{1, 2, 3}}, {data: make([]byte, 100), first: true, last: true}} {
		if got, _ := r.elements(); len(got) > 0 {
			t.Errorf("%d bytes: %v", len(r.data), got)
		}
	}
}

// Whatever the bytes: elements ascend, lie within the run, and are framed.
func FuzzElements(f *testing.F) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, kind := range []string{"text", "time", "row", "random"} {
		data, _ := elementsOf(r, kind, 5)
		f.Add(data, true, true)
		f.Add(data[3:], false, false)
	}
	f.Fuzz(func(t *testing.T, data []byte, first, last bool) {
		got, _ := run{data: data, first: first, last: last}.elements()
		at := 0
		for _, s := range got {
			size := int32(0)
			if s.to-s.from > lengthSize {
				size = int32(binary.BigEndian.Uint32(data[s.from:]))
			}
			if s.from < at || s.to > len(data) || int(size) != s.to-s.from-lengthSize || !flink.IsElement(size, data[s.from+lengthSize]) {
				t.Fatalf("%v behind %d in %x", s, at, data)
			}
			at = s.to
		}
	})
}
