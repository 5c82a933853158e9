package format

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/keygroup"
)

// hostileNames may not name an object.
var hostileNames = []string{
	"", ".", "..", "../x", "/etc/passwd", "chk-7/../../b", "chk-7//b", "./chk-7/a", "chk-7/./a", "chk-7/a/", "chk-7/",
	`chk-7\b`, `c:\x`, "CON", "chk-7/con", "chk-7/nul.dat", "chk-7/com1.data", "chk-7/A", "chk-7/a.", "chk-7/a ", "chk-7/MANIFEST",
	"chk-7/" + strings.Repeat("a", 507), "chk-7/" + strings.Repeat("a/", 16) + "a", "chk-7/a\x00", "chk-7/a\n", "chk-7/\x1b[31m",
	"chk-7/\xff\xfe", "chk-7/\u00e4", "chk-8/data-0", "chk-70/data-0", "data-0", "gs://bucket/x", "https://user:pass@host/x", "shared",
	"sharedx/a", "chk-7/a:b", "chk-7/~", "chk-7/%2e%2e/a",
}

func TestCheckName(t *testing.T) {
	good := []string{"a", "chk-7/data-0", "shared/00/ab.data", "a.b_c-d", "..a", "chk-7/...a", strings.Repeat("a", 512), "console", "com10", "x/" + strings.Repeat("a/", 13) + "b"}
	for _, name := range good {
		if err := CheckName(name); err != nil {
			t.Errorf("CheckName(%q) = %v", name, err)
		}
	}
	// Some hostile names are names, but not of an object of this checkpoint.
	names := []string{"chk-8/data-0", "chk-70/data-0", "data-0", "shared", "sharedx/a"}
	for _, name := range hostileNames {
		if err := CheckName(name); (err == nil) != slices.Contains(names, name) {
			t.Errorf("CheckName(%q) = %v", name, err)
		}
	}
}

// hostile is a change that makes a manifest break a rule. The file around it
// has right checksums.
type hostile struct {
	name   string
	change func(m *Manifest)
}

