package flink

import "encoding/binary"

// Tags of the elements in in-flight data (StreamElementSerializer). On disk.
const (
	TagTimestamped       byte = 0 // a record behind its timestamp
	TagPlain             byte = 1 // a record without
	tagWatermark         byte = 2
	tagLatency           byte = 3
	tagStatus            byte = 4
	tagAttributes        byte = 5
	tagInternalWatermark byte = 6
)

// IsElement reports whether an element of in-flight data can have this length in
// bytes, tag included, and this tag: all but records have one size
// (StreamElementSerializer).
func IsElement(size int32, tag byte) bool {
	switch tag {
	case TagTimestamped:
		return size >= 1+8
	case TagPlain:
		return size >= 1
	case tagWatermark:
		return size == 1+8
	case tagLatency:
		return size == 1+8+16+4
	case tagStatus:
		return size == 1+4
	case tagAttributes:
		return size == 1+1
	case tagInternalWatermark:
		return size == 1+4+8
	}
	return false
}

// Framer follows elements through in-flight data: each is its length and as many
// bytes (RecordWriter.serializeRecord), without regard to buffers. The zero Framer
// stands at the beginning of an element; copies go on by themselves.
type Framer struct {
	head [4]byte
	have int    // bytes of the length that were read
	left uint64 // bytes of the element that are still to come
	size int32  // of the element, if its tag is due
	data bool   // the element is a record
	// Records counts elements that have begun, Data those that have ended and are
	// records, not watermarks or the like.
	Records, Data uint64
	// Bad says that there was a length that no element has. Nothing behind it is read.
	Bad bool
	// Strict takes a tag that no element has with its length for bad too.
	Strict bool
}

// Next takes bytes up to the end of the present part of an element, its length or the
// rest, and returns how many; end says that the element ends there. It takes none if
// the framer is bad.
func (f *Framer) Next(p []byte) (n int, end bool) {
	if f.Bad || len(p) == 0 {
		return 0, false
	}
	if f.left > 0 {
		if f.size > 0 {
			f.Bad = f.Strict && !IsElement(f.size, p[0])
			if f.data, f.size = p[0] <= TagPlain, 0; f.Bad {
				return 0, false
			}
		}
		k := min(f.left, uint64(len(p)))
		if f.left -= k; f.left == 0 && f.data {
			f.Data++
		}
		return int(k), f.left == 0
	}
	k := copy(f.head[f.have:], p)
	if f.have == 0 {
		f.Records++
	}
	if f.have += k; f.have == len(f.head) {
		size := int32(binary.BigEndian.Uint32(f.head[:]))
		f.Bad = size <= 0 // an element has a tag at least
		f.left, f.have, f.size = uint64(max(size, 0)), 0, size
	}
	return k, false
}

// Write takes the next bytes. It never fails.
func (f *Framer) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 && !f.Bad {
		k, _ := f.Next(p)
		p = p[k:]
	}
	return n, nil
}

// Whole reports whether everything read so far was whole elements.
func (f *Framer) Whole() bool { return !f.Bad && f.have == 0 && f.left == 0 }
