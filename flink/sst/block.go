package sst

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/zeebo/xxh3"

	"github.com/tidemark-io/tidemark/flink/wire"
)

// Kinds of checksums and compression. They are on disk: never change.
const (
	sumNone  byte = 0
	sumCRC   byte = 1
	sumXXH64 byte = 3
	sumXXH3  byte = 4

	plainBlock  byte = 0
	snappyBlock byte = 1
	lz4Block    byte = 4
	lz4hcBlock  byte = 5
	zstdBlock   byte = 7
)

// trailerSize is what follows a block: its compression and its checksum.
const trailerSize = 5

// maxBlock bounds the bytes of a block, stored and decompressed.
const maxBlock = 64 << 20

// handle is where a block lies, without its trailer.
type handle struct{ offset, size uint64 }

// file is an open table's source.
type file struct {
	object string
	data   io.ReaderAt
	size   int64
	sum    byte
	zstd   *zstd.Decoder
}

// bad is an error at an offset of the file.
func (f *file) bad(offset uint64, what string, err error) error {
	return &wire.Error{Object: f.object, Offset: int64(offset), What: what, Err: err}
}

// block reads a block, checks it and returns its decompressed bytes.
func (f *file) block(h handle, what string) ([]byte, error) {
	switch {
	case h.size > maxBlock:
		return nil, f.bad(h.offset, what, wire.OverLimit(h.size, maxBlock))
	case h.offset > uint64(f.size) || h.size+trailerSize > uint64(f.size)-h.offset:
		return nil, f.bad(h.offset, what, wire.Malformed("a block of %d bytes, the file has %d", h.size, f.size))
	}
	b := make([]byte, h.size+trailerSize)
	if _, err := f.data.ReadAt(b, int64(h.offset)); err != nil {
		return nil, f.bad(h.offset, what, err)
	}
	if err := f.check(b); err != nil {
		return nil, f.bad(h.offset, what, err)
	}
	out, err := f.decompress(b[:h.size:h.size], b[h.size])
	if err != nil {
		return nil, f.bad(h.offset, what, err)
	}
	return out, nil
}

// check compares a block's checksum, which covers the bytes and their compression.
func (f *file) check(b []byte) error {
	n := len(b) - 4
	want := binary.LittleEndian.Uint32(b[n:])
	var got uint32
	switch f.sum {
	case sumNone:
		return nil
	case sumCRC:
		got = maskedCRC(b[:n])
	case sumXXH64:
		got = uint32(xxhash.Sum64(b[:n]))
	case sumXXH3:
		// The last byte is not hashed but multiplied into the sum.
		got = uint32(xxh3.Hash(b[:n-1])) ^ uint32(b[n-1])*0x6b9083d9
	default:
		return wire.Unsupported("checksums of kind %d", f.sum)
	}
	if got != want {
		return wire.Malformed("checksum %08x, stored %08x", got, want)
	}
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// maskedCRC is RocksDB's CRC-32C: rotated and shifted, so that sums of sums differ.
func maskedCRC(b []byte) uint32 {
	crc := crc32.Checksum(b, castagnoli)
	return (crc>>15 | crc<<17) + 0xa282ead8
}

// decompress returns a block's bytes. All but snappy have their decompressed
// length in front.
func (f *file) decompress(b []byte, kind byte) ([]byte, error) {
	switch kind {
	case plainBlock:
		return b, nil
	case snappyBlock:
		n, err := snappy.DecodedLen(b)
		if err != nil || n > maxBlock {
			return nil, wire.Malformed("snappy block of %d decompressed bytes: %v", n, err)
		}
		out, err := snappy.Decode(nil, b)
		if err != nil {
			return nil, wire.Malformed("%v", err)
		}
		return out, nil
	case lz4Block, lz4hcBlock, zstdBlock:
	default:
		return nil, wire.Unsupported("compression of kind %d", kind)
	}
	n, used := binary.Uvarint(b)
	if used <= 0 || n > maxBlock {
		return nil, wire.Malformed("a block of %d decompressed bytes", n)
	}
	b = b[used:]
	if kind == zstdBlock {
		return f.unzstd(b, n)
	}
	if n/256 > uint64(len(b)) { // lz4 cannot do better
		return nil, wire.Malformed("%d bytes cannot become %d", len(b), n)
	}
	out := make([]byte, n)
	got, err := lz4.UncompressBlock(b, out)
	if err != nil || uint64(got) != n {
		return nil, wire.Malformed("lz4 gave %d bytes of %d: %v", got, n, err)
	}
	return out, nil
}

func (f *file) unzstd(b []byte, n uint64) ([]byte, error) {
	if f.zstd == nil {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxBlock), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, fmt.Errorf("zstd: %w", err)
		}
		f.zstd = d
	}
	out, err := f.zstd.DecodeAll(b, nil)
	if err != nil || uint64(len(out)) != n {
		return nil, wire.Malformed("zstd gave %d bytes of %d: %v", len(out), n, err)
	}
	return out, nil
}

// blockReader goes through the entries of a block, whose keys share a prefix with
// the one before. In delta indexes there is no length of values.
type blockReader struct {
	data  []byte // without the restart points
	pos   int
	key   []byte // valid until the next step
	value []byte // aliases data
	delta bool
	// shared says that the last key shared bytes with the one before.
	shared bool
}

// newBlockReader takes off the restart points at the end of a block.
func newBlockReader(b []byte, delta bool) (*blockReader, error) {
	if len(b) < 4 {
		return nil, wire.Malformed("a block of %d bytes", len(b))
	}
	n := binary.LittleEndian.Uint32(b[len(b)-4:])
	end := uint64(len(b) - 4)
	if n>>31 != 0 { // a hash index lies between the entries' restart points and their number
		n &= 1<<31 - 1
		if end < 2 {
			return nil, wire.Malformed("a block of %d bytes", len(b))
		}
		end -= 2
		buckets := uint64(binary.LittleEndian.Uint16(b[end:]))
		if buckets > end {
			return nil, wire.Malformed("a hash index of %d in a block of %d bytes", buckets, len(b))
		}
		end -= buckets
	}
	if uint64(n)*4 > end {
		return nil, wire.Malformed("%d restart points in a block of %d bytes", n, len(b))
	}
	return &blockReader{data: b[:end-uint64(n)*4], delta: delta}, nil
}

// next steps to the next entry. It returns false at the end and on an error.
func (r *blockReader) next() (bool, error) {
	if r.pos >= len(r.data) {
		return false, nil
	}
	shared, err := r.number()
	if err != nil {
		return false, err
	}
	rest, err := r.number()
	if err != nil {
		return false, err
	}
	var size uint64
	if !r.delta {
		if size, err = r.number(); err != nil {
			return false, err
		}
	}
	left := uint64(len(r.data) - r.pos)
	if shared > uint64(len(r.key)) || rest > left || size > left-rest {
		return false, wire.Malformed("an entry at %d of the block with %d+%d bytes of key and %d of value", r.pos, shared, rest, size)
	}
	r.shared = shared > 0
	r.key = append(r.key[:shared], r.data[r.pos:r.pos+int(rest)]...)
	r.pos += int(rest)
	r.value = r.data[r.pos : r.pos+int(size)]
	r.pos += int(size)
	return true, nil
}

func (r *blockReader) number() (uint64, error) {
	v, n := binary.Uvarint(r.data[r.pos:])
	if n <= 0 {
		return 0, wire.Malformed("no number at %d of the block", r.pos)
	}
	r.pos += n
	return v, nil
}
