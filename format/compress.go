package format

import (
	"sync"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

// Encoders and decoders are reused: each holds some hundred KiB. They run in
// the goroutine that calls them.
var (
	zstdEncoders = sync.Pool{New: func() any {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest),
			zstd.WithEncoderCRC(false), zstd.WithSingleSegment(true))
		if err != nil {
			return err
		}
		return e
	}}
	zstdDecoders = sync.Pool{New: func() any {
		// The output is bounded by the capacity of the destination, which
		// is the declared length; the memory limit bounds the rest.
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecodeAllCapLimit(true),
			zstd.WithDecoderMaxMemory(DefaultLimits().Block), zstd.WithDecoderLowmem(true))
		if err != nil {
			return err
		}
		return d
	}}
)

// valid reports whether the codec is one that this version knows.
func (c Codec) valid() bool { return c <= CodecZstd }

// String is the name of the codec.
func (c Codec) String() string {
	names := [...]string{"none", "s2", "zstd"}
	if int(c) < len(names) {
		return names[c]
	}
	return "unknown codec"
}

// compress appends the compressed form of src to dst. ok is false, and dst
// unchanged, if it would not be shorter than src.
func (c Codec) compress(dst, src []byte) (out []byte, ok bool, err error) {
	from := len(dst)
	switch c {
	case CodecS2:
		// Encode uses the given memory only if it has room for the worst
		// case, which is a few bytes more than the input.
		need := s2.MaxEncodedLen(len(src))
		if need < 0 {
			return dst, false, nil
		}
		dst = grow(dst, need)
		enc := s2.Encode(dst[from:from+need], src)
		out = dst[:from+len(enc)]
	case CodecZstd:
		e, isEncoder := zstdEncoders.Get().(*zstd.Encoder)
		if !isEncoder {
			return dst, false, invalid("no zstd encoder")
		}
		out = e.EncodeAll(src, dst)
		zstdEncoders.Put(e)
	default:
		return dst, false, nil
	}
	if len(out)-from >= len(src) {
		return out[:from], false, nil
	}
	return out, true, nil
}

// decompress fills dst, whose length is the declared one, from src. The output
// must have exactly that length.
func (c Codec) decompress(dst, src []byte) error {
	switch c {
	case CodecS2:
		// The length in front is compared before the decoder sees it: it
		// would reserve memory for it if dst did not suffice.
		n, err := s2.DecodedLen(src)
		if err != nil || n != len(dst) {
			return malformed("s2 states %d decoded bytes, the column %d", n, len(dst))
		}
		if _, err := s2.Decode(dst, src); err != nil {
			return malformed("s2: %v", err)
		}
		return nil
	case CodecZstd:
		// The capacity of dst ends the output, whatever the frame states; a
		// frame that states a large window is refused by the memory limit.
		d, isDecoder := zstdDecoders.Get().(*zstd.Decoder)
		if !isDecoder {
			return invalid("no zstd decoder")
		}
		out, err := d.DecodeAll(src, dst[:0:len(dst)])
		zstdDecoders.Put(d)
		if err != nil {
			return malformed("zstd: %v", err)
		}
		if len(out) != len(dst) {
			return malformed("zstd gave %d decoded bytes, the column states %d", len(out), len(dst))
		}
		return nil
	}
	return malformed("unknown codec %d", c)
}

// grow returns b with room for n more bytes.
func grow(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	next := make([]byte, len(b), max(2*cap(b), len(b)+n))
	copy(next, b)
	return next
}
