package format

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/tidemark-io/tidemark/keygroup"
)

// allKinds are the kinds of blocks in the order of their numbers.
func allKinds() []Kind {
	var all []Kind
	for k := range kinds {
		all = append(all, k)
	}
	slices.Sort(all)
	return all
}

var allCodecs = []Codec{CodecNone, CodecS2, CodecZstd}

// sample is one encoded block with what its parent states.
type sample struct {
	name  string
	kind  Kind
	codec Codec
	data  []byte
	ref   BlockRef
}

// sampleRows is the number of rows of each sample; enough for every codec to
// shorten every kind.
const sampleRows = 40

// fill appends the rows of a sample. Salt makes samples of one size that differ
// in content.
func fill(b *Builder, rows int, salt byte) {
	for i := range rows {
		fillRow(b, i, salt)
	}
}

func fillRow(b *Builder, i int, salt byte) {
	n := uint64(i)
	text := fmt.Sprintf("name-%02d%c", i, 'a'+salt%26)
	switch b.kind {
	case KindKeyed, KindTimer:
		k := KeyedBuilder{Builder: *b}
		key := binary.BigEndian.AppendUint32([]byte{salt}, uint32(i))
		if b.kind == KindKeyed {
			k.Append(keygroup.Hash(i*1000), key, nil, []byte(text[:4+i%3]+"value"))
		} else {
			k.AppendTimer(keygroup.Hash(i/2), key, []byte("window"), int64(i)*1000-5000)
		}
		*b = k.Builder
	case KindSplitList, KindUnionList:
		AppendRow(b, &Item{Value: []byte(text[:i%8])})
	case KindBroadcast:
		AppendRow(b, &Pair{Key: []byte(text), Value: []byte("rule")})
	case KindFloor:
		AppendRow(b, &Floor{keygroup.Interval{Lo: n << 20, Hi: (n + 1) << 20}, int64(i) * 7, Unknown})
	case KindSubtaskWatermark:
		AppendRow(b, &SubtaskWatermark{uint32(i), 1000 + int64(salt), 900, Unknown, StatusActive})
	case KindChannelWatermark:
		AppendRow(b, &ChannelWatermark{uint32(i / 2), i%2 - 1, 1, 1000 + int64(salt), StatusIdle})
	case KindSplitWatermark:
		AppendRow(b, &SplitWatermark{[]byte(text), 1000, StatusActive, []byte("generator")})
	case KindInputChannel, KindOutputChannel:
		buf := NewBuffer(uint32(i/8), 1, 0, n, i%3-1, []byte(text+"payload payload payload"))
		AppendRow(b, &buf)
	default:
		fillTable(b, i, text, salt)
	}
}

