package format

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/keygroup"
)

// errDisk is an error of the storage.
var errDisk = errors.New("disk on fire")

// failing is a reader whose k-th call fails.
type failing struct {
	r     io.ReaderAt
	calls int
	at    int
	with  error
}

func (f *failing) ReadAt(p []byte, off int64) (int, error) {
	if f.calls++; f.calls > f.at {
		return 0, f.with
	}
	return f.r.ReadAt(p, off)
}

// TestStorageErrors fails each read in turn: an error of the storage comes
// through as it is, an early end is a truncation.
func TestStorageErrors(t *testing.T) {
	m, o := encodeManifest(t, sampleManifest(1)), sampleObject(t, 0, 3)
	readers := map[string]func(r io.ReaderAt) error{
		"manifest": func(r io.ReaderAt) error {
			m, err := OpenManifest(r, int64(len(m)), ManifestOptions{Object: "MANIFEST"})
			if err != nil {
				return err
			}
			_, err = m.Read()
			return err
		},
		"object": func(r io.ReaderAt) error {
			_, err := OpenObject(r, int64(len(o.data)), OpenOptions{Object: o.object.Name})
			return err
		},
	}
	data := map[string][]byte{"manifest": m, "object": o.data}
	for name, read := range readers {
		for at := 0; ; at++ {
			r := &failing{r: bytes.NewReader(data[name]), at: at, with: errDisk}
			err := read(r)
			if r.calls <= at {
				must(t, err)
				if at < 3 {
					t.Errorf("%s: %d reads only", name, at)
				}
				break
			}
			var corrupt *CorruptError
			if !errors.Is(err, errDisk) || errors.As(err, &corrupt) || errors.Is(err, ErrDamaged) {
				t.Errorf("%s, read %d: %v", name, at, err)
			}
			err = read(&failing{r: bytes.NewReader(data[name]), at: at, with: io.EOF})
			if !errors.Is(err, ErrTruncated) || !errors.Is(err, ErrDamaged) {
				t.Errorf("%s, end at read %d: %v", name, at, err)
			}
		}
	}
	if _, err := OpenObject(nil, -1, OpenOptions{}); !errors.Is(err, ErrInvalid) {
		t.Errorf("negative size: %v", err)
	}
}

// TestErrors checks what an error says and to which classes it belongs.
func TestErrors(t *testing.T) {
	s := makeSample(t, KindKeyed, CodecNone, 3, 0)
	s.ref.Offset = 4711
	data := bytes.Clone(s.data)
	data[9] ^= 1
	var b Block
	err := b.Decode("chk-7/data-0", data, KindKeyed, s.ref, nil)
	for _, part := range []string{"chk-7/data-0", "keyed block", "4711", "checksum", fmt.Sprintf("%08x", s.ref.CRC)} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not mention %q", err, part)
		}
	}
	classes := []error{ErrTruncated, ErrChecksum, ErrMalformed, ErrTooNew, ErrLimit, ErrMissing, ErrInvalid}
	for i, class := range classes {
		err := error(&CorruptError{Err: fmt.Errorf("%w: more", class)})
		for j, other := range classes {
			if errors.Is(err, other) != (i == j) {
				t.Errorf("%v is %v", class, other)
			}
		}
		if errors.Is(err, ErrDamaged) != (i < 3) {
			t.Errorf("%v: damaged is %v", class, i >= 3)
		}
	}
	if Damage("o", KindKeyed, s.ref, nil) != nil {
		t.Error("damage without a cause")
	}
	// A stale block is intact, and the error says so.
	other := makeSample(t, KindKeyed, CodecNone, 3, 1)
	if err := b.Decode("o", other.data, KindKeyed, s.ref, nil); err == nil || !strings.Contains(err.Error(), "intact") {
		t.Errorf("stale block: %v", err)
	}
}

