package format

import (
	"io"
	"iter"
)

// ManifestOptions say what a manifest is expected to be.
type ManifestOptions struct {
	Object string  // name of the manifest in errors
	Path   string  // path of the checkpoint that the manifest must state (R13); "" accepts any
	Limits *Limits // nil: the defaults
}

// ManifestReader reads a manifest table by table. Opening it reads the header,
// the footer, the directory of the tables and the summary; each iterator reads
// the blocks of its table when it gets to them, and may run in several
// goroutines at once.
//
// Iterators check each row by itself, references by the sizes of the tables,
// and names of their table for repetition. After an error, which is a
// [*CorruptError] or one of the underlying reader, an iteration ends.
type ManifestReader struct {
	Header  Header
	Summary Summary

	r      io.ReaderAt
	opt    ManifestOptions
	lim    Limits
	blocks []tableRow
	rows   map[Kind]uint64
}

// OpenManifest reads header, footer, directory and summary of a manifest of
// size bytes.
func OpenManifest(r io.ReaderAt, size int64, opt ManifestOptions) (*ManifestReader, error) {
	m := &ManifestReader{r: r, opt: opt, lim: opt.Limits.orDefault(), rows: make(map[Kind]uint64)}
	if size > 0 && uint64(size) > m.lim.Manifest {
		return nil, &CorruptError{opt.Object, 0, "manifest", overLimit("length", uint64(size), m.lim.Manifest)}
	}
	h, f, err := openFile(r, size, manifestFile, opt.Object)
	if err != nil {
		return nil, err
	}
	m.Header = h.Header
	if h.Length != uint64(size) {
		return nil, m.damage(0, "header", malformed("the header states %d bytes, the file has %d", h.Length, size))
	}
	if opt.Path != "" && h.Name != opt.Path {
		return nil, m.damage(0, "header", malformed("manifest of the checkpoint %q, expected %q", h.Name, opt.Path))
	}
	if err := m.readTables(h.length, f); err != nil {
		return nil, err
	}
	return m, m.readSummary()
}

// damage places a cause.
func (m *ManifestReader) damage(offset uint64, unit string, cause error) error {
	return &CorruptError{m.opt.Object, int64(offset), unit, cause}
}

// readTables reads the directory of the tables: blocks without a gap from the
// header to the directory, in the order of their kinds, the summary last.
func (m *ManifestReader) readTables(start int, f openFooter) error {
	var block Block
	if f.decoded > TableBlock {
		return m.damage(f.directory, "tables", overLimit("decoded length", uint64(f.decoded), TableBlock))
	}
	if err := m.readBlock(&block, KindTables, f.ref()); err != nil {
		return err
	}
	var r rowReader
	r.start(&block)
	end := uint64(start)
	var decoded, rows uint64
	prev := tableRow{}
	for row := 0; r.left > 0; row++ {
		var t tableRow
		var back uint64
		err := r.next(func(c *rowCodec) { t.cells(c, &back) })
		t.ref.Offset = f.directory - back
		if err == nil {
			err = t.check(&prev, back, f.directory, end)
		}
		decoded += uint64(t.ref.Decoded)
		rows += uint64(t.ref.Rows)
		if err == nil && decoded > m.lim.ManifestDecoded {
			err = overLimit("decoded length of the tables", decoded, m.lim.ManifestDecoded)
		}
		if err == nil && rows > m.lim.ManifestRows {
			err = overLimit("number of rows", rows, m.lim.ManifestRows)
		}
		if err != nil {
			return m.damage(f.directory, rowUnit(KindTables, row), err)
		}
		m.blocks = append(m.blocks, t)
		m.rows[t.kind] += uint64(t.ref.Rows)
		end, prev = t.ref.End(), t
	}
	// Without gaps and overlaps, from the header to the directory: every byte
	// of the file is under one of the checksums.
	if end != f.directory || prev.kind != KindSummary {
		return m.damage(f.directory, "tables", malformed("the last table is of %v and ends at %d", prev.kind, end))
	}
	if n := m.rows[KindOperators]; n > m.lim.Operators {
		return m.damage(f.directory, "tables", overLimit("number of operators", n, m.lim.Operators))
	}
	return nil
}

// check applies the rules for a row of the directory behind prev.
func (t *tableRow) check(prev *tableRow, back, directory, end uint64) error {
	if back > directory || t.ref.Offset != end || uint64(t.ref.Length) > back {
		return malformed("block of %d bytes, %d before the directory at %d, behind one that ends at %d",
			t.ref.Length, back, directory, end)
	}
	if t.kind < KindSummary || t.kind > KindLosses {
		return malformed("table of %v", t.kind)
	}
	if t.ref.Rows == 0 || t.ref.Rows > t.ref.Decoded {
		return malformed("%d rows in %d bytes", t.ref.Rows, t.ref.Decoded)
	}
	if t.ref.Decoded > TableBlock {
		return overLimit("decoded length of a block", uint64(t.ref.Decoded), TableBlock)
	}
	// Tables stand in the order of their kinds, but for the summary, which is
	// read most often and so lies next to the directory.
	same := t.kind == prev.kind
	if prev.kind == KindSummary || t.kind != KindSummary && t.kind < prev.kind {
		return malformed("table of %v behind %v", t.kind, prev.kind)
	}
	if t.first > t.last || same && t.first < prev.last {
		return malformed("rows %d to %d behind %d", t.first, t.last, prev.last)
	}
	if t.kind == KindSlices {
		return nil
	}
	var from uint64
	if same {
		from = prev.last + 1
	}
	if t.first != from || t.last != from+uint64(t.ref.Rows)-1 {
		return malformed("rows %d to %d, expected %d from %d on", t.first, t.last, t.ref.Rows, from)
	}
	return nil
}