// fillTable is fillRow for blocks that describe others.
func fillTable(b *Builder, i int, text string, salt byte) {
	n := uint64(i)
	ref := BlockRef{Length: uint32(100 + i), CRC: 0xdeadbeef + uint32(salt), Decoded: 200, Rows: 10, First: n}
	slice := Slice{State: i / 4, Subtask: uint32(i), Offset: 5000 + n*100, Length: 40, CRC: 0xcafe, Blocks: 1,
		Entries: 7, Bytes: 60, Decoded: 90, Interval: keygroup.Interval{Lo: n << 10, Hi: (n + 1) << 10}}
	back := uint64(9000) - 100*n
	switch b.kind {
	case KindBlockIndex:
		b.encode(func(c *rowCodec) { indexRow(c, &back, &ref) })
	case KindDirectory:
		e := Entry{Slice: slice, Kind: KindKeyed, Operator: text, Parallelism: 4, KeyGroups: 128, State: "count",
			KeySchema: []byte{byte(TypeString)}, ValueSchema: []byte{byte(TypeInt64)}}
		b.encode(func(c *rowCodec) { directoryRow(c, &back, &e) })
	case KindSummary:
		s := sampleManifest(salt).Summary
		b.encode(s.cells)
	case KindOperators:
		b.encode((&Operator{UID: text, Name: "window", Parallelism: 4, KeyGroups: 128, KeySchema: 0,
			Task: uint32(i), MinWatermark: Unknown, MaxWatermark: 1000}).cells)
	case KindStates:
		b.encode((&State{Operator: i, Name: text, Kind: KindKeyed, Edge: None, Namespace: None, Value: 1,
			Entries: 100, Bytes: 1000, Decoded: 2000}).cells)
	case KindEdges:
		b.encode((&Edge{ID: text, From: i, To: i + 1, Partitioner: Keyed, Alignment: Unaligned, Keys: None}).cells)
	case KindObjects:
		b.encode((&Object{Name: "chk-7/" + text, Length: 12345, CRC: 1, DirectoryCRC: uint32(salt)}).cells)
	case KindSlices:
		b.encode(slice.cells)
	case KindSchemas:
		enc := []byte{byte(TypeArray), byte(1 + i), byte(TypeInt64)}
		b.encode(func(c *rowCodec) { c.bytes(&enc) })
	case KindSettings:
		b.encode((&Setting{Key: text, Value: "10 s", Origin: "default"}).cells)
	case KindLosses:
		b.encode((&Loss{Tool: "strip", Created: 1, Operator: text, Place: "subtask=3", Reason: "asked for",
			Bytes: 10, Records: 1, MinTime: Unknown, MaxTime: Unknown}).cells)
	case KindTables:
		t := tableRow{kind: KindSlices, ref: ref, first: n, last: n}
		b.encode(func(c *rowCodec) { t.cells(c, &back) })
	}
}

// makeSample encodes one block of the kind.
func makeSample(t testing.TB, kind Kind, codec Codec, rows int, salt byte) sample {
	t.Helper()
	b := NewBuilder(kind)
	b.Compress(codec)
	fill(b, rows, salt)
	data, ref, err := b.AppendBlock(nil)
	if err != nil {
		t.Fatalf("%v block: %v", kind, err)
	}
	return sample{fmt.Sprintf("%v-%v", kind, codec), kind, codec, data, ref}
}

// samples are blocks of every kind with every codec.
func samples(t testing.TB, salt byte) []sample {
	var all []sample
	for _, kind := range allKinds() {
		for _, codec := range allCodecs {
			all = append(all, makeSample(t, kind, codec, sampleRows, salt))
		}
	}
	return all
}

// walk reads all rows of a block through the public API; kinds of tables have
// none there and are read by the tests of manifests and objects.
func walk(b *Block, kind Kind) (rows int, err error) {
	all := keygroup.All()
	switch kind {
	case KindKeyed, KindTimer:
		r := NewKeyedRows(all)
		r.Start(b)
		for r.Next() {
			rows++
		}
		return rows, r.Err()
	case KindSplitList, KindUnionList:
		return count(NewRows[Item](all), b)
	case KindBroadcast:
		return count(NewRows[Pair](all), b)
	case KindFloor:
		return count(NewRows[Floor](all), b)
	case KindSubtaskWatermark:
		return count(NewRows[SubtaskWatermark](all), b)
	case KindChannelWatermark:
		return count(NewRows[ChannelWatermark](all), b)
	case KindSplitWatermark:
		return count(NewRows[SplitWatermark](all), b)
	case KindInputChannel, KindOutputChannel:
		return count(NewRows[Buffer](all), b)
	}
	return b.rows, nil
}