// TestBlockRules breaks the rules of the encoding of blocks, with right
// checksums.
func TestBlockRules(t *testing.T) {
	column := func(flags byte, width, plain uint64, data string) forgedColumn {
		return forgedColumn{flags, width, plain, uint64(len(data)), []byte(data)}
	}
	fixed := byte(columnFixedWidth)
	status := []forgedColumn{column(0, 0, 1, "\x05"), column(0, 0, 1, "\x00"), column(0, 0, 1, "\x00"), column(0, 0, 1, "\x00")}
	with := func(last forgedColumn) []byte { return forge(KindSubtaskWatermark, 1, append(status[:4:4], last)...) }
	hashes := func(c forgedColumn) []byte {
		return forge(KindKeyed, 2, c, column(fixed, 1, 2, "ab"), column(fixed, 0, 0, ""), column(fixed, 0, 0, ""))
	}
	tests := []struct {
		name    string
		data    []byte
		decoded uint64
		rows    uint64
	}{
		{"lengths although all are equal", forge(KindSplitList, 2, column(0, 0, 4, "\x01\x01ab")), 4, 2},
		{"lengths of no strings", forge(KindSplitList, 0, column(0, 0, 0, "")), 0, 0},
		{"width of no strings", forge(KindSplitList, 0, column(fixed, 3, 0, "")), 0, 0},
		{"too few strings", forge(KindSplitList, 2, column(fixed, 2, 2, "ab")), 2, 2},
		{"lengths beyond the end", forge(KindSplitList, 2, column(0, 0, 4, "\x01\x09ab")), 4, 2},
		{"strings left over", forge(KindSplitList, 2, column(0, 0, 5, "\x01\x00abc")), 5, 2},
		{"no lengths", forge(KindSplitList, 2, column(0, 0, 2, "\x80\x80")), 2, 2},
		{"unknown codec", forge(KindSplitList, 1, column(fixed|3, 3, 3, "ab")), 3, 1},
		{"unknown flag", forge(KindSplitList, 1, column(fixed|0x20, 1, 1, "a")), 1, 1},
		{"compressed to more", forge(KindSplitList, 1, column(fixed|1, 1, 1, "abcdef")), 1, 1},
		{"no zstd frame", forge(KindSplitList, 1, column(fixed|2, 8, 8, "abcdef")), 8, 1},
		{"no s2 block", forge(KindSplitList, 1, column(fixed|1, 8, 8, "\x08\xff\xff\xff")), 8, 1},
		{"width of a byte column", with(column(fixed, 1, 1, "\x01")), 5, 1},
		{"two bytes for one row", with(column(0, 0, 2, "\x01\x01")), 6, 1},
		{"no byte for a row", with(column(0, 0, 0, "")), 4, 1},
		{"hashes over 32 bits", hashes(column(0, 0, 6, "\xff\xff\xff\xff\x0f\x01")), 8, 2},
		{"varints left over", hashes(column(0, 0, 3, "\x01\x01\x01")), 5, 2},
		{"bytes behind the columns", seal(append(forge(KindSplitList, 1, column(fixed, 1, 1, "a"))[:6], 'x')), 1, 1},
		{"no columns", seal([]byte{byte(KindSplitList), 1}), 0, 1},
		{"another kind", forge(KindUnionList, 1, column(fixed, 1, 1, "a")), 1, 1},
		{"unknown kind", seal([]byte{200, 0}), 0, 0},
		{"more rows than the parent states", forge(KindSplitList, 2, column(fixed, 1, 2, "ab")), 2, 1},
		{"other decoded length than the parent states", forge(KindSplitList, 2, column(fixed, 1, 2, "ab")), 3, 2},
	}
	for _, test := range tests {
		var b Block
		kind := Kind(test.data[0])
		if test.name == "another kind" {
			kind = KindSplitList
		}
		err := b.Decode("o", test.data, kind, refOf(test.data, test.decoded, test.rows), nil)
		if !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", test.name, err)
		}
		if b.Rows() != 0 {
			t.Errorf("%s: a refused block has %d rows", test.name, b.Rows())
		}
	}
	good := forge(KindSplitList, 2, column(0, 0, 5, "\x01\x02abc"))
	var b Block
	must(t, b.Decode("o", good, KindSplitList, refOf(good, 5, 2), nil))
	if b.Kind() != KindSplitList || b.Rows() != 2 || b.Decoded() != 5 {
		t.Errorf("block of %v with %d rows in %d bytes", b.Kind(), b.Rows(), b.Decoded())
	}
}

