package format

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"

	"github.com/klauspost/compress/s2"
)

// forgedColumn is a column as a hostile writer states it.
type forgedColumn struct {
	flags          byte
	width          uint64 // if flags say so
	plain, encoded uint64 // lengths that are stated; encoded only with a codec
	data           []byte
}

// forge makes a block with a right checksum around whatever is stated.
func forge(kind Kind, rows uint64, columns ...forgedColumn) []byte {
	data := []byte{byte(kind)}
	data = binary.AppendUvarint(data, rows)
	for _, c := range columns {
		data = append(data, c.flags)
		if c.flags&columnFixedWidth != 0 {
			data = binary.AppendUvarint(data, c.width)
		}
		data = binary.AppendUvarint(data, c.plain)
		if c.flags&columnCodecMask != 0 {
			data = binary.AppendUvarint(data, c.encoded)
		}
	}
	for _, c := range columns {
		data = append(data, c.data...)
	}
	return seal(data)
}

// seal appends the checksum.
func seal(data []byte) []byte {
	data, _ = appendChecksum(data, 0)
	return data
}

// refOf states what a parent would, with the given decoded length and rows.
func refOf(block []byte, decoded, rows uint64) BlockRef {
	ref := BlockRef{Length: uint32(len(block)), CRC: Checksum(block[:len(block)-crcSize])}
	ref.Decoded = uint32(min(decoded, math.MaxUint32))
	ref.Rows = uint32(min(rows, math.MaxUint32))
	return ref
}

// compressed is a compressed run of zeros.
func compressed(t testing.TB, codec Codec, n int) []byte {
	t.Helper()
	zeros := make([]byte, n)
	if codec == CodecS2 {
		return s2.Encode(nil, zeros)
	}
	out, ok, err := codec.compress(nil, zeros)
	if err != nil || !ok {
		t.Fatalf("compress zeros: %v, %v", ok, err)
	}
	return out
}

// resealManifest applies a change to the parsed parts of a manifest and puts it
// together again with right checksums.
type forgedManifest struct {
	header Header
	blocks []forgedTable
	// tables changes the rows of the directory, footer the footer, both
	// before they are encoded.
	tables func(rows []tableRow) []tableRow
	footer func(f *footer)
	head   func(encoded []byte) []byte // changes the encoded header without its checksum
	rawDir []byte                      // replaces the directory block
}

// forgedTable is one block of a manifest.
type forgedTable struct {
	row  tableRow
	data []byte
}

// forgeable splits an intact manifest into its parts.
func forgeable(t testing.TB, data []byte) *forgedManifest {
	t.Helper()
	m, err := OpenManifest(bytes.NewReader(data), int64(len(data)), ManifestOptions{Object: "MANIFEST"})
	must(t, err)
	f := &forgedManifest{header: m.Header}
	for _, row := range m.blocks {
		f.blocks = append(f.blocks, forgedTable{row, data[row.ref.Offset:row.ref.End()]})
	}
	return f
}

// replace exchanges the blocks of one table for one block.
func (f *forgedManifest) replace(kind Kind, block []byte, rows int, decoded uint64) {
	for i := range f.blocks {
		b := &f.blocks[i]
		if b.row.kind != kind {
			continue
		}
		b.data = block
		first, last := b.row.first, b.row.first+uint64(rows)-1
		if kind == KindSlices {
			last = b.row.last
		}
		b.row = tableRow{kind: kind, ref: refOf(block, decoded, uint64(rows)), first: first, last: last}
	}
}

// bytes puts the manifest together.
func (f *forgedManifest) bytes(t testing.TB) []byte {
	t.Helper()
	build := func(length uint64) ([]byte, uint32) {
		h := f.header
		h.Length = length
		head, crc, err := appendHeader(nil, manifestFile, &h)
		must(t, err)
		if f.head != nil {
			head = seal(f.head(head[:len(head)-crcSize]))
			_, crc, _ = splitChecksum(head)
		}
		return head, crc
	}
	head, _ := build(0)
	data := bytes.Clone(head)
	var rows []tableRow
	for _, b := range f.blocks {
		b.row.ref.Offset = uint64(len(data))
		data = append(data, b.data...)
		rows = append(rows, b.row)
	}
	at := uint64(len(data))
	if f.tables != nil {
		rows = f.tables(rows)
	}
	w := manifestWriter{dst: data, blocks: rows}
	foot, err := w.directory()
	must(t, err)
	if f.rawDir != nil {
		w.dst = append(w.dst[:at], f.rawDir...)
		ref := refOf(f.rawDir, 100, 5)
		foot.directoryLen, foot.directoryCRC, foot.decoded, foot.rows = ref.Length, ref.CRC, ref.Decoded, ref.Rows
	}
	foot.length = uint64(len(w.dst)) + FooterSize
	head, foot.headerCRC = build(foot.length)
	copy(w.dst, head)
	if f.footer != nil {
		f.footer(&foot)
	}
	out, _ := appendFooter(w.dst, manifestFile, &foot)
	return out
}
