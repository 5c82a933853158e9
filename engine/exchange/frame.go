package exchange

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A frame is
//
//	u32 LE body length | u8 tag | [u32 LE hash] | [i64 LE timestamp] | payload
//
// where the body begins with the tag. The low nibble of the tag says what it
// is, the upper bits which fields are there. A watermark is nothing but a
// timestamp, a status one byte of payload. Frames in a channel follow each other
// without a gap, over the ends of buffers.
//
// These bytes also stand in checkpoints (channel state), and tools read them as
// SPEC.md says: never renumber.
const (
	TagRecord    byte = 0x00
	TagWatermark byte = 0x01
	TagStatus    byte = 0x02
	TagKindMask  byte = 0x0f

	FlagHash      byte = 0x10 // the partitioning hash follows the tag
	FlagTimestamp byte = 0x20 // the event time follows
	FlagNoKey     byte = 0x40 // emitted without a current key (rule R7)
	flagMask      byte = 0xf0
)

// Values of a status frame.
const (
	StatusActive byte = 1
	StatusIdle   byte = 2
)

const lengthSize = 4

// AppendRecord begins the frame of a record with a timestamp in ms. Append
// the payload behind it and call EndFrame.
func AppendRecord(dst []byte, timestamp int64) []byte {
	return binary.LittleEndian.AppendUint64(append(dst, 0, 0, 0, 0, TagRecord|FlagTimestamp), uint64(timestamp))
}

// AppendKeyed begins the frame of a record with a partitioning hash and a
// timestamp in ms.
func AppendKeyed(dst []byte, hash uint32, timestamp int64) []byte {
	dst = append(dst, 0, 0, 0, 0, tagKeyed)
	dst = binary.LittleEndian.AppendUint32(dst, hash)
	return binary.LittleEndian.AppendUint64(dst, uint64(timestamp))
}

// AppendFrame begins any frame of a record: the fields that the flags of tag
// name are written, the others are ignored.
func AppendFrame(dst []byte, tag byte, hash uint32, timestamp int64) []byte {
	dst = append(dst, 0, 0, 0, 0, tag)
	if tag&FlagHash != 0 {
		dst = binary.LittleEndian.AppendUint32(dst, hash)
	}
	if tag&FlagTimestamp != 0 {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(timestamp))
	}
	return dst
}

// EndFrame completes the frame that begins at start and ends with b: it fills
// in the length.
func EndFrame(b []byte, start int) {
	binary.LittleEndian.PutUint32(b[start:], uint32(len(b)-start-lengthSize))
}

// AppendWatermark appends a complete watermark frame, in ms.
func AppendWatermark(dst []byte, watermark int64) []byte {
	return binary.LittleEndian.AppendUint64(append(dst, 9, 0, 0, 0, TagWatermark|FlagTimestamp), uint64(watermark))
}

// AppendStatus appends a complete status frame: StatusActive or StatusIdle.
func AppendStatus(dst []byte, status byte) []byte {
	return append(dst, 2, 0, 0, 0, TagStatus, status)
}

// Frame is one decoded frame.
type Frame struct {
	Tag       byte
	Hash      uint32 // if Tag has FlagHash
	Timestamp int64  // ms; of a record if Tag has FlagTimestamp; the watermark of a watermark
	Payload   []byte // of a record; of a status its one byte
}

// Kind returns TagRecord, TagWatermark or TagStatus.
func (f Frame) Kind() byte { return f.Tag & TagKindMask }

// Errors about bytes that are no frames. A [FrameError] says where.
var (
	ErrFrameLimit = errors.New("frame is longer than the limit")
	ErrFrame      = errors.New("malformed frame")
)

// FrameError says where a channel's bytes stopped making sense.
type FrameError struct {
	Offset int64 // of the frame's first byte, counted from the cursor's start
	Length uint32
	Tag    byte
	Err    error // ErrFrame or ErrFrameLimit
}

// Error is one line with the place, what was read there, and the cause.
func (e *FrameError) Error() string {
	return fmt.Sprintf("frame at offset %d (body length %d, tag %#02x): %v", e.Offset, e.Length, e.Tag, e.Err)
}

// Unwrap returns the cause.
func (e *FrameError) Unwrap() error { return e.Err }

// The quick paths are made for the frame of a keyed record: tag, hash and
// timestamp lead its payload.
const (
	tagKeyed    = TagRecord | FlagHash | FlagTimestamp
	keyedHeader = 1 + 4 + 8
)

// parseBody decodes the body of a frame; the payload refers to it.
func parseBody(body []byte) (f Frame, ok bool) {
	if len(body) == 0 {
		return f, false
	}
	f.Tag = body[0]
	rest := body[1:]
	switch f.Tag & TagKindMask {
	case TagWatermark:
		if f.Tag != TagWatermark|FlagTimestamp || len(rest) != 8 {
			return f, false
		}
		f.Timestamp = int64(binary.LittleEndian.Uint64(rest))
		return f, true
	case TagStatus:
		f.Payload = rest
		return f, f.Tag == TagStatus && len(rest) == 1 && (rest[0] == StatusActive || rest[0] == StatusIdle)
	case TagRecord:
		if f.Tag&flagMask&^(FlagHash|FlagTimestamp|FlagNoKey) != 0 {
			return f, false
		}
	default:
		return f, false
	}
	if f.Tag&FlagHash != 0 {
		if len(rest) < 4 {
			return f, false
		}
		f.Hash = binary.LittleEndian.Uint32(rest)
		rest = rest[4:]
	}
	if f.Tag&FlagTimestamp != 0 {
		if len(rest) < 8 {
			return f, false
		}
		f.Timestamp = int64(binary.LittleEndian.Uint64(rest))
		rest = rest[8:]
	}
	f.Payload = rest
	return f, true
}
