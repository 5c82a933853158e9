package format

import (
	"encoding/binary"
	"math"

	"github.com/tidemark-io/tidemark/keygroup"
)

// Element is what a frame of a channel carries. On disk: never renumber.
type Element uint8

// Elements.
const (
	ElementRecord    Element = 0
	ElementWatermark Element = 1 // Time is the watermark; no payload
	ElementStatus    Element = 2 // the payload is one byte, a Status
)

// Tag of a frame: the low nibble is the element. On disk: never renumber.
const (
	frameElement = 0x0f
	frameHash    = 0x10 // the partitioning hash follows
	frameTime    = 0x20 // a timestamp follows
	frameNoKey   = 0x40 // emitted without a current key (R7)
)

// frameLength is the size of the length in front of a frame's body.
const frameLength = 4

// Frame is one element of a channel: a record, a watermark or a status. Frames
// follow each other in the payloads of the buffers of a sub-stream, over the
// borders of buffers.
type Frame struct {
	Element Element
	HasHash bool
	HasTime bool
	NoKey   bool
	Hash    keygroup.Hash // that the sender partitioned by
	Time    int64         // event time, ms
	Payload []byte
}

// AppendFrame appends the encoded frame to dst.
func AppendFrame(dst []byte, f *Frame) ([]byte, error) {
	if err := f.check(); err != nil {
		return dst, err
	}
	from := len(dst)
	tag := byte(f.Element)
	dst = append(dst, 0, 0, 0, 0, 0)
	if f.HasHash {
		tag |= frameHash
		dst = binary.LittleEndian.AppendUint32(dst, uint32(f.Hash))
	}
	if f.HasTime {
		tag |= frameTime
		dst = binary.LittleEndian.AppendUint64(dst, uint64(f.Time))
	}
	if f.NoKey {
		tag |= frameNoKey
	}
	dst = append(dst, f.Payload...)
	body := uint64(len(dst) - from - frameLength)
	if body > math.MaxUint32 {
		return dst[:from], invalid("frame of %d bytes", body)
	}
	binary.LittleEndian.PutUint32(dst[from:], uint32(body))
	dst[from+frameLength] = tag
	return dst, nil
}

// check applies the rules for the parts of a frame.
func (f *Frame) check() error {
	switch f.Element {
	case ElementRecord:
		if f.NoKey && !f.HasHash {
			return invalid("record without a key and without a hash")
		}
	case ElementWatermark:
		if !f.HasTime || f.HasHash || f.NoKey || len(f.Payload) > 0 {
			return invalid("watermark with a hash or a payload, or without a time")
		}
	case ElementStatus:
		if f.HasTime || f.HasHash || f.NoKey || len(f.Payload) != 1 {
			return invalid("status with a hash or a time, or %d bytes of payload", len(f.Payload))
		}
		return Status(f.Payload[0]).check()
	default:
		return invalid("element %d", f.Element)
	}
	return nil
}

// DecodeFrame reads one frame from the front of data and returns the bytes that
// it takes. If data ends within the frame, the error is of the class
// [ErrTruncated] and n is the length of the frame, or 0 if that is not known
// yet. The payload aliases data.
func DecodeFrame(data []byte) (f Frame, n uint64, err error) {
	if len(data) < frameLength {
		return f, 0, truncated(uint64(len(data)), frameLength)
	}
	n = frameLength + uint64(binary.LittleEndian.Uint32(data))
	if uint64(len(data)) < n {
		return f, n, truncated(uint64(len(data)), n)
	}
	d := decoder{data: data[:n], pos: frameLength}
	tag := d.byte("tag")
	f.Element = Element(tag & frameElement)
	if f.HasHash = tag&frameHash != 0; f.HasHash {
		f.Hash = keygroup.Hash(d.u32("hash"))
	}
	if f.HasTime = tag&frameTime != 0; f.HasTime {
		f.Time = int64(d.u64("time"))
	}
	f.NoKey = tag&frameNoKey != 0
	f.Payload = d.take(uint64(d.left()), "payload")
	switch {
	case d.err != nil:
		return Frame{}, n, d.err
	case tag&^(frameElement|frameHash|frameTime|frameNoKey) != 0:
		return Frame{}, n, malformed("tag %02x", tag)
	}
	if err := f.check(); err != nil {
		return Frame{}, n, malformed("%v", err)
	}
	return f, n, nil
}
