package codec

import (
	"encoding/binary"
	"testing"
)

// event is the record of the throughput goals: three words.
type event struct {
	Key       uint64
	Value     int64
	Timestamp int64
}

// flight has strings among its fields.
type flight struct {
	Date        int64
	Delay       int32
	Distance    int32
	Origin      string
	Destination string
}

// handWritten is what a user would write for event.
type handWritten struct{ Codec[event] }

func (handWritten) Append(dst []byte, v event) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, v.Key)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(v.Value))
	return binary.LittleEndian.AppendUint64(dst, uint64(v.Timestamp))
}

func (handWritten) Decode(src []byte) (event, int, error) {
	if len(src) < 24 {
		return event{}, 0, ErrShort
	}
	return event{
		Key:       binary.LittleEndian.Uint64(src),
		Value:     int64(binary.LittleEndian.Uint64(src[8:])),
		Timestamp: int64(binary.LittleEndian.Uint64(src[16:])),
	}, 24, nil
}

type handFlight struct{ Codec[flight] }

func (handFlight) Append(dst []byte, v flight) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(v.Date))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(v.Delay))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(v.Distance))
	dst = append(appendLength(dst, len(v.Origin)), v.Origin...)
	return append(appendLength(dst, len(v.Destination)), v.Destination...)
}

func benchAppend[T any](b *testing.B, c Codec[T], v T) {
	b.ReportAllocs()
	buf := make([]byte, 0, 32<<10)
	for b.Loop() {
		if len(buf) > 31<<10 {
			buf = buf[:0]
		}
		buf = c.Append(buf, v)
	}
}

func benchDecode[T any](b *testing.B, c Codec[T], v T) {
	b.ReportAllocs()
	buf := must(Of[T]()).Append(nil, v)
	for b.Loop() {
		if _, _, err := c.Decode(buf); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCodec compares derived codecs with hand-written ones, both through
// the Codec interface.
func BenchmarkCodec(b *testing.B) {
	e := event{1, 2, 3}
	f := flight{1, 2, 3, "DTW", "LAS"}
	b.Run("append/event/derived", func(b *testing.B) { benchAppend(b, must(Of[event]()), e) })
	b.Run("append/event/hand", func(b *testing.B) { benchAppend[event](b, handWritten{}, e) })
	b.Run("append/flight/derived", func(b *testing.B) { benchAppend(b, must(Of[flight]()), f) })
	b.Run("append/flight/hand", func(b *testing.B) { benchAppend[flight](b, handFlight{}, f) })
	b.Run("append/int64", func(b *testing.B) { benchAppend(b, must(Of[int64]()), 7) })
	b.Run("append/string", func(b *testing.B) { benchAppend(b, must(Of[string]()), "user-0000001") })
	b.Run("decode/event/derived", func(b *testing.B) { benchDecode(b, must(Of[event]()), e) })
	b.Run("decode/event/hand", func(b *testing.B) { benchDecode[event](b, handWritten{}, e) })
	b.Run("decode/flight/derived", func(b *testing.B) { benchDecode(b, must(Of[flight]()), f) })
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