// hostileRows break rules of one table each.
func hostileRows() []hostile {
	wide := keygroup.Interval{Lo: 0, Hi: 1<<32 + 1}
	return []hostile{
		{"id 0", func(m *Manifest) { m.Summary.ID, m.Summary.Parent = 0, 0 }},
		{"parent of itself", func(m *Manifest) { m.Summary.Parent = 7 }},
		{"parent in the future", func(m *Manifest) { m.Summary.Parent = 8 }},
		{"parent's directory is its own", func(m *Manifest) { m.Summary.ParentDir = "chk-7" }},
		{"parent's directory outside", func(m *Manifest) { m.Summary.ParentDir = "../chk-6" }},
		{"kind 0", func(m *Manifest) { m.Summary.Kind = 0 }},
		{"kind 3", func(m *Manifest) { m.Summary.Kind = 3 }},
		{"ending 3", func(m *Manifest) { m.Summary.Ending = 3 }},
		{"no hash function", func(m *Manifest) { m.Summary.Hash = "" }},
		{"escape codes in the job", func(m *Manifest) { m.Summary.Job = "\x1b[2J" }},
		{"watermarks reversed", func(m *Manifest) { m.Summary.MinWatermark = 2000 }},
		{"software of 4,097 bytes", func(m *Manifest) { m.Summary.Software = strings.Repeat("x", MaxText+1) }},
		{"wrong total of entries", func(m *Manifest) { m.Summary.Entries++ }},
		{"wrong total of subtasks", func(m *Manifest) { m.Summary.Subtasks-- }},

		{"two operators of one uid", func(m *Manifest) { m.Operators[1].UID = m.Operators[0].UID }},
		{"operator without uid", func(m *Manifest) { m.Operators[0].UID = "" }},
		{"uid with a newline", func(m *Manifest) { m.Operators[0].UID = "a\nb" }},
		{"uid with invalid UTF-8", func(m *Manifest) { m.Operators[0].UID = "a\xff" }},
		{"uid with bidirectional text", func(m *Manifest) { m.Operators[0].UID = "a\u202eb" }},
		{"parallelism 0", func(m *Manifest) { m.Operators[0].Parallelism, m.Summary.Subtasks = 0, 2 }},
		{"parallelism 32,769", func(m *Manifest) { m.Operators[0].Parallelism, m.Summary.Subtasks = 32769, 32771 }},
		{"key groups beyond the maximum", func(m *Manifest) { m.Operators[1].KeyGroups = 32769 }},
		{"fewer key groups than subtasks", func(m *Manifest) { m.Operators[1].KeyGroups = 1 }},
		{"key schema that is not there", func(m *Manifest) { m.Operators[1].KeySchema = 3 }},

		{"records of two types on one edge", func(m *Manifest) {
			m.States = append(m.States, State{Operator: 0, Kind: KindOutputChannel, Edge: 0, Namespace: None, Value: 1})
		}},
		{"records of a type that is not there", func(m *Manifest) { m.States[1].Value = 3 }},
		{"state of no operator", func(m *Manifest) { m.States[0].Operator = 2 }},
		{"state of kind 0", func(m *Manifest) { m.States[0].Kind = 0 }},
		{"state of an index", func(m *Manifest) { m.States[0].Kind = KindBlockIndex }},
		{"keyed state without a name", func(m *Manifest) { m.States[0].Name = "" }},
		{"keyed state on an edge", func(m *Manifest) { m.States[0].Edge = 0 }},
		{"channel state on no edge", func(m *Manifest) { m.States[1].Edge = None }},
		{"channel state on an edge that is not there", func(m *Manifest) { m.States[1].Edge = 1 }},
		{"input state of the sender", func(m *Manifest) { m.States[1].Operator = 0 }},
		{"value schema that is not there", func(m *Manifest) { m.States[0].Value = 99 }},
		{"two states of one name", func(m *Manifest) { m.States[1] = m.States[0] }},
		{"keyed state of an operator without key groups", func(m *Manifest) { m.States[0].Operator = 0 }},
		{"wrong total of a state", func(m *Manifest) { m.States[0].Bytes++ }},

		{"edge from nowhere", func(m *Manifest) { m.Edges[0].From = 3 }},
		{"partitioner 0", func(m *Manifest) { m.Edges[0].Partitioner = 0 }},
		{"partitioner 9", func(m *Manifest) { m.Edges[0].Partitioner = 9 }},
		{"alignment 5", func(m *Manifest) { m.Edges[0].Alignment = 5 }},
		{"edge without an id", func(m *Manifest) { m.Edges[0].ID = "" }},
		{"two edges of one id", func(m *Manifest) {
			m.Edges = append(m.Edges, Edge{ID: m.Edges[0].ID, Partitioner: Keyed, Alignment: Aligned, Keys: None})
		}},
		{"reason 6", func(m *Manifest) { m.Edges[2].Reason = 6 }},
		{"keys of no operator", func(m *Manifest) { m.Edges[1].Keys = 3 }},
		{"keys of an operator without key groups", func(m *Manifest) { m.Edges[1].Keys = 0 }},
		{"keys of an operator of another parallelism", func(m *Manifest) { m.Operators[1].Parallelism, m.Summary.Subtasks = 3, 7 }},
		{"keys on a keyed edge", func(m *Manifest) { m.Edges[0].Keys = 1 }},

		{"two objects of one name", func(m *Manifest) { m.Objects[1].Name = m.Objects[0].Name }},
		{"object without a byte", func(m *Manifest) { m.Objects[1].Length = 0 }},
		{"object of 2^63 bytes", func(m *Manifest) { m.Objects[0].Length = 1 << 63 }},
		{"object shorter than its slices", func(m *Manifest) { m.Objects[0].Length = 1000 }},

		{"slice of no state", func(m *Manifest) { m.Slices[2].State = 2 }},
		{"slice in no object", func(m *Manifest) { m.Slices[2].Object = 2 }},
		{"slice of subtask 32,768", func(m *Manifest) { m.Slices[2].Subtask = 32768 }},
		{"slice at 2^63", func(m *Manifest) { m.Slices[2].Offset = 1 << 63 }},
		{"slice at 2^64-1", func(m *Manifest) { m.Slices[2].Offset = math.MaxUint64 }},
		{"slice that reaches into the footer", func(m *Manifest) { m.Slices[0].Offset = 4096 - FooterSize - 39 }},
		{"index of no bytes", func(m *Manifest) { m.Slices[2].Length = 0 }},
		{"index of 4 GiB", func(m *Manifest) { m.Slices[2].Length = math.MaxUint32 }},
		{"more blocks than entries", func(m *Manifest) { m.Slices[2].Blocks = 11 }},
		{"entries without blocks", func(m *Manifest) { m.Slices[2].Blocks = 0 }},
		{"more bytes than lie before the index", func(m *Manifest) { m.Slices[2].Bytes = 5000 }},
		{"2^64-1 entries", func(m *Manifest) { m.Slices[2].Entries = math.MaxUint64 }},
		{"interval beyond the space", func(m *Manifest) { m.Slices[0].Interval = wide }},
		{"interval that is empty", func(m *Manifest) { m.Slices[0].Interval.Hi = m.Slices[0].Interval.Lo }},
		{"interval reversed", func(m *Manifest) { m.Slices[0].Interval = keygroup.Interval{Lo: 9, Hi: 3} }},
		{"intervals that overlap", func(m *Manifest) { m.Slices[0].Interval.Hi++ }},
		{"interval of channel state", func(m *Manifest) { m.Slices[2].Interval.Hi-- }},
		{"slices out of order", func(m *Manifest) { m.Slices[0], m.Slices[1] = m.Slices[1], m.Slices[0] }},
		{"one slice twice", func(m *Manifest) { m.Slices = append(m.Slices, m.Slices[2]) }},

		{"setting without a key", func(m *Manifest) { m.Settings[0].Key = "" }},
		{"two settings of one key", func(m *Manifest) { m.Settings[1].Key = m.Settings[0].Key }},
		{"escape codes in a setting", func(m *Manifest) { m.Settings[0].Value = "\x9b31m" }},
		{"escape codes in a loss", func(m *Manifest) { m.Losses[0].Reason = "\x1b]0;x\a" }},
		{"times of a loss reversed", func(m *Manifest) { m.Losses[0].MinTime = 6 }},
	}
}

