package format

import (
	"bytes"

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
}

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
}

// Next moves to the next row. It returns false at the end of the block and at
// the first row that breaks the order.
func (r *KeyedRows) Next() bool {
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
		// The block's memory may be reused before the next row is read.
		r.last = append(append(r.last[:0], key...), namespace...)
		r.prev = [2][]byte{r.last[:len(key)], r.last[len(key):]}
	}
	return true
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
