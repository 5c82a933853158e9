package format

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/tidemark-io/tidemark/keygroup"
)

// Columns of keyed state and timers. Column 3 is the value or the time.
const (
	colHash = iota
	colKey
	colNamespace
	colValue
)

// ColValue is the column of values of keyed state, for [Builder.Compress].
const ColValue = colValue

// KeyedBuilder builds blocks of keyed state or timers, whose rows ascend by
// (hash, key, namespace) and, of timers, time. It reports a row out of order
// when the block is encoded.
type KeyedBuilder struct {
	Builder
}

// NewKeyedBuilder returns a builder of keyed state.
func NewKeyedBuilder() *KeyedBuilder { return &KeyedBuilder{Builder: *NewBuilder(KindKeyed)} }

// NewTimerBuilder returns a builder of timers.
func NewTimerBuilder() *KeyedBuilder { return &KeyedBuilder{Builder: *NewBuilder(KindTimer)} }

// Append appends an entry of keyed state. The slices are copied.
func (b *KeyedBuilder) Append(hash keygroup.Hash, key, namespace, value []byte) {
	b.place(hash, key, namespace)
	b.putBytes(colValue, value)
	b.endRow()
}

// AppendFixed appends entries of keyed state whose keys and values have one
// width each and which have no namespaces. Keys and values lie one behind the
// other: the widths are their lengths divided by the number of hashes, which
// must divide them. It stops before the row that would make [Builder.Size] more
// than limit (without what the row takes besides key and value) unless that is
// the first of the block, and returns the number of rows appended. Everything
// is copied.
func (b *KeyedBuilder) AppendFixed(hashes []keygroup.Hash, keys, values []byte, limit int) int {
	if len(hashes) == 0 {
		return 0
	}
	kw, vw := len(keys)/len(hashes), len(values)/len(hashes)
	fixed := b.kind == KindKeyed && b.err == nil &&
		b.cols[colKey].keeps(b.rows, kw) && b.cols[colNamespace].keeps(b.rows, 0) && b.cols[colValue].keeps(b.rows, vw)
	if !fixed {
		return b.appendEach(hashes, keys, values, limit)
	}
	if b.rows == 0 {
		b.first = uint64(hashes[0])
		b.cols[colKey].width, b.cols[colNamespace].width, b.cols[colValue].width = kw, 0, vw
	}
	c := &b.cols[colHash]
	c.data = slices.Grow(c.data, binary.MaxVarintLen32*len(hashes))
	deltas := c.data[:cap(c.data)]
	at, n, size, prev := len(c.data), 0, b.size, c.prev
	for ; n < len(hashes) && (size+kw+vw <= limit || b.rows == 0 && n == 0); n++ {
		h := uint64(hashes[n])
		if h < prev {
			b.err = invalid("%s falls from %d to %d", b.info.columns[colHash].Name, prev, h)
			break
		}
		d, before := h-prev, at
		for ; d >= 0x80; d >>= 7 {
			deltas[at] = byte(d) | 0x80
			at++
		}
		deltas[at] = byte(d)
		at++
		size += at - before + kw + vw + 3 // one for each length
		prev = h
	}
	c.data, c.prev, b.size = deltas[:at], prev, size
	b.cols[colKey].data = append(b.cols[colKey].data, keys[:n*kw]...)
	b.cols[colValue].data = append(b.cols[colValue].data, values[:n*vw]...)
	b.rows += uint32(n)
	return n
}

// appendEach is AppendFixed for a block whose rows so far have other widths.
func (b *KeyedBuilder) appendEach(hashes []keygroup.Hash, keys, values []byte, limit int) int {
	kw, vw := len(keys)/len(hashes), len(values)/len(hashes)
	for i, h := range hashes {
		if b.rows > 0 && b.size+kw+vw > limit {
			return i
		}
		b.Append(h, keys[i*kw:(i+1)*kw], nil, values[i*vw:(i+1)*vw])
	}
	return len(hashes)
}

// keeps reports whether all byte strings of a column have the width, after so
// many rows.
func (c *columnBuffer) keeps(rows uint32, width int) bool {
	return rows == 0 || !c.varied && c.width == width
}

// AppendTimer appends a timer that is due at the event time, in ms. The slices
// are copied.
func (b *KeyedBuilder) AppendTimer(hash keygroup.Hash, key, namespace []byte, time int64) {
	b.place(hash, key, namespace)
	b.putUvarint(colValue, zigzag(time))
	b.endRow()
}

// place appends what keyed state and timers have in common.
func (b *KeyedBuilder) place(hash keygroup.Hash, key, namespace []byte) {
	if b.rows == 0 {
		b.first = uint64(hash)
	}
	b.putDelta(colHash, uint32(hash))
	b.putBytes(colKey, key)
	b.putBytes(colNamespace, namespace)
}

// KeyedRows walks the rows of the blocks of one slice, one block after the
// other, and refuses what is out of order or outside the slice's interval.
//
//	for rows.Next() {
//		use(rows.Hash, rows.Key, rows.Namespace, rows.Value)
//	}
//	err := rows.Err()
type KeyedRows struct {
	Hash           keygroup.Hash
	Key, Namespace []byte // of the current row; alias the block
	Value          []byte // of keyed state; aliases the block
	Time           int64  // of timers, event time in ms

	interval keygroup.Interval
	left     int
	row      int
	started  bool
	timers   bool
	prev     [2][]byte // key and namespace of the row before, for the order
	skipped  bool      // the row before was not the last of its block
	last     []byte    // memory of prev between blocks
	cols     [4]cursor
	err      error

	// Rows read ahead, of keyed state in which all widths are fixed and no row
	// has a namespace: they are in order and inside the interval.
	ahead     [aheadRows]keygroup.Hash
	at, until int
}

