package native

import (
	"errors"
	"testing"

	"github.com/tidemark-io/tidemark/format"
)

// Records are joined over the borders of buffers, and only of buffers that follow
// each other (R8).
func TestJoinerFollowsSequences(t *testing.T) {
	frame, err := format.AppendFrame(nil, &format.Frame{HasHash: true, Payload: []byte("record")})
	if err != nil {
		t.Fatal(err)
	}
	buffer := func(sequence uint64, start int, payload []byte) format.Buffer {
		return format.NewBuffer(1, 2, 0, sequence, start, payload)
	}
	for name, c := range map[string]struct {
		buffers []format.Buffer
		records int
		want    error
	}{
		"whole records":        {[]format.Buffer{buffer(5, 0, frame), buffer(6, 0, frame)}, 2, nil},
		"a record cut in two":  {[]format.Buffer{buffer(5, 0, frame[:7]), buffer(6, format.None, frame[7:])}, 1, nil},
		"a gap":                {[]format.Buffer{buffer(5, 0, frame), buffer(7, 0, frame)}, 1, format.ErrMalformed},
		"a buffer twice":       {[]format.Buffer{buffer(5, 0, frame), buffer(5, 0, frame)}, 1, format.ErrMalformed},
		"begins in the middle": {[]format.Buffer{buffer(5, format.None, frame[7:])}, 0, format.ErrMalformed},
	} {
		var j joiner
		records := 0
		var err error
		for i := range c.buffers {
			err = j.add(&c.buffers[i], func(*format.Frame, []byte) error { records++; return nil })
		}
		if !errors.Is(err, c.want) || records != c.records {
			t.Errorf("%s: %d records, %v; want %d, %v", name, records, err, c.records, c.want)
		}
	}
}
