package format

import (
	"math"
	"slices"
)

// tableBlock is the decoded size at which a block of a table ends. Smaller than
// [TableBlock], so that one slice is found without decoding many.
const tableBlock = 64 << 10

// manifestWriter appends blocks and collects the directory of them.
type manifestWriter struct {
	dst    []byte
	blocks []tableRow
}

// tableRow describes one block of a manifest in the directory.
type tableRow struct {
	kind        Kind
	ref         BlockRef
	first, last uint64 // rows; states of a block of slices
}

// cells carries one row of the directory. back is the distance from the
// directory to the block.
func (t *tableRow) cells(c *rowCodec, back *uint64) {
	c.byte((*byte)(&t.kind))
	c.uint(back)
	c.u32(&t.ref.Length)
	c.fixed32(&t.ref.CRC)
	c.u32(&t.ref.Decoded)
	c.u32(&t.ref.Rows)
	c.uint(&t.first)
	c.uint(&t.last)
}

// AppendManifest appends the encoding of the manifest to dst, which is usually
// empty. It computes the totals of the states and of the summary itself and
// brings the slices into the order of the file; m is not changed. A manifest
// that breaks a rule of SPEC.md is refused with an error of the class
// [ErrInvalid].
func AppendManifest(dst []byte, m *Manifest) ([]byte, error) {
	own := *m
	own.States = slices.Clone(m.States)
	own.Slices = slices.Clone(m.Slices)
	own.total()
	own.sortSlices()
	if err := own.check(); err != nil {
		return dst, err
	}
	schemas, err := encodeSchemas(own.Schemas)
	if err != nil {
		return dst, err
	}
	return own.appendFile(dst, schemas)
}

// appendFile appends the encoding of the manifest as it is, unchecked.
func (m *Manifest) appendFile(dst []byte, schemas [][]byte) ([]byte, error) {
	h := Header{Checkpoint: m.Summary.ID, Writer: m.Summary.WriterID, Name: m.Summary.Path}
	// The header states the length of the file; only its value is patched
	// when that is known.
	head, _, err := appendHeader(nil, manifestFile, &h)
	if err != nil {
		return dst, err
	}
	w := &manifestWriter{dst: append(make([]byte, 0, len(head)+64*len(m.Slices)), head...)}
	if err := w.tables(m, schemas); err != nil {
		return dst, err
	}
	f, err := w.directory()
	if err != nil {
		return dst, err
	}
	h.Length = uint64(len(w.dst)) + FooterSize
	f.length = h.Length
	// The length has a fixed width, so the header keeps its size.
	if head, f.headerCRC, err = appendHeader(head[:0], manifestFile, &h); err != nil {
		return dst, err
	}
	copy(w.dst, head)
	w.dst, _ = appendFooter(w.dst, manifestFile, &f)
	if len(dst) == 0 {
		return w.dst, nil
	}
	return append(dst, w.dst...), nil
}

// encodeSchemas encodes the schemas and refuses two equal ones.
func encodeSchemas(in []*Schema) ([][]byte, error) {
	out := make([][]byte, len(in))
	var seen uniqueness
	for i, s := range in {
		enc, err := AppendSchema(nil, s)
		if err != nil {
			return nil, err
		}
		if limit := DefaultLimits().Schema; uint64(len(enc)) > limit {
			return nil, invalid("schema of %d bytes, at most %d are allowed", len(enc), limit)
		}
		if seen[string(enc)] {
			return nil, invalid("schema %d occurs twice: %v", i, s)
		}
		if err := seen.add("schema", string(enc)); err != nil {
			return nil, err
		}
		out[i] = enc
	}
	return out, nil
}

// tables appends all tables. The summary comes last, so that it is read
// together with the directory and the footer.
func (w *manifestWriter) tables(m *Manifest, schemas [][]byte) error {
	return first(
		table(w, KindOperators, m.Operators, (*Operator).cells),
		table(w, KindStates, m.States, (*State).cells),
		table(w, KindEdges, m.Edges, (*Edge).cells),
		table(w, KindObjects, m.Objects, (*Object).cells),
		table(w, KindSlices, m.Slices, (*Slice).cells),
		table(w, KindSchemas, schemas, func(s *[]byte, c *rowCodec) { c.bytes(s) }),
		table(w, KindSettings, m.Settings, (*Setting).cells),
		table(w, KindLosses, m.Losses, (*Loss).cells),
		table(w, KindSummary, []Summary{m.Summary}, (*Summary).cells),
	)
}

// table appends the rows of one table in blocks of about tableBlock bytes.
func table[Row any](w *manifestWriter, kind Kind, rows []Row, cells func(*Row, *rowCodec)) error {
	b := NewBuilder(kind)
	// Names repeat and compress. Slices are mostly checksums and numbers that
	// do not, and decoding a hundred thousand of them should take no longer
	// than reading the numbers; the summary is one row. Zstandard, not s2: its
	// encoder gives the same bytes on every platform.
	if kind != KindSlices && kind != KindSummary {
		b.Compress(CodecZstd)
	}
	from := 0
	for i := range rows {
		row := rows[i]
		c := rowCodec{build: b}
		cells(&row, &c)
		b.endRow()
		if b.Size() < tableBlock && i < len(rows)-1 {
			continue
		}
		t := tableRow{kind: kind, first: uint64(from), last: uint64(i)}
		if states, isSlices := any(rows).([]Slice); isSlices {
			t.first, t.last = uint64(states[from].State), uint64(states[i].State)
		}
		if err := w.block(b, t); err != nil {
			return err
		}
		from = i + 1
		b.Reset()
	}
	return nil
}

// block appends the block that was built.
func (w *manifestWriter) block(b *Builder, t tableRow) error {
	at := uint64(len(w.dst))
	var err error
	if w.dst, t.ref, err = b.AppendBlock(w.dst); err != nil {
		return err
	}
	if t.ref.Decoded > TableBlock {
		return invalid("row of %d bytes in the table of %v", t.ref.Decoded, t.kind)
	}
	t.ref.Offset = at
	w.blocks = append(w.blocks, t)
	return nil
}

// directory appends the directory of the tables and describes it in a footer.
func (w *manifestWriter) directory() (footer, error) {
	at := uint64(len(w.dst))
	b := NewBuilder(KindTables)
	for i := range w.blocks {
		t := w.blocks[i]
		back := at - t.ref.Offset
		b.encode(func(c *rowCodec) { t.cells(c, &back) })
	}
	dst, ref, err := b.AppendBlock(w.dst)
	w.dst = dst
	if uint64(len(dst)) > math.MaxInt64-FooterSize {
		return footer{}, invalid("manifest of %d bytes", len(dst))
	}
	return footer{directory: at, directoryLen: ref.Length, directoryCRC: ref.CRC, decoded: ref.Decoded, rows: ref.Rows}, err
}
