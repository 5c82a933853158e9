package format

import (
	"fmt"
	"io"
)

// openHeader and openFooter are decoded together with where they stood.
type openHeader struct {
	Header
	length int
}

type openFooter struct {
	footer
	crc uint32
}

// ref describes the directory block.
func (f *openFooter) ref() BlockRef {
	return BlockRef{Offset: f.directory, Length: f.directoryLen, CRC: f.directoryCRC, Decoded: f.decoded, Rows: f.rows}
}

// openFile reads header and footer of a file of size bytes and compares them.
func openFile(r io.ReaderAt, size int64, t fileType, object string) (openHeader, openFooter, error) {
	var h openHeader
	var f openFooter
	if size < 0 {
		return h, f, invalid("%s: size %d", object, size)
	}
	// The header's length is not known yet; it has at most MaxHeader bytes,
	// and one read of as many is as quick as one of fewer.
	head := make([]byte, min(size, MaxHeader))
	if err := readFull(r, head, object, "header", 0); err != nil {
		return h, f, err
	}
	var headerCRC uint32
	var err error
	if h.Header, h.length, headerCRC, err = decodeHeader(head, uint64(size), t); err != nil {
		return h, f, &CorruptError{object, 0, "header", err}
	}
	// A manifest knows its length from the beginning, so a cut is recognised
	// for certain. A data object does not; there the footer tells.
	if h.Length > uint64(size) {
		return h, f, &CorruptError{object, size, "end", truncated(uint64(size), h.Length)}
	}
	if size < int64(h.length)+FooterSize {
		return h, f, &CorruptError{object, size, "end", truncated(uint64(size), uint64(h.length)+FooterSize)}
	}
	tail := make([]byte, FooterSize)
	if err := readFull(r, tail, object, "footer", size-FooterSize); err != nil {
		return h, f, err
	}
	f.footer, f.crc, err = decodeFooter(tail, uint64(size), t)
	// Header and footer must be of one file: each is intact by itself also if
	// one of them is a lost write of an older generation.
	if err == nil && f.headerCRC != headerCRC {
		err = checksumCause("the footer belongs to a header with checksum %08x, not %08x", f.headerCRC, headerCRC)
	}
	if err != nil {
		return h, f, &CorruptError{object, size - FooterSize, "footer", err}
	}
	return h, f, nil
}

// readBlock reads the bytes of a block. Its length is compared with the limit
// first; no compression makes a block longer than its decoded length by more
// than the header of its columns.
func readBlock(r io.ReaderAt, object string, kind Kind, ref BlockRef, lim *Limits) ([]byte, error) {
	if uint64(ref.Length) > lim.Block+MaxHeader {
		err := overLimit("encoded length", uint64(ref.Length), lim.Block+MaxHeader)
		return nil, &CorruptError{object, int64(ref.Offset), kind.String() + " block", err}
	}
	data := make([]byte, ref.Length)
	if err := readFull(r, data, object, kind.String()+" block", int64(ref.Offset)); err != nil {
		return nil, err
	}
	return data, nil
}

// rowUnit names a row in an error.
func rowUnit(kind Kind, row int) string { return fmt.Sprintf("%v row %d", kind, row) }