// TestHostileObjects breaks the rules of the directory of a data object.
func TestHostileObjects(t *testing.T) {
	f := sampleObject(t, 0, 3)
	head := f.data[:f.blocks[0].Offset]
	last := f.slices[len(f.slices)-1].Slice
	at := last.Ref().End()
	refused := 0
	changes := map[string]func(e *Entry){
		"kind of a table":          func(e *Entry) { e.Kind = KindSummary },
		"no uid":                   func(e *Entry) { e.Operator = "" },
		"uid with a newline":       func(e *Entry) { e.Operator = "\n" },
		"state with a NUL":         func(e *Entry) { e.State = "\x00" },
		"edge not UTF-8":           func(e *Entry) { e.Edge = "\xff" },
		"32,769 key groups":        func(e *Entry) { e.KeyGroups = 32769 },
		"interval reversed":        func(e *Entry) { e.Slice.Interval = keygroup.Interval{Lo: 2, Hi: 1} },
		"before the one before it": func(e *Entry) { e.Slice.Offset = 100 },
		"behind the directory":     func(e *Entry) { e.Slice.Offset = at },
		"more blocks than entries": func(e *Entry) { e.Slice.Blocks = 1000 },
		"index of 2 bytes":         func(e *Entry) { e.Slice.Length = 2 },
		"bytes beyond the file":    func(e *Entry) { e.Slice.Bytes = math.MaxUint64 },
	}
	for name, change := range changes {
		entries := append([]Entry(nil), f.slices...)
		change(&entries[len(entries)-1])
		if _, _, err := AppendObjectEnd(nil, at, head, entries); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: the writer says %v", name, err)
		}
		data := appendUncheckedEnd(t, bytes.Clone(f.data[:at]), head, entries)
		_, err := OpenObject(bytes.NewReader(data), int64(len(data)), OpenOptions{Object: "o"})
		if !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		refused++
	}
	intact := appendUncheckedEnd(t, bytes.Clone(f.data[:at]), head, f.slices)
	if !bytes.Equal(intact, f.data) {
		t.Error("the test builds another end of the object")
	}
	if _, err := OpenObject(bytes.NewReader(f.data), int64(len(f.data)), OpenOptions{Object: "chk-8/data-0", Check: true}); !errors.Is(err, ErrMalformed) {
		t.Errorf("object under another name: %v", err)
	}
	fmt.Printf("RESULT T10-hostile-objects cases=%d refused=%d\n", len(changes), refused)
}

// appendUncheckedEnd is AppendObjectEnd without its rules.
func appendUncheckedEnd(t *testing.T, data, head []byte, entries []Entry) []byte {
	t.Helper()
	at := uint64(len(data))
	b := NewBuilder(KindDirectory)
	b.Compress(CodecZstd)
	for i := range entries {
		e := entries[i]
		back := at - e.Slice.Offset
		b.encode(func(c *rowCodec) { directoryRow(c, &back, &e) })
	}
	data, ref, err := b.AppendBlock(data)
	must(t, err)
	foot := footer{length: uint64(len(data)) + FooterSize, directory: at, directoryLen: ref.Length,
		directoryCRC: ref.CRC, decoded: ref.Decoded, rows: ref.Rows}
	_, foot.headerCRC, _ = splitChecksum(head)
	data, _ = appendFooter(data, objectFile, &foot)
	return data
}

func TestWriterRules(t *testing.T) {
	block := BlockRef{Offset: 100, Length: 50}
	for name, blocks := range map[string][]BlockRef{
		"behind the index": {{Offset: 980, Length: 50}}, "overlapping": {block, {Offset: 149, Length: 5}}, "without bytes": {{Offset: 100}},
	} {
		if _, _, err := AppendIndex(nil, 1000, blocks); !errors.Is(err, ErrInvalid) {
			t.Errorf("index of blocks %s: %v", name, err)
		}
	}
	for name, h := range map[string]Header{
		"no name": {}, "bad name": {Name: "../x"}, "writer with a newline": {Name: "a", Writer: "\n"}, "length": {Name: "a", Length: 5},
		"long writer": {Name: "a", Writer: strings.Repeat("w", MaxName+1)},
	} {
		if _, err := AppendObjectHeader(nil, h); !errors.Is(err, ErrInvalid) {
			t.Errorf("header with %s: %v", name, err)
		}
	}
	m := sampleManifest(1)
	m.Schemas = append(m.Schemas, m.Schemas[0])
	if _, err := AppendManifest(nil, m); !errors.Is(err, ErrInvalid) {
		t.Errorf("schema twice: %v", err)
	}
	m = sampleManifest(1)
	m.Schemas[1] = of(99)
	if _, err := AppendManifest([]byte("x"), m); !errors.Is(err, ErrInvalid) {
		t.Errorf("unknown type: %v", err)
	}
	got, err := AppendManifest([]byte("prefix"), sampleManifest(1))
	must(t, err)
	if !bytes.Equal(got[6:], encodeManifest(t, sampleManifest(1))) {
		t.Error("appending to bytes gives another manifest")
	}
}

