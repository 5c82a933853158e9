package format

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

// Version and revision of the files this package writes. SPEC.md says what each
// revision changed.
const (
	Version       = 0
	Revision      = 3
	ReaderVersion = 0 // lowest version of a reader that understands these files
	// OldestRevision is the lowest revision of version 0 that this package
	// still reads.
	OldestRevision = 2
)

// Features is a set of feature bits. A reader refuses a file with a required
// bit that it does not know and ignores optional ones.
type Features uint64

// KnownFeatures are the required features that this version understands. None
// is defined yet.
const KnownFeatures Features = 0

// fileType tells the two kinds of files apart by their magic numbers. The first
// byte is not ASCII and the line ends get damaged by transfers in text mode.
type fileType struct {
	name         string
	magic, ender [8]byte
}

// Magic numbers at the beginning and in the footer. On disk: never change.
var (
	objectFile = fileType{"data object",
		[8]byte{0x89, 'T', 'D', 'O', '\r', '\n', 0x1a, '\n'}, [8]byte{'T', 'D', 'O', 'B', 'J', 'E', 'N', 'D'}}
	manifestFile = fileType{"manifest",
		[8]byte{0x89, 'T', 'D', 'M', '\r', '\n', 0x1a, '\n'}, [8]byte{'T', 'D', 'M', 'A', 'N', 'E', 'N', 'D'}}
)

// Sizes of the fixed parts of header and footer.
const (
	headerFixed = 48 // up to the names
	FooterSize  = 48
)

// Header stands at the beginning of both kinds of files.
type Header struct {
	Required, Optional Features
	Checkpoint         uint64 // id of the checkpoint that the file was written for
	Length             uint64 // of the whole file; 0 in data objects, which are streamed
	Writer             string // WriterID of the checkpoint
	Name               string // of the object, or the path of the checkpoint, below the root
	// Revision is that of the file when it is read. Writers ignore it: they
	// write [Revision].
	Revision uint16
}

// appendHeader appends the encoded header.
func appendHeader(dst []byte, t fileType, h *Header) ([]byte, uint32, error) {
	if err := CheckName(h.Name); err != nil {
		return dst, 0, err
	}
	if err := checkText("writer id", h.Writer, MaxName); err != nil {
		return dst, 0, err
	}
	from := len(dst)
	length := headerFixed + varintLen(uint64(len(h.Writer))) + len(h.Writer) +
		varintLen(uint64(len(h.Name))) + len(h.Name) + crcSize
	dst = append(dst, t.magic[:]...)
	dst = binary.LittleEndian.AppendUint16(dst, Version)
	dst = binary.LittleEndian.AppendUint16(dst, Revision)
	dst = binary.LittleEndian.AppendUint16(dst, ReaderVersion)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(length))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.Required))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.Optional))
	dst = binary.LittleEndian.AppendUint64(dst, h.Checkpoint)
	dst = binary.LittleEndian.AppendUint64(dst, h.Length)
	dst = append(binary.AppendUvarint(dst, uint64(len(h.Writer))), h.Writer...)
	dst = append(binary.AppendUvarint(dst, uint64(len(h.Name))), h.Name...)
	dst, crc := appendChecksum(dst, from)
	return dst, crc, nil
}