// aheadRows bounds the rows read ahead, and so what a walk keeps in memory.
const aheadRows = 256

// NewKeyedRows returns a walk over a slice of the interval. Start gives it the
// first block.
func NewKeyedRows(interval keygroup.Interval) *KeyedRows {
	return &KeyedRows{interval: interval}
}

// Start continues the walk with the next block, of keyed state or timers, which
// may have been decoded into the same [Block]. The order is checked from one
// block to the next too.
func (r *KeyedRows) Start(b *Block) {
	if b.kind != KindKeyed && b.kind != KindTimer {
		r.err = invalid("keyed rows of a %v block", b.kind)
		return
	}
	// Of rows that the caller skipped nothing is known but that their hashes
	// are not below the last one seen.
	r.skipped = r.left > 0
	r.timers = b.kind == KindTimer
	for i := range r.cols {
		r.cols[i] = cursor{columnData: b.cols[i]}
	}
	r.left, r.row = b.rows, 0
	r.at, r.until = 0, 0
}

// Next moves to the next row. It returns false at the end of the block and at
// the first row that breaks the order.
func (r *KeyedRows) Next() bool {
	if r.at < r.until && r.err == nil {
		r.Hash = r.ahead[r.at&(aheadRows-1)]
		r.Key, r.Value = r.cols[colKey].cell(), r.cols[colValue].cell()
		r.at++
		r.left--
		r.row++
		if r.at == r.until {
			r.endAhead()
		}
		return true
	}
	return r.next()
}

// endAhead leaves the walk as if the last row read ahead had been read alone.
func (r *KeyedRows) endAhead() {
	r.prev = [2][]byte{r.Key, nil}
	if r.left == 0 {
		r.keep(r.Key, nil)
	}
}

// keep copies what the next row is compared with: the block's memory may be
// reused before it is read.
func (r *KeyedRows) keep(key, namespace []byte) {
	r.last = append(append(r.last[:0], key...), namespace...)
	r.prev = [2][]byte{r.last[:len(key)], r.last[len(key):]}
}

// next reads one row, and checks those behind it in one go where that is
// quicker. The first that breaks a rule is left to itself.
func (r *KeyedRows) next() bool {
	if r.left == 0 || r.err != nil {
		return false
	}
	hash := keygroup.Hash(r.cols[colHash].delta())
	key, namespace := r.cols[colKey].bytes(), r.cols[colNamespace].bytes()
	var time int64
	if r.timers {
		time = unzigzag(r.cols[colValue].uvarint())
	} else {
		r.Value = r.cols[colValue].bytes()
	}
	if r.started && hash <= r.Hash && !r.follows(hash, key, namespace, time) {
		r.err = malformed("row %d of the block is not behind the one before it", r.row)
		return false
	}
	if !r.interval.Contains(hash) {
		r.err = malformed("row %d of the block has hash %08x, outside the interval %v", r.row, uint32(hash), r.interval)
		return false
	}
	r.Hash, r.Key, r.Namespace, r.Time = hash, key, namespace, time
	r.prev = [2][]byte{key, namespace}
	r.started, r.skipped = true, false
	r.left--
	r.row++
	if r.left == 0 {
		r.keep(key, namespace)
	} else if c := &r.cols; !r.timers && c[colKey].fixed && c[colValue].fixed && c[colNamespace].fixed && c[colNamespace].width == 0 {
		r.readAhead()
	}
	return true
}

// readAhead takes the hashes of the rows behind the current one as long as they
// keep to the order and the interval.
func (r *KeyedRows) readAhead() {
	hashes, keys := r.cols[colHash], r.cols[colKey] // copies: a row that is refused is read again
	key, prev := r.Key, uint64(r.Hash)
	n := 0
	for want := min(r.left, aheadRows); n < want; n++ {
		before := hashes
		h := uint64(hashes.delta())
		if h >= r.interval.Hi {
			hashes = before
			break
		}
		next := keys.cell()
		if h <= prev && (h < prev || bytes.Compare(next, key) <= 0) {
			hashes = before
			break
		}
		r.ahead[n] = keygroup.Hash(h)
		key, prev = next, h
	}
	r.cols[colHash] = hashes
	r.at, r.until = 0, n
}

// follows reports whether a row whose hash is not above the current one is
// still behind it.
func (r *KeyedRows) follows(hash keygroup.Hash, key, namespace []byte, time int64) bool {
	if hash != r.Hash || r.skipped {
		return hash == r.Hash
	}
	order := bytes.Compare(key, r.prev[0])
	if order == 0 {
		order = bytes.Compare(namespace, r.prev[1])
	}
	return order > 0 || order == 0 && r.timers && time > r.Time
}

// Err is what stopped Next before the end of the block, of the class
// [ErrMalformed]. The caller knows the block and makes a [CorruptError] of it
// with [Damage].
func (r *KeyedRows) Err() error { return r.err }

// Damage places a cause found in the rows of a block: object, the block's
// offset and kind. It returns nil for a nil cause.
func Damage(object string, kind Kind, ref BlockRef, cause error) error {
	if cause == nil {
		return nil
	}
	return &CorruptError{object, int64(ref.Offset), kind.String() + " block", cause}
}
