package format

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata/v0")

// goldenRows is the number of rows of golden blocks: few enough to read.
// Compressed ones need more for anything to get shorter.
const (
	goldenRows       = 3
	goldenCompressed = 20
)

// notes are comments on bytes: at each offset a new line begins.
type notes struct {
	data []byte
	at   []int
	text []string
}

// add ends the line before and begins one with a comment.
func (n *notes) add(offset int, format string, args ...any) {
	n.at = append(n.at, offset)
	n.text = append(n.text, fmt.Sprintf(format, args...))
}

// String shows the bytes as lines of hexadecimal numbers with the comments.
func (n *notes) String() string {
	var b strings.Builder
	for i, from := range n.at {
		to := len(n.data)
		if i+1 < len(n.at) {
			to = n.at[i+1]
		}
		if from == to {
			fmt.Fprintf(&b, "%-48s # %s\n", "", n.text[i])
		}
		for at := from; at < to; at += 16 {
			part := n.data[at:min(at+16, to)]
			text := ""
			if at == from {
				text = " # " + n.text[i]
			}
			fmt.Fprintf(&b, "%s\n", strings.TrimRight(fmt.Sprintf("%-48s%s", fmt.Sprintf("% x", part), text), " "))
		}
	}
	return b.String()
}

// describe comments a block that begins at an offset of n.data.
func (n *notes) describe(t testing.TB, at int, block []byte, kind Kind) {
	t.Helper()
	d := decoder{data: block}
	n.add(at, "kind %d, %v", d.byte("kind"), kind)
	n.add(at+d.pos, "rows %d", d.uvarint("rows"))
	var lengths []uint64
	for _, col := range Columns(kind) {
		from := at + d.pos
		flags := d.byte("flags")
		text := fmt.Sprintf("column %s (%v): %v", col.Name, col.Type, Codec(flags&columnCodecMask))
		if flags&columnFixedWidth != 0 {
			text += fmt.Sprintf(", width %d", d.uvarint("width"))
		}
		length := d.uvarint("decoded")
		text += fmt.Sprintf(", %d bytes", length)
		if flags&columnCodecMask != 0 {
			length = d.uvarint("encoded")
			text += fmt.Sprintf(" compressed to %d", length)
		}
		lengths = append(lengths, length)
		n.add(from, "%s", text)
	}
	for i, col := range Columns(kind) {
		n.add(at+d.pos, "%s", col.Name)
		d.take(lengths[i], col.Name)
	}
	n.add(at+d.pos, "CRC-32C, rotated")
	must(t, d.err)
}

// goldens are the golden files by name, as bytes with comments.
func goldens(t testing.TB) map[string]*notes {
	t.Helper()
	all := make(map[string]*notes)
	for _, kind := range allKinds() {
		for _, codec := range allCodecs {
			rows := goldenRows
			if codec != CodecNone {
				rows = goldenCompressed
			}
			s := makeSample(t, kind, codec, rows, 0)
			n := &notes{data: s.data}
			n.describe(t, 0, s.data, kind)
			all[s.name] = n
		}
	}
	f := sampleObject(t, 0, 2)
	all["object"] = describeFile(t, f.data, f.blocks, f.slices)
	m := encodeManifest(t, sampleManifest(1))
	all["manifest"] = describeManifest(t, m)
	return all
}

// describeHeader comments the header of a file and returns its length.
func (n *notes) describeHeader(t testing.TB) int {
	t.Helper()
	n.add(0, "magic number")
	n.add(8, "version, revision, reader version")
	n.add(14, "length of the header")
	n.add(16, "required features")
	n.add(24, "optional features")
	n.add(32, "checkpoint")
	n.add(40, "length of the file")
	n.add(headerFixed, "writer id, name")
	length := int(n.data[14]) | int(n.data[15])<<8
	n.add(length-crcSize, "CRC-32C, rotated")
	return length
}

