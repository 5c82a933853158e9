package writertest

import (
	"encoding/binary"

	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/keygroup/keyhash"
	"github.com/tidemark-io/tidemark/writer"
)

// flightBuffer is the size of an in-flight buffer: small, so that records cross
// the borders of buffers and of the two sides of a channel.
const flightBuffer = 50

// InFlight are the records in flight from one subtask of the source to one of
// the counting operator, in their order; see [Job.Flight]. A record's payload is
// a struct of the key and its number.
func (j Job) InFlight(sender, receiver int) []format.Frame {
	j = j.withDefaults()
	frames := []format.Frame{{Element: format.ElementWatermark, HasTime: true, Time: int64(100 + sender)}}
	for k := range j.Flight {
		h := keyhash.Of(Key(k))
		if k%j.Parallelism == sender && keygroup.OwnerOfHash(h, j.Groups, j.Parallelism) == receiver {
			frames = append(frames, format.Frame{Element: format.ElementRecord, HasHash: true, Hash: h, HasTime: true, Time: int64(1000 + k),
				Payload: binary.LittleEndian.AppendUint64(Key(k), uint64(k))})
		}
	}
	return frames
}

// flightSchema is the schema of the payloads.
func flightSchema() *format.Schema {
	return &format.Schema{Type: format.TypeStruct, Name: "Flight", Fields: []format.Field{
		{Name: "origin", Schema: &format.Schema{Type: format.TypeString}}, {Name: "n", Schema: &format.Schema{Type: format.TypeUint64}}}}
}

// buffers cuts a channel into buffers, half of them on each side.
func (j Job) buffers(sender, receiver int, kind format.Kind) ([]format.Buffer, error) {
	var stream []byte
	starts := map[int]bool{}
	for _, f := range j.InFlight(sender, receiver) {
		starts[len(stream)] = true
		var err error
		if stream, err = format.AppendFrame(stream, &f); err != nil {
			return nil, err
		}
	}
	var all []format.Buffer
	for from := 0; from < len(stream); from += flightBuffer {
		part := stream[from:min(from+flightBuffer, len(stream))]
		start := format.None
		for i := len(part) - 1; i >= 0; i-- {
			if starts[from+i] {
				start = i
			}
		}
		all = append(all, format.NewBuffer(uint32(receiver), uint32(sender), 0, uint64(len(all)+10), start, part))
	}
	if kind == format.KindInputChannel {
		return all[:len(all)/2], nil
	}
	return all[len(all)/2:], nil
}

// fillFlight writes the buffers of a subtask's side of its channels.
func (j Job) fillFlight(s *writer.Slice, kind format.Kind, subtask int) error {
	for other := range j.Parallelism {
		sender, receiver := other, subtask
		if kind == format.KindOutputChannel {
			sender, receiver = subtask, other
		}
		list, err := j.buffers(sender, receiver, kind)
		if err != nil {
			return err
		}
		for _, b := range list {
			if err := s.Buffer(b); err != nil {
				return err
			}
		}
	}
	return nil
}
