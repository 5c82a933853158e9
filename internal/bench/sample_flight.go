package main

import (
	"encoding/binary"

	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/keygroup/keyhash"
	"github.com/tidemark-io/tidemark/writer"
)

// fillFlight writes the buffers of a subtask's side of its channels: the older
// half of each channel lies at its receiver. Records cross buffers, and one in
// most channels crosses from one side to the other.
func (s *sample) fillFlight(sl *writer.Slice, kind format.Kind, subtask int) error {
	for other := range sampleTasks {
		sender, receiver := other, subtask
		if kind == format.KindOutputChannel {
			sender, receiver = subtask, other
		}
		buffers := max(s.flight/flightBuffer, 2)
		records, err := s.channel(sender, receiver, buffers, func(n int, b format.Buffer) error {
			if (n < buffers/2) == (kind == format.KindInputChannel) {
				return sl.Buffer(b)
			}
			return nil
		})
		if err != nil {
			return err
		}
		if kind == format.KindInputChannel {
			s.records.Add(uint64(records))
		}
	}
	return nil
}

// channel makes so many buffers of records in flight and returns the number of
// records. Both halves of a channel are made of the same ones.
func (s *sample) channel(sender, receiver, buffers int, emit func(int, format.Buffer) error) (int, error) {
	stream, err := format.AppendFrame(nil, &format.Frame{Element: format.ElementWatermark, HasTime: true, Time: 5})
	if err != nil {
		return 0, err
	}
	var payload []byte
	starts := []int{0} // of the frames in stream
	records := 0
	cut := func(n, size int) error {
		start := format.None
		if len(starts) > 0 && starts[0] < size {
			start = starts[0]
		}
		for len(starts) > 0 && starts[0] < size {
			starts = starts[1:]
		}
		err := emit(n, format.NewBuffer(uint32(receiver), uint32(sender), 0, uint64(n+10), start, stream[:size]))
		stream = append(stream[:0], stream[size:]...)
		for i := range starts {
			starts[i] -= size
		}
		return err
	}
	n := 0
	for i := uint64(sender); n < buffers-1; i += sampleTasks {
		payload = appendKey(payload[:0], i%s.keys)
		h := keyhash.Of(payload)
		if keygroup.OwnerOfHash(h, int(s.m.Operators[1].KeyGroups), sampleTasks) != receiver {
			continue
		}
		cents := keyOf(i) >> 48
		if i%100 == 0 {
			cents += s.salt
		}
		payload = binary.LittleEndian.AppendUint64(payload, cents)
		payload = appendText(payload, notes[i%4])
		starts = append(starts, len(stream))
		if stream, err = format.AppendFrame(stream, &format.Frame{Element: format.ElementRecord, HasHash: true, Hash: h, HasTime: true,
			Time: int64(1_700_000_000_000 + i), Payload: payload}); err != nil {
			return 0, err
		}
		records++
		for ; len(stream) >= flightBuffer && n < buffers-1; n++ {
			if err := cut(n, flightBuffer); err != nil {
				return 0, err
			}
		}
	}
	return records, cut(n, len(stream))
}