// readBlock reads and decodes one block.
func (m *ManifestReader) readBlock(block *Block, kind Kind, ref BlockRef) error {
	lim := m.lim
	lim.Block = min(lim.Block, lim.ManifestDecoded)
	data, err := readBlock(m.r, m.opt.Object, kind, ref, &lim)
	if err != nil {
		return err
	}
	block.revision = m.Header.Revision
	return block.Decode(m.opt.Object, data, kind, ref, &lim)
}

// CheckBlocks reads the whole manifest, block by block, and compares checksums
// without decoding anything. The error is a [*CorruptError], or one of the
// underlying reader.
func (m *ManifestReader) CheckBlocks() error {
	for rest := m.blocks; len(rest) > 0; {
		// The blocks lie one behind the other (readTables), and each read of a
		// bucket is a request.
		n, first := 1, rest[0].ref
		for n < len(rest) && rest[n].ref.End()-first.Offset <= TableBlock {
			n++
		}
		whole := first
		whole.Length = uint32(rest[n-1].ref.End() - first.Offset)
		data, err := readBlock(m.r, m.opt.Object, rest[0].kind, whole, &m.lim)
		if err != nil {
			return err
		}
		for i := range rest[:n] {
			t := &rest[i]
			if err := m.checkBlock(t, data[:t.ref.Length]); err != nil {
				return err
			}
			data = data[t.ref.Length:]
		}
		rest = rest[n:]
	}
	return nil
}

// checkBlock compares the checksums of a block.
func (m *ManifestReader) checkBlock(t *tableRow, data []byte) error {
	if len(data) <= crcSize {
		return m.damage(t.ref.Offset, t.kind.String()+" block", malformed("block of %d bytes", len(data)))
	}
	if _, crc, stored := splitChecksum(data); crc != stored || crc != t.ref.CRC {
		return m.damage(t.ref.Offset, t.kind.String()+" block", checksumError(crc, stored, t.ref.CRC))
	}
	return nil
}

// readSummary reads the summary and compares it with the header.
func (m *ManifestReader) readSummary() error {
	if n := m.rows[KindSummary]; n != 1 {
		return m.damage(0, "tables", malformed("%d summaries", n))
	}
	for s, err := range tableRows(m, KindSummary, (*Summary).cells, always((*Summary).check)) {
		if err != nil {
			return err
		}
		m.Summary = s
	}
	// The header says the same so that tools know a file by its first bytes;
	// here they must agree.
	h := &m.Header
	if s := &m.Summary; s.ID != h.Checkpoint || s.WriterID != h.Writer || s.Path != h.Name {
		return m.damage(0, "header", malformed("checkpoint %d by %q at %q, the summary says %d by %q at %q",
			h.Checkpoint, h.Writer, h.Name, s.ID, s.WriterID, s.Path))
	}
	return nil
}

// Rows is the number of rows of a table.
func (m *ManifestReader) Rows(table Kind) uint64 { return m.rows[table] }

// counts of the tables.
func (m *ManifestReader) counts() counts {
	return counts{int(m.rows[KindOperators]), int(m.rows[KindStates]), int(m.rows[KindEdges]),
		int(m.rows[KindObjects]), int(m.rows[KindSchemas])}
}

// tableRows yields the rows of one table, decoded and checked. checks makes the
// check of one iteration, which may remember the rows before.
func tableRows[Row any](m *ManifestReader, kind Kind, cells func(*Row, *rowCodec), checks func() func(*Row) error) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		blockRows(m, m.tablesOf(kind), cells, checks())(yield)
	}
}

// always is a check that remembers nothing.
func always[Row any](check func(*Row) error) func() func(*Row) error {
	return func() func(*Row) error { return check }
}

// unique is a check of each row by itself and that no name occurs twice.
func unique[Row any](what string, name func(*Row) string, check func(*Row) error) func() func(*Row) error {
	return func() func(*Row) error {
		var names uniqueness
		return func(row *Row) error { return first(check(row), names.add(what, name(row))) }
	}
}

// tablesOf are the blocks of one table.
func (m *ManifestReader) tablesOf(kind Kind) []tableRow {
	from, to := 0, 0
	for i := range m.blocks {
		if m.blocks[i].kind == kind {
			if to == 0 {
				from = i
			}
			to = i + 1
		}
	}
	return m.blocks[from:to]
}

// blockRows yields the rows of some blocks of one table. A row that check
// refuses is damage: the checksum holds, so a writer put it there.
func blockRows[Row any](m *ManifestReader, blocks []tableRow, cells func(*Row, *rowCodec), check func(*Row) error) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		var block Block
		var r rowReader
		var row, none Row
		c := rowCodec{read: &r}
		for i := range blocks {
			t := &blocks[i]
			if err := m.readBlock(&block, t.kind, t.ref); err != nil {
				yield(none, err)
				return
			}
			r.start(&block)
			for n := 0; r.left > 0; n++ {
				row, c.col = none, 0
				cells(&row, &c)
				r.left--
				err := r.err
				if err == nil {
					err = asDamage(check(&row))
				}
				if err != nil {
					yield(none, m.damage(t.ref.Offset, rowUnit(t.kind, n), err))
					return
				}
				if !yield(row, nil) {
					return
				}
			}
		}
	}
}