func TestExtents(t *testing.T) {
	check := func(end uint64, refs ...BlockRef) error {
		var e Extents
		for _, ref := range refs {
			e.Add(ref)
		}
		return e.Check(10, end)
	}
	a, b := BlockRef{Offset: 10, Length: 5}, BlockRef{Offset: 15, Length: 5}
	must(t, check(20, b, a, a))
	must(t, check(10))
	for name, err := range map[string]error{
		"gap at the start": check(20, b), "gap at the end": check(21, a, b), "overlap": check(20, a, BlockRef{Offset: 14, Length: 6}),
		"beyond the end": check(19, a, b), "nothing": check(11),
	} {
		if !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// counted counts the reads of a manifest.
type counted struct {
	io.ReaderAt
	bytes int
}

func (c *counted) ReadAt(p []byte, off int64) (int, error) {
	c.bytes += len(p)
	return c.ReaderAt.ReadAt(p, off)
}

// TestLazy opens a manifest of 100,000 slices: the summary, the totals and the
// slices of one state take a small part of its bytes.
func TestLazy(t *testing.T) {
	data := largeManifest(t)
	r := &counted{ReaderAt: bytes.NewReader(data)}
	m, err := OpenManifest(r, int64(len(data)), ManifestOptions{Object: "MANIFEST", Path: "chk-7"})
	must(t, err)
	opened := r.bytes
	operators, states := rowsOf(t, m.Operators()), rowsOf(t, m.States())
	totals := r.bytes
	if len(operators) != 10 || len(states) != 100 || m.Rows(KindSlices) != 100_000 || m.Summary.Subtasks != 10_000 {
		t.Fatalf("%d operators, %d states, %d slices, %d subtasks", len(operators), len(states), m.Rows(KindSlices), m.Summary.Subtasks)
	}
	for _, state := range []int{0, 57, 99} {
		var entries uint64
		slices := rowsOf(t, m.SlicesOf(state))
		for _, s := range slices {
			entries += s.Entries
			if s.State != state {
				t.Errorf("slice of state %d instead of %d", s.State, state)
			}
		}
		if len(slices) != 1000 || entries != states[state].Entries {
			t.Errorf("state %d: %d slices with %d entries, expected %d", state, len(slices), entries, states[state].Entries)
		}
	}
	lazy := r.bytes
	for _, state := range []int{-1, 100} {
		if got := rowsOf(t, m.SlicesOf(state)); len(got) > 0 {
			t.Errorf("state %d has %d slices", state, len(got))
		}
	}
	fmt.Printf("RESULT lazy-manifest bytes=%d opened=%d totals=%d three-states=%d\n", len(data), opened, totals, lazy)
	if opened > 16<<10 || totals > 32<<10 || lazy > len(data)/10 {
		t.Errorf("read %d, %d and %d bytes of %d", opened, totals, lazy, len(data))
	}
	// An iteration can be run again.
	again := m.Operators()
	if n := len(rowsOf(t, again)) + len(rowsOf(t, again)); n != 20 {
		t.Errorf("twice the operators are %d", n)
	}
	// Iterations that the caller ends early.
	for range m.Slices() {
		break
	}
	for range m.Schemas() {
		break
	}
	for range m.SlicesOf(3) {
		break
	}
}

// rowsOf collects an iteration without errors.
func rowsOf[Row any](t *testing.T, rows iter.Seq2[Row, error]) (all []Row) {
	t.Helper()
	for row, err := range rows {
		must(t, err)
		all = append(all, row)
	}
	return all
}

// TestNames prints constants that this version does not know.
func TestNames(t *testing.T) {
	for _, got := range []string{Kind(200).String(), Codec(9).String(), ColumnType(99).String(), Type(99).String()} {
		if got == "" {
			t.Error("a constant without a name")
		}
	}
	if Columns(200) != nil || len(Columns(KindKeyed)) != 4 {
		t.Error("columns")
	}
	timers := NewTimerBuilder()
	timers.AppendTimer(1, nil, nil, 5)
	if timers.Kind() != KindTimer || timers.Rows() != 1 || timers.Size() == 0 {
		t.Errorf("builder of %v with %d rows", timers.Kind(), timers.Rows())
	}
}