// hostileSchemas break the rules of the table of schemas.
func hostileSchemas() map[string][][]byte {
	return map[string][][]byte{
		"schema of no bytes":      {{}},
		"schema of type 0":        {{0}},
		"schema of type 25":       {{25}},
		"opaque without a name":   {{byte(TypeOpaque), 0}},
		"slice of opaque":         {{byte(TypeSlice), byte(TypeOpaque), 1, 'a'}},
		"schema twice":            {{byte(TypeBool)}, {byte(TypeBool)}},
		"schema with a tail":      {{byte(TypeBool), 0}},
		"schema cut short":        {{byte(TypeSlice)}},
		"two fields of one name":  {{byte(TypeStruct), 0, 2, 1, 'a', byte(TypeBool), 1, 'a', byte(TypeBool)}},
		"field without a name":    {{byte(TypeStruct), 0, 1, 0, byte(TypeBool)}},
		"field with escape codes": {{byte(TypeStruct), 0, 1, 1, 0x1b, byte(TypeBool)}},
	}
}

// hostileFiles break the rules of the file around the tables.
func hostileFiles() map[string]func(f *forgedManifest) {
	patch := func(at int, with ...byte) func(*forgedManifest) {
		return func(f *forgedManifest) {
			f.head = func(head []byte) []byte { copy(head[at:], with); return head }
		}
	}
	move := func(change func(rows []tableRow) []tableRow) func(*forgedManifest) {
		return func(f *forgedManifest) { f.tables = change }
	}
	return map[string]func(f *forgedManifest){
		"version 1":                  patch(8, 1, 0),
		"version 65,535":             patch(8, 0xff, 0xff),
		"revision 0":                 patch(10, 0, 0),
		"revision before the oldest": patch(10, OldestRevision-1, 0),
		"next revision":              patch(10, Revision+1, 0),
		"reader version 1":           patch(12, 1, 0),
		"unknown required feature":   patch(16, 1),
		"highest required feature":   patch(23, 0x80),
		"header of 10 bytes":         patch(14, 10, 0),
		"header of 65,535 bytes":     patch(14, 0xff, 0xff),
		"another checkpoint's id":    patch(32, 9),
		"a length that is too long":  patch(44, 1),
		"path outside the root":      func(f *forgedManifest) { patch(f.nameAt(), '.', '.')(f) },
		"another path":               func(f *forgedManifest) { patch(f.nameAt(), []byte("chk-8")...)(f) },
		"tables out of order":        move(func(r []tableRow) []tableRow { r[0].kind, r[1].kind = r[1].kind, r[0].kind; return r }),
		"unknown table":              move(func(r []tableRow) []tableRow { r[0].kind = 99; return r }),
		"two summaries":              move(func(r []tableRow) []tableRow { r[len(r)-2].kind = KindSummary; return r }),
		"no summary":                 move(func(r []tableRow) []tableRow { r[len(r)-1].kind = KindLosses; return r }),
		"rows counted from 1":        move(func(r []tableRow) []tableRow { r[0].first++; r[0].last++; return r }),
		"states of slices reversed":  move(func(r []tableRow) []tableRow { r[4].first = 2; return r }),
		"states of slices wrong":     move(func(r []tableRow) []tableRow { r[4].last = 5; return r }),
		"wrong checksum of a table":  move(func(r []tableRow) []tableRow { r[0].ref.CRC++; return r }),
		"gap between tables":         func(f *forgedManifest) { f.blocks[3].data = append(slices.Clone(f.blocks[3].data), 0) },
		"no tables":                  func(f *forgedManifest) { f.blocks = nil },
		"wrong checksum of the header": func(f *forgedManifest) {
			f.footer = func(foot *footer) { foot.headerCRC++ }
		},
		"wrong length in the footer": func(f *forgedManifest) { f.footer = func(foot *footer) { foot.length-- } },
	}
}

