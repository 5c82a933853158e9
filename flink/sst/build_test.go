package sst

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/zeebo/xxh3"
)

// item is an entry of a table under construction.
type item struct {
	key   string
	seq   uint64
	kind  byte
	value string
}

// builder makes tables as RocksDB does, for the tests.
type builder struct {
	out         bytes.Buffer
	sum         byte
	compression byte
	delta       bool
	twoLevel    bool
	perBlock    int
}

func internalKey(user string, seq uint64, kind byte) []byte {
	return binary.LittleEndian.AppendUint64([]byte(user), seq<<8|uint64(kind))
}

// block encodes entries without shared prefixes but for the delta index.
func encodeBlock(keys, values [][]byte) []byte {
	var b []byte
	for i := range keys {
		b = binary.AppendUvarint(b, 0)
		b = binary.AppendUvarint(b, uint64(len(keys[i])))
		b = binary.AppendUvarint(b, uint64(len(values[i])))
		b = append(append(b, keys[i]...), values[i]...)
	}
	return append(b, 0, 0, 0, 0, 1, 0, 0, 0)
}

// encodeIndex encodes handles, all but the first as differences if delta is set.
func encodeIndex(keys [][]byte, handles []handle, delta bool) []byte {
	if !delta {
		values := make([][]byte, len(handles))
		for i, h := range handles {
			values[i] = appendHandle(nil, h)
		}
		return encodeBlock(keys, values)
	}
	var b []byte
	for i, h := range handles {
		shared := 0
		if i > 0 {
			for shared < len(keys[i]) && shared < len(keys[i-1]) && keys[i][shared] == keys[i-1][shared] {
				shared++
			}
		}
		b = binary.AppendUvarint(b, uint64(shared))
		b = binary.AppendUvarint(b, uint64(len(keys[i])-shared))
		b = append(b, keys[i][shared:]...)
		if shared == 0 {
			b = appendHandle(b, h)
		} else {
			b = binary.AppendVarint(b, int64(h.size)-int64(handles[i-1].size))
		}
	}
	return append(b, 0, 0, 0, 0, 1, 0, 0, 0)
}

func appendHandle(b []byte, h handle) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(b, h.offset), h.size)
}

// write adds a block with its trailer.
func (w *builder) write(t testing.TB, b []byte, compression byte) handle {
	t.Helper()
	body := b
	switch compression {
	case snappyBlock:
		body = snappy.Encode(nil, b)
	case lz4Block:
		packed := make([]byte, lz4.CompressBlockBound(len(b)))
		n, err := lz4.CompressBlock(b, packed, nil)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			compression = plainBlock
			break
		}
		body = append(binary.AppendUvarint(nil, uint64(len(b))), packed[:n]...)
	case zstdBlock:
		e, err := zstd.NewWriter(nil)
		if err != nil {
			t.Fatal(err)
		}
		body = e.EncodeAll(b, binary.AppendUvarint(nil, uint64(len(b))))
	}
	h := handle{uint64(w.out.Len()), uint64(len(body))}
	w.out.Write(body)
	w.out.WriteByte(compression)
	summed := append(bytes.Clone(body), compression)
	var sum uint32
	switch w.sum {
	case sumCRC:
		sum = maskedCRC(summed)
	case sumXXH64:
		sum = uint32(xxhash.Sum64(summed))
	case sumXXH3:
		sum = uint32(xxh3.Hash(body)) ^ uint32(compression)*0x6b9083d9
	}
	w.out.Write(binary.LittleEndian.AppendUint32(nil, sum))
	return h
}

// build makes a table of entries in order; range tombstones have kindRangeDelete
// and their end as value.
func (w *builder) build(t testing.TB, items []item) []byte {
	t.Helper()
	var indexKeys, keys, values, rangeKeys, rangeEnds [][]byte
	var indexHandles []handle
	flush := func() {
		if len(keys) > 0 {
			indexHandles = append(indexHandles, w.write(t, encodeBlock(keys, values), w.compression))
			indexKeys = append(indexKeys, keys[len(keys)-1])
			keys, values = nil, nil
		}
	}
	for _, i := range items {
		if i.kind == kindRangeDelete {
			rangeKeys, rangeEnds = append(rangeKeys, internalKey(i.key, i.seq, i.kind)), append(rangeEnds, []byte(i.value))
			continue
		}
		keys, values = append(keys, internalKey(i.key, i.seq, i.kind)), append(values, []byte(i.value))
		if len(keys) == w.perBlock {
			flush()
		}
	}
	flush()
	index := w.write(t, encodeIndex(indexKeys, indexHandles, w.delta), plainBlock)
	kind := byte(indexBinary)
	if w.twoLevel {
		index = w.write(t, encodeIndex([][]byte{internalKey("zzz", 0, 1)}, []handle{index}, w.delta), plainBlock)
		kind = indexTwoLevel
	}
	var metaKeys, metaValues [][]byte
	add := func(name string, h handle) {
		metaKeys, metaValues = append(metaKeys, []byte(name)), append(metaValues, appendHandle(nil, h))
	}
	deltaValue := []byte{0}
	if w.delta {
		deltaValue[0] = 1
	}
	add(metaProperties, w.write(t, encodeBlock([][]byte{[]byte(propIndexType), []byte(propComparator), []byte(propIndexDelta)},
		[][]byte{{kind, 0, 0, 0}, []byte(byteOrder), deltaValue}), plainBlock))
	if len(rangeKeys) > 0 {
		add(metaRangeDelete, w.write(t, encodeBlock(rangeKeys, rangeEnds), plainBlock))
	}
	meta := w.write(t, encodeBlock(metaKeys, metaValues), plainBlock)
	foot := appendHandle(appendHandle([]byte{w.sum}, meta), index)
	foot = append(foot, make([]byte, 1+handleSpace-len(foot))...)
	foot = binary.LittleEndian.AppendUint32(foot, 5)
	w.out.Write(binary.LittleEndian.AppendUint64(foot, tableMagic))
	return w.out.Bytes()
}
