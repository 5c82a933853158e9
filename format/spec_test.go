package format

import (
	"encoding/binary"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// specTable reads the table of SPEC.md behind the comment "table: name", cell
// by cell, without back-quotes.
func specTable(t *testing.T, name string) [][]string {
	t.Helper()
	text, err := os.ReadFile("SPEC.md")
	must(t, err)
	_, rest, found := strings.Cut(string(text), "<!-- table: "+name+" -->\n")
	if !found {
		t.Fatalf("SPEC.md has no table %q", name)
	}
	var rows [][]string
	for line := range strings.Lines(strings.TrimLeft(rest, "\n")) {
		if !strings.HasPrefix(line, "|") {
			break
		}
		var cells []string
		for cell := range strings.SplitSeq(strings.Trim(strings.TrimSpace(line), "|"), "|") {
			cells = append(cells, strings.ReplaceAll(strings.TrimSpace(cell), "`", ""))
		}
		rows = append(rows, cells)
	}
	if len(rows) < 3 {
		t.Fatalf("table %q of SPEC.md has %d lines", name, len(rows))
	}
	return rows[2:] // without the head and the line below it
}

// prefix cuts each row to its first n cells: the rest is explanation.
func prefix(rows [][]string, n int) [][]string {
	var out [][]string
	for _, row := range rows {
		out = append(out, row[:min(n, len(row))])
	}
	return out
}

// enum lists numbered constants as rows of number and name.
func enum[T ~uint8](values []T, name func(T) string) [][]string {
	var rows [][]string
	for _, v := range values {
		rows = append(rows, []string{strconv.Itoa(int(v)), name(v)})
	}
	return rows
}

// codeTables are the tables of SPEC.md as the code has them.
func codeTables() map[string][][]string {
	var columns [][]string
	for _, kind := range allKinds() {
		for i, c := range Columns(kind) {
			columns = append(columns, []string{kind.String(), strconv.Itoa(i), c.Name, c.Type.String()})
		}
	}
	var types [][]string
	for t := TypeBool; t <= TypeOpaque; t++ {
		width := "-"
		if n := t.Width(); n > 0 {
			width = strconv.Itoa(n)
		}
		types = append(types, []string{strconv.Itoa(int(t)), t.String(), width})
	}
	lim := reflect.ValueOf(DefaultLimits())
	var limits [][]string
	for i := range lim.NumField() {
		limits = append(limits, []string{lim.Type().Field(i).Name, strconv.FormatUint(lim.Field(i).Uint(), 10)})
	}
	number := func(name string, v uint64) []string { return []string{name, strconv.FormatUint(v, 10)} }
	hex := func(name string, v uint64) []string { return []string{fmt.Sprintf("%#02x", v), name} }
	return map[string][][]string{
		"versions": {number("version", Version), number("revision", Revision), number("oldest revision", OldestRevision), number("reader version", ReaderVersion)},
		"magic": {
			{objectFile.name, fmt.Sprintf("% x", objectFile.magic), fmt.Sprintf("% x", objectFile.ender)},
			{manifestFile.name, fmt.Sprintf("% x", manifestFile.magic), fmt.Sprintf("% x", manifestFile.ender)}},
		"bounds": {number("MaxHeader", MaxHeader), number("MaxFooter", MaxFooter), number("FooterSize", FooterSize),
			number("MaxName", MaxName), number("MaxSegments", MaxSegments), number("MaxText", MaxText),
			number("MaxNesting", MaxNesting), number("MaxFields", MaxFields), number("BlockTarget", BlockTarget),
			number("TableBlock", TableBlock), number("crcRotation", crcRotation)},
		"kinds":       enum(allKinds(), Kind.String),
		"columns":     columns,
		"codecs":      enum(allCodecs, Codec.String),
		"columntypes": enum([]ColumnType{ColByte, ColUvarint, ColZigzag, ColDelta, ColFixed32, ColFixed64, ColBytes}, ColumnType.String),
		"flags":       {hex("codec", columnCodecMask), hex("fixed width", columnFixedWidth)},
		"tags":        {hex("element", frameElement), hex("hash", frameHash), hex("time", frameTime), hex("no key", frameNoKey)},
		"types":       types,
		"limits":      limits,
		"elements": {{strconv.Itoa(int(ElementRecord)), "record"}, {strconv.Itoa(int(ElementWatermark)), "watermark"},
			{strconv.Itoa(int(ElementStatus)), "status"}},
		"statuses":    {{strconv.Itoa(int(StatusActive)), "active"}, {strconv.Itoa(int(StatusIdle)), "idle"}},
		"checkpoints": {{strconv.Itoa(int(Checkpoint)), "checkpoint"}, {strconv.Itoa(int(Savepoint)), "savepoint"}},
		"partitioners": {{strconv.Itoa(int(Forward)), "forward"}, {strconv.Itoa(int(Keyed)), "keyed"},
			{strconv.Itoa(int(Rebalance)), "rebalance"}, {strconv.Itoa(int(Shuffle)), "shuffle"},
			{strconv.Itoa(int(Global)), "global"}, {strconv.Itoa(int(Rescale)), "rescale"},
			{strconv.Itoa(int(Broadcast)), "broadcast"}, {strconv.Itoa(int(Custom)), "custom"}},
		"alignments": {{strconv.Itoa(int(Chained)), "chained"}, {strconv.Itoa(int(Aligned)), "aligned"},
			{strconv.Itoa(int(Unaligned)), "unaligned"}, {strconv.Itoa(int(Mixed)), "mixed"}},
		"reasons": {{strconv.Itoa(int(NoReason)), "none"}, {strconv.Itoa(int(ReasonOff)), "off"}, {strconv.Itoa(int(ReasonPointwise)), "pointwise"},
			{strconv.Itoa(int(ReasonBroadcast)), "broadcast"}, {strconv.Itoa(int(ReasonCustom)), "custom-partitioner"},
			{strconv.Itoa(int(ReasonParallelism)), "parallelism"}},
	}
}

// TestSpecMatchesCode compares the tables of SPEC.md with the constants.
func TestSpecMatchesCode(t *testing.T) {
	cells := 0
	for name, want := range codeTables() {
		got := prefix(specTable(t, name), len(want[0]))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("table %q (-code +SPEC.md):\n%s", name, diff)
		}
		cells += len(want) * len(want[0])
	}
	fmt.Printf("RESULT spec tables=%d cells=%d\n", len(codeTables())+2, cells)
}