// decodeHeader reads the header at the front of data, which is the first
// MaxHeader bytes of a file of the given size, or all of it. It returns the
// header's length and checksum too.
//
// Magic number, versions, length and the checksum at the end of that length
// stand where they stand in every version to come, so that a later version is
// told from damage.
func decodeHeader(data []byte, size uint64, t fileType) (h Header, length int, crc uint32, err error) {
	d := decoder{data: data}
	if uint64(len(data)) < headerFixed+2+crcSize {
		if n := min(len(data), len(t.magic)); [8]byte(append(slices.Clone(data[:n]), t.magic[n:]...)) == t.magic {
			return h, 0, 0, truncated(size, headerFixed+2+crcSize)
		}
		return h, 0, 0, malformed("%d bytes that do not begin like a %s", size, t.name)
	}
	magic := [8]byte(d.take(8, "magic"))
	version, revision, reader := d.u16("version"), d.u16("revision"), d.u16("reader version")
	want := d.u16("header length")
	if magic != t.magic {
		return h, 0, 0, checksumCause("magic number % x, a %s begins with % x", magic, t.name, t.magic)
	}
	if want < headerFixed+2+crcSize || want > MaxHeader {
		return h, 0, 0, malformed("header of %d bytes", want)
	}
	if uint64(want) > uint64(len(data)) {
		return h, 0, 0, truncated(size, uint64(want))
	}
	body, crc, stored := splitChecksum(data[:want])
	if crc != stored {
		return h, 0, 0, checksumCause("header: read %08x, expected %08x", crc, stored)
	}
	if version != Version || revision < OldestRevision || revision > Revision || reader > Version {
		return h, 0, 0, versionError(t, version, revision, reader)
	}
	h.Revision = revision
	d.data = body
	h.Required, h.Optional = Features(d.u64("required features")), Features(d.u64("optional features"))
	h.Checkpoint, h.Length = d.u64("checkpoint"), d.u64("length")
	h.Writer, h.Name = string(d.bytes(MaxName, "writer id")), string(d.bytes(MaxName, "name"))
	if err := d.end("header"); err != nil {
		return h, 0, 0, err
	}
	if unknown := h.Required &^ KnownFeatures; unknown != 0 {
		return h, 0, 0, tooNew("%s needs the features %#x, which this version does not know", t.name, uint64(unknown))
	}
	if err := CheckName(h.Name); err != nil {
		return h, 0, 0, malformed("%v", err)
	}
	if err := checkText("writer id", h.Writer, MaxName); err != nil {
		return h, 0, 0, malformed("%v", err)
	}
	return h, int(want), crc, nil
}

// footer ends both kinds of files. It has a fixed size and is found from the
// end of the file.
type footer struct {
	length       uint64 // of the whole file
	directory    uint64 // offset of the directory block
	directoryLen uint32
	directoryCRC uint32
	decoded      uint32 // decoded length of the directory block
	rows         uint32 // of the directory block
	headerCRC    uint32
}

// appendFooter appends the encoded footer and returns its checksum.
func appendFooter(dst []byte, t fileType, f *footer) ([]byte, uint32) {
	from := len(dst)
	dst = binary.LittleEndian.AppendUint64(dst, f.length)
	dst = binary.LittleEndian.AppendUint64(dst, f.directory)
	dst = binary.LittleEndian.AppendUint32(dst, f.directoryLen)
	dst = binary.LittleEndian.AppendUint32(dst, f.directoryCRC)
	dst = binary.LittleEndian.AppendUint32(dst, f.decoded)
	dst = binary.LittleEndian.AppendUint32(dst, f.rows)
	dst = binary.LittleEndian.AppendUint32(dst, f.headerCRC)
	dst = append(dst, t.ender[:]...)
	return appendChecksum(dst, from)
}

// decodeFooter reads the footer of a file of the given size.
func decodeFooter(data []byte, size uint64, t fileType) (f footer, crc uint32, err error) {
	d := decoder{data: data}
	f = footer{length: d.u64("length"), directory: d.u64("directory"), directoryLen: d.u32("directory length"),
		directoryCRC: d.u32("directory checksum"), decoded: d.u32("decoded length"), rows: d.u32("rows"),
		headerCRC: d.u32("header checksum")}
	ender := d.take(8, "magic")
	if d.err != nil {
		return f, 0, d.err
	}
	if distance(ender, t.ender[:]) > maxMagicDamage {
		return f, 0, truncatedEnd(t)
	}
	_, crc, stored := splitChecksum(data)
	switch {
	case crc != stored:
		err = checksumCause("footer: read %08x, expected %08x", crc, stored)
	case [8]byte(ender) != t.ender:
		err = malformed("magic number % x at the end", ender)
	case f.length != size:
		err = malformed("the footer states %d bytes, the file has %d", f.length, size)
	case f.directory > size-FooterSize || uint64(f.directoryLen) != size-FooterSize-f.directory:
		err = malformed("directory of %d bytes at %d does not end at the footer of a file of %d",
			f.directoryLen, f.directory, size)
	}
	return f, crc, err
}

// maxMagicDamage is how many bits of the magic number in the footer may differ
// for the footer to count as damaged. If more do, there is no footer: the file
// was cut.
const maxMagicDamage = 8

// distance is the number of bits in which a and b, of equal length, differ.
func distance(a, b []byte) int {
	n := 0
	for i := range a {
		n += bits.OnesCount8(a[i] ^ b[i])
	}
	return n
}