func count[R any, P rowOf[R]](r *Rows[R, P], b *Block) (n int, err error) {
	for _, err := range r.Of(b) {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// file is a whole data object with the slices and the checksums that a manifest
// states of it.
type file struct {
	data   []byte
	slices []Entry
	object Object
	blocks []BlockRef
}

// sampleObject is a data object with slices of several kinds, their blocks
// interleaved.
func sampleObject(t testing.TB, salt byte, rows int) file {
	t.Helper()
	f := file{object: Object{Name: "chk-7/data-0"}}
	head, err := AppendObjectHeader(nil, Header{Checkpoint: 7, Writer: "w1", Name: f.object.Name})
	must(t, err)
	f.data = bytes.Clone(head)
	stored := []Kind{KindKeyed, KindTimer, KindSplitList, KindFloor, KindSubtaskWatermark, KindInputChannel}
	refs := make([][]BlockRef, len(stored))
	for i, kind := range stored {
		b := NewBuilder(kind)
		b.Compress(allCodecs[i%len(allCodecs)])
		for part := range 2 {
			for row := part * rows; row < (part+1)*rows; row++ {
				fillRow(b, row, salt)
			}
			at := uint64(len(f.data))
			data, ref, err := b.AppendBlock(f.data)
			must(t, err)
			f.data, ref.Offset = data, at
			refs[i] = append(refs[i], ref)
			f.blocks = append(f.blocks, ref)
			b.Reset()
		}
	}
	for i, kind := range stored {
		e := Entry{Kind: kind, Operator: "op", Parallelism: 2, KeyGroups: 128, State: kind.String(),
			KeySchema: []byte{byte(TypeString)}}
		e.Slice = Slice{State: i, Interval: keygroup.All()}
		f.data, e.Slice = appendIndex(t, f.data, e.Slice, refs[i])
		f.slices = append(f.slices, e)
	}
	f.data, f.object.DirectoryCRC, err = AppendObjectEnd(f.data, uint64(len(f.data)), head, f.slices)
	must(t, err)
	f.object.Length, f.object.CRC = uint64(len(f.data)), Checksum(f.data)
	return f
}

// appendIndex appends the index of a slice and completes the slice.
func appendIndex(t testing.TB, data []byte, s Slice, refs []BlockRef) ([]byte, Slice) {
	t.Helper()
	out, ref, err := AppendIndex(data, uint64(len(data)), refs)
	must(t, err)
	s.Offset, s.Length, s.CRC, s.Blocks = ref.Offset, ref.Length, ref.CRC, ref.Rows
	for _, r := range refs {
		s.Entries += uint64(r.Rows)
		s.Bytes += uint64(r.Length)
		s.Decoded += uint64(r.Decoded)
	}
	return out, s
}

// readAll reads everything in a data object and compares it with what the
// manifest states of it. It returns the number of rows.
func readAll(data []byte, want *file) (rows int, err error) {
	opt := OpenOptions{Object: want.object.Name, Check: true}
	o, err := OpenObject(bytes.NewReader(data), int64(len(data)), opt)
	if err != nil {
		return 0, err
	}
	if o.EndCRC != want.object.DirectoryCRC {
		return 0, &CorruptError{opt.Object, int64(o.Directory), "directory", checksumCause("stale directory")}
	}
	var extents Extents
	for e, err := range o.Entries() {
		if err != nil {
			return rows, err
		}
		n, err := readSlice(data, e.Slice, e.Kind, &extents)
		rows += n
		if err != nil {
			return rows, err
		}
	}
	if err := extents.Check(uint64(o.HeaderLen), o.Directory); err != nil {
		return rows, &CorruptError{opt.Object, 0, "object", err}
	}
	return rows, nil
}

// readSlice reads one slice from its index on, as a reader does that has the
// manifest.
func readSlice(data []byte, s Slice, kind Kind, extents *Extents) (rows int, err error) {
	part := func(ref BlockRef) []byte {
		return data[min(ref.Offset, uint64(len(data))):min(ref.End(), uint64(len(data)))]
	}
	var x Index
	if err := x.Decode("object", part(s.Ref()), s, kind, nil); err != nil {
		return 0, err
	}
	extents.Add(s.Ref())
	var block Block
	for ref, err := range x.Blocks() {
		if err != nil {
			return rows, err
		}
		extents.Add(ref)
		if err := block.Decode("object", part(ref), kind, ref, nil); err != nil {
			return rows, err
		}
		n, err := walk(&block, kind)
		rows += n
		if err != nil {
			return rows, Damage("object", kind, ref, err)
		}
	}
	return rows, nil
}

// sampleManifest is a manifest with rows in every table.
func sampleManifest(salt byte) *Manifest {
	half := func(i int) keygroup.Interval { return keygroup.IntervalOf(i, 128, 2) }
	slice := func(state int, subtask uint32, offset uint64, iv keygroup.Interval) Slice {
		return Slice{State: state, Subtask: subtask, Object: int(subtask), Offset: offset, Length: 40, CRC: uint32(salt),
			Blocks: 1, Entries: 10, Bytes: 100, Decoded: 200, Interval: iv}
	}
	return &Manifest{
		Summary: Summary{Kind: Checkpoint, ID: 7, Path: "chk-7", Job: "flights", Created: 1764000000000000000,
			Lineage: "l-1", Run: 3, Parent: 6, ParentDir: "chk-6", WriterID: fmt.Sprintf("w-%03d", salt),
			Software: "tidemark 0", Hash: "xxh3-64/0", MinWatermark: Unknown, MaxWatermark: 1000,
			Subtasks: 6, Entries: 20, StateBytes: 200, InFlightBytes: 5000, InFlightRecords: 70},
		Operators: []Operator{
			{UID: "source", Name: "flights", Parallelism: 2, KeySchema: None, MinWatermark: 5, MaxWatermark: 6},
			{UID: "count", Name: "count by origin", Parallelism: 2, KeyGroups: 128, KeySchema: 0, Task: 1},
			{UID: "out", Name: "out", Parallelism: 2, KeySchema: None, Task: 2}},
		States: []State{
			{Operator: 1, Name: "count", Kind: KindKeyed, Edge: None, Namespace: None, Value: 1, Entries: 20, Bytes: 200, Decoded: 400},
			{Operator: 1, Name: "", Kind: KindInputChannel, Edge: 0, Namespace: None, Value: 2, Entries: 10, Bytes: 100, Decoded: 200}},
		Edges: []Edge{{ID: "source>count#0", From: 0, To: 1, Partitioner: Keyed, Alignment: Unaligned,
			InFlightBytes: 5000, InFlightRecords: 70, Keys: None}, {ID: "count>out#0", From: 1, To: 2, Partitioner: Forward,
			Alignment: Unaligned, Keys: 1}, {ID: "source>out#0", From: 0, To: 2, Partitioner: Broadcast, Alignment: Aligned,
			Keys: None, Reason: ReasonBroadcast}},
		Objects: []Object{{Name: "chk-7/data-0", Length: 4096, CRC: 1, DirectoryCRC: 2}, {Name: "shared/data-1", Length: 8192}},
		Slices: []Slice{slice(0, 0, 1000, half(0)), slice(0, 1, 2000, half(1)),
			slice(1, 1, 1200, keygroup.All())},
		Schemas: []*Schema{{Type: TypeString}, {Type: TypeStruct, Name: "Count", Fields: []Field{
			{Name: "origin", Schema: &Schema{Type: TypeString}}, {Name: "count", Schema: &Schema{Type: TypeInt64}}}},
			{Type: TypeStruct, Name: "Flight", Fields: []Field{{Name: "origin", Schema: &Schema{Type: TypeString}}, {Name: "seats", Schema: &Schema{Type: TypeUint16}}}}},
		Settings: []Setting{{"parallelism.default", "2", "flag"}, {"tidemark.secret", "***", "file"}},
		Losses:   []Loss{{Tool: "strip", Created: 9, Operator: "count", Place: "subtask=1", Reason: "asked for", MinTime: Unknown, MaxTime: 5}},
	}
}

// encodeManifest encodes a manifest that keeps the rules.
func encodeManifest(t testing.TB, m *Manifest) []byte {
	t.Helper()
	data, err := AppendManifest(nil, m)
	must(t, err)
	return data
}

// readManifest opens and reads a whole manifest.
func readManifest(data []byte, path string) (*Manifest, error) {
	r, err := OpenManifest(bytes.NewReader(data), int64(len(data)), ManifestOptions{Object: "MANIFEST", Path: path})
	if err != nil {
		return nil, err
	}
	return r.Read()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