// TestSpecLayouts reads header and footer at the offsets that SPEC.md states.
func TestSpecLayouts(t *testing.T) {
	h := Header{Required: 0x1122334455667788, Optional: 0x99aabbccddeeff00, Checkpoint: 0x0102030405060708,
		Length: 0x1112131415161718, Writer: "w", Name: "chk-7"}
	head, crc, err := appendHeader(nil, manifestFile, &h)
	must(t, err)
	layout(t, "header", head, map[string]uint64{"magic": binary.LittleEndian.Uint64(manifestFile.magic[:]),
		"version": Version, "revision": Revision, "reader version": ReaderVersion, "header length": uint64(len(head)),
		"required features": uint64(h.Required), "optional features": uint64(h.Optional),
		"checkpoint": h.Checkpoint, "file length": h.Length})
	_, sum, stored := splitChecksum(head)
	if crc != sum || crc != stored {
		t.Errorf("header checksum %08x, %08x, %08x", crc, sum, stored)
	}
	f := footer{length: 0x0102030405060708, directory: 0x1112131415161718, directoryLen: 0x21222324,
		directoryCRC: 0x31323334, decoded: 0x41424344, rows: 0x51525354, headerCRC: 0x61626364}
	foot, crc := appendFooter(nil, objectFile, &f)
	layout(t, "footer", foot, map[string]uint64{"file length": f.length, "directory offset": f.directory,
		"directory length": uint64(f.directoryLen), "directory checksum": uint64(f.directoryCRC),
		"directory decoded": uint64(f.decoded), "directory rows": uint64(f.rows),
		"header checksum": uint64(f.headerCRC), "magic": binary.LittleEndian.Uint64(objectFile.ender[:]),
		"checksum": uint64(crc<<crcRotation | crc>>(32-crcRotation))})
	if len(foot) != FooterSize {
		t.Errorf("footer of %d bytes", len(foot))
	}
}

// layout compares the fields of fixed width of a table of SPEC.md.
func layout(t *testing.T, name string, data []byte, want map[string]uint64) {
	t.Helper()
	var found []string
	at := 0
	for _, row := range specTable(t, name) {
		offset, err := strconv.Atoi(row[0])
		width, err2 := strconv.Atoi(row[1])
		if err != nil || err2 != nil {
			continue // of variable width
		}
		if offset != at {
			t.Errorf("%s: field %q at %d, the one before ends at %d", name, row[2], offset, at)
		}
		at = offset + width
		var b [8]byte
		copy(b[:], data[offset:offset+width])
		if got := binary.LittleEndian.Uint64(b[:]); got != want[row[2]] {
			t.Errorf("%s: field %q at %d is %#x, expected %#x", name, row[2], offset, got, want[row[2]])
		}
		found = append(found, row[2])
	}
	for field := range want {
		if !slices.Contains(found, field) {
			t.Errorf("%s: SPEC.md does not mention %q", name, field)
		}
	}
}

// TestSpecExample compares the worked examples of SPEC.md with what the code
// writes.
func TestSpecExample(t *testing.T) {
	text, err := os.ReadFile("SPEC.md")
	must(t, err)
	flight := &Schema{Type: TypeStruct, Name: "Flight", Fields: []Field{{"origin", of(TypeString)}, {"seats", of(TypeUint16)}}}
	schema, err := AppendSchema(nil, flight)
	must(t, err)
	value, err := ParseText(nil, flight, `{"origin":"ATL","seats":180}`)
	must(t, err)
	frame, err := AppendFrame(nil, &Frame{Element: ElementRecord, HasTime: true, Time: 1000, Payload: value})
	must(t, err)
	for name, want := range map[string][]byte{
		"block": makeSample(t, KindKeyed, CodecNone, goldenRows, 0).data, "schema": schema, "frame": frame,
	} {
		_, rest, found := strings.Cut(string(text), "<!-- example: "+name+" -->\n```\n")
		if !found {
			t.Fatalf("SPEC.md has no example %q", name)
		}
		example, _, _ := strings.Cut(rest, "```")
		data, err := parseGolden(example)
		must(t, err)
		if !slices.Equal(data, want) {
			t.Errorf("the example %q is % x, the code writes % x", name, data, want)
		}
	}
}