// describeFooter comments the footer of a file.
func (n *notes) describeFooter() {
	at := len(n.data) - FooterSize
	n.add(at, "length of the file")
	n.add(at+8, "offset of the directory")
	n.add(at+16, "length and CRC-32C of the directory")
	n.add(at+24, "decoded length and rows of the directory")
	n.add(at+32, "CRC-32C of the header")
	n.add(at+36, "magic number")
	n.add(at+44, "CRC-32C, rotated")
}

// describeFile comments a data object.
func describeFile(t testing.TB, data []byte, blocks []BlockRef, entries []Entry) *notes {
	t.Helper()
	n := &notes{data: data}
	n.describeHeader(t)
	for _, ref := range blocks {
		n.describe(t, int(ref.Offset), data[ref.Offset:ref.End()], Kind(data[ref.Offset]))
	}
	end := 0
	for _, e := range entries {
		ref := e.Slice.Ref()
		n.describe(t, int(ref.Offset), data[ref.Offset:ref.End()], KindBlockIndex)
		end = int(ref.End())
	}
	n.describe(t, end, data[end:len(data)-FooterSize], KindDirectory)
	n.describeFooter()
	return n
}

// describeManifest comments a manifest.
func describeManifest(t testing.TB, data []byte) *notes {
	t.Helper()
	m, err := OpenManifest(bytes.NewReader(data), int64(len(data)), ManifestOptions{Object: "golden"})
	must(t, err)
	n := &notes{data: data}
	end := n.describeHeader(t)
	for _, b := range m.blocks {
		n.describe(t, int(b.ref.Offset), data[b.ref.Offset:b.ref.End()], b.kind)
		end = int(b.ref.End())
	}
	n.describe(t, end, data[end:len(data)-FooterSize], KindTables)
	n.describeFooter()
	return n
}

// TestGolden compares what is written with the golden files byte by byte, and
// reads every golden file. -update rewrites them, in the same commit as
// SPEC.md.
func TestGolden(t *testing.T) {
	dir := filepath.Join("testdata", "v0")
	all := goldens(t)
	if *update {
		must(t, os.MkdirAll(dir, 0o755))
	}
	for name, want := range all {
		path := filepath.Join(dir, name+".txt")
		if *update {
			must(t, os.WriteFile(path, []byte("# "+name+", revision "+fmt.Sprint(Revision)+"\n"+want.String()), 0o644))
		}
		text, err := os.ReadFile(path)
		must(t, err)
		got, err := parseGolden(string(text))
		must(t, err)
		if strings.HasSuffix(name, "-s2") && runtime.GOARCH != "amd64" {
			sameCells(t, name, got, want.data)
		} else if !bytes.Equal(got, want.data) {
			t.Errorf("%s: the writer gives\n%v", path, want)
		}
	}
	files, err := os.ReadDir(dir)
	must(t, err)
	if len(files) != len(all) {
		t.Errorf("%d golden files, expected %d", len(files), len(all))
	}
	fmt.Printf("RESULT golden files=%d\n", len(all))
}

// sameCells requires that two blocks have the same cells. The s2 encoder of
// amd64 is written in assembly and finds other matches than the portable one;
// all other codecs give the same bytes everywhere.
func sameCells(t *testing.T, name string, a, b []byte) {
	t.Helper()
	var plain [2][]byte
	for i, data := range [][]byte{a, b} {
		ref := refOf(data, unstated, goldenCompressed)
		var block Block
		must(t, block.Decode(name, data, Kind(data[0]), ref, nil))
		var err error
		plain[i], _, err = reencode(&block, CodecNone).AppendBlock(nil)
		must(t, err)
	}
	if !bytes.Equal(plain[0], plain[1]) {
		t.Errorf("%s: other cells than the writer's", name)
	}
}

// parseGolden reads the bytes of a golden file.
func parseGolden(text string) ([]byte, error) {
	var data []byte
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		part, err := hex.DecodeString(strings.Join(strings.Fields(line), ""))
		if err != nil {
			return nil, err
		}
		data = append(data, part...)
	}
	return data, nil
}