// nameAt is where the path begins in the encoded header.
func (f *forgedManifest) nameAt() int { return headerFixed + 1 + len(f.header.Writer) + 1 }

// TestHostileManifests is the part of T10 that needs no store: every manifest
// is refused with a typed error, although its checksums are right.
func TestHostileManifests(t *testing.T) {
	cases, refused := 0, 0
	expect := func(name string, data []byte, classes ...error) {
		cases++
		_, err := readManifest(data, "chk-7")
		var corrupt *CorruptError
		if !errors.As(err, &corrupt) {
			t.Errorf("%s: %v", name, err)
			return
		}
		for _, class := range classes {
			if errors.Is(err, class) {
				refused++
				return
			}
		}
		t.Errorf("%s: %v is of another class than %v", name, err, classes)
	}
	for _, h := range hostileRows() {
		m := sampleManifest(1)
		h.change(m)
		data, err := unchecked(m, nil)
		must(t, err)
		expect(h.name, data, ErrMalformed)
		if strings.Contains(h.name, "total") || h.name == "slices out of order" {
			continue // the writer sets these itself
		}
		if _, err := AppendManifest(nil, m); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: the writer says %v", h.name, err)
		}
	}
	for _, name := range hostileNames {
		m := sampleManifest(1)
		m.Objects[0].Name = name
		data, err := unchecked(m, nil)
		must(t, err)
		expect(fmt.Sprintf("object %q", name), data, ErrMalformed)
	}
	for name, schemas := range hostileSchemas() {
		data, err := unchecked(sampleManifest(1), schemas)
		must(t, err)
		expect(name, data, ErrMalformed, ErrLimit)
	}
	intact := encodeManifest(t, sampleManifest(1))
	for name, change := range hostileFiles() {
		f := forgeable(t, intact)
		change(f)
		classes := []error{ErrMalformed, ErrChecksum, ErrTruncated}
		if strings.Contains(name, "version") || strings.Contains(name, "revision") || strings.Contains(name, "feature") {
			classes = []error{ErrTooNew}
		}
		expect(name, f.bytes(t), classes...)
	}
	must(t, func() error { _, err := readManifest(forgeable(t, intact).bytes(t), "chk-7"); return err }())
	fmt.Printf("RESULT T10-hostile-manifests cases=%d refused=%d\n", cases, refused)
	if cases < 60 || refused != cases {
		t.Errorf("%d of %d refused", refused, cases)
	}
}

// unchecked encodes a manifest without looking at its rules. Schemas replace
// those of the manifest, if given.
func unchecked(m *Manifest, schemas [][]byte) ([]byte, error) {
	if schemas == nil {
		var err error
		if schemas, err = encodeSchemas(m.Schemas); err != nil {
			return nil, err
		}
	} else {
		for i := range m.Operators {
			m.Operators[i].KeySchema = None
		}
		for i := range m.States {
			m.States[i].Value = None
		}
	}
	h := m.Summary
	data, err := m.appendFile(nil, schemas)
	m.Summary = h
	return data, err
}

// TestManifestLimits lowers each limit below what the sample needs.
func TestManifestLimits(t *testing.T) {
	data := encodeManifest(t, sampleManifest(1))
	for name, lim := range map[string]Limits{
		"manifest": {Manifest: 100}, "decoded": {ManifestDecoded: 300}, "rows": {ManifestRows: 5},
		"operators": {Operators: 1}, "schema": {Schema: 2}, "block": {Block: 10},
	} {
		r, err := OpenManifest(strings.NewReader(string(data)), int64(len(data)), ManifestOptions{Object: "MANIFEST", Limits: &lim})
		if err == nil {
			_, err = r.Read()
		}
		if !errors.Is(err, ErrLimit) || errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Of an index the parent does not state the decoded length.
	s := makeSample(t, KindBlockIndex, CodecZstd, sampleRows, 0)
	slice := Slice{Offset: 9000, Length: s.ref.Length, CRC: s.ref.CRC, Blocks: sampleRows}
	var x Index
	if err := x.Decode("o", s.data, slice, KindSplitList, &Limits{Block: 100}); !errors.Is(err, ErrLimit) {
		t.Errorf("index: %v", err)
	}
}
