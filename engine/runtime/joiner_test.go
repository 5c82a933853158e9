package runtime

import (
	"errors"
	"testing"

	"github.com/tidemark-io/tidemark/engine/exchange"
	"github.com/tidemark-io/tidemark/format"
)

// Records are joined over the borders of buffers, and only of buffers that follow
// each other; who is lenient goes on behind a gap and counts it (R8).
func TestJoinerFollowsSequences(t *testing.T) {
	frame := append(exchange.AppendFrame(nil, exchange.TagRecord, 7, 0), "record"...)
	exchange.EndFrame(frame, 0)
	tail := frame[7:]
	buffer := func(sequence uint64, start int, payload []byte) format.Buffer {
		return format.NewBuffer(1, 2, 0, sequence, start, payload)
	}
	none := func(sequence uint64, payload []byte) format.Buffer { return buffer(sequence, format.None, payload) }
	whole := func(sequence uint64) format.Buffer { return buffer(sequence, 0, frame) }
	for name, c := range map[string]struct {
		buffers []format.Buffer
		records uint64 // up to the error
		torn    bool   // which is this
		gaps    int    // what the lenient one counts
		found   uint64 // and still finds
	}{
		"whole records":               {[]format.Buffer{whole(5), whole(6)}, 2, false, 0, 2},
		"a record cut in two":         {[]format.Buffer{buffer(5, 0, frame[:7]), none(6, tail), whole(7)}, 2, false, 0, 2},
		"a buffer is missing":         {[]format.Buffer{whole(5), whole(7)}, 1, true, 1, 2},
		"two are, at different times": {[]format.Buffer{whole(5), whole(7), whole(9)}, 1, true, 2, 3},
		"a buffer twice":              {[]format.Buffer{whole(5), whole(5)}, 1, true, 1, 2},
		"the middle of a record":      {[]format.Buffer{buffer(5, 0, frame[:7]), none(7, frame[9:]), whole(8)}, 0, true, 1, 1},
		"it begins in the middle":     {[]format.Buffer{none(5, tail), whole(6)}, 0, true, 1, 1},
		"it ends in the middle":       {[]format.Buffer{whole(5), buffer(6, 0, frame[:7])}, 1, true, 1, 1},
		"another number of bytes":     {[]format.Buffer{buffer(5, 0, frame[:7]), none(6, tail[:2]), whole(7)}, 0, true, 1, 1},
	} {
		for _, lenient := range []bool{false, true} {
			j := joiner{limit: 1 << 10, lenient: lenient, accept: func(*exchange.Frame) (bool, error) { return true, nil }}
			var err error
			for i := 0; i < len(c.buffers) && err == nil; i++ {
				b := c.buffers[i]
				err = j.add(b)
			}
			if err == nil {
				err = j.end()
			}
			records, gaps, torn := c.records, 0, c.torn
			if lenient {
				records, gaps, torn = c.found, c.gaps, false
			}
			if errors.Is(err, errHalfRecord) != torn || err != nil && !torn || j.records != records || j.gaps != gaps {
				t.Errorf("%s, lenient %v: %d records, %d gaps, %v; want %d, %d, torn %v", name, lenient, j.records, j.gaps, err, records, gaps, torn)
			}
		}
	}
}
