package writer

import (
	"fmt"
	"iter"

	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
)

// Sampling of automatic compression: after a block whose values did not shrink
// by an eighth, that many blocks are stored plainly before the next try, and
// twice as many after each further failure up to the maximum.
const (
	worth    = 8
	firstGap = 8
	maxGap   = 64
)

// encoder collects the entries of a slice and makes blocks of them.
type encoder struct {
	kind   format.Kind
	keyed  *format.KeyedBuilder // keyed state and timers, else nil
	rows   *format.Builder      // of any kind; the inside of keyed if that is set
	walk   walker               // checks the blocks of rows
	block  format.Block         // for walk
	column int                  // of the values, -1 if there is nothing to compress
	values int                  // bytes in that column so far

	setting Compression
	gap     int // blocks still to be stored plainly
	nextGap int
}

// newEncoder returns the encoder of a kind of state.
func newEncoder(kind format.Kind, iv keygroup.Interval, setting Compression) (encoder, error) {
	e := encoder{kind: kind, column: valueColumn(kind), setting: setting, nextGap: firstGap}
	switch {
	case kind == format.KindKeyed:
		e.keyed = format.NewKeyedBuilder()
		e.rows = &e.keyed.Builder
	case kind == format.KindTimer:
		e.keyed = format.NewTimerBuilder()
		e.rows = &e.keyed.Builder
	case kind.Data():
		e.rows = format.NewBuilder(kind)
		e.walk = newWalker(kind, iv)
	default:
		return e, fmt.Errorf("writer: %v is no kind of state: %w", kind, format.ErrInvalid)
	}
	switch setting {
	case CompressS2:
		e.use(format.CodecS2)
	case CompressZstd:
		e.use(format.CodecZstd)
	}
	return e, nil
}

// valueColumn is the column that compression is for, -1 if there is none: the
// other columns are hashes, keys and numbers that seldom shrink.
func valueColumn(kind format.Kind) int {
	for i, c := range format.Columns(kind) {
		switch c.Name {
		case "value", "item", "payload":
			if c.Type == format.ColBytes {
				return i
			}
		}
	}
	return -1
}

// walker decodes the rows of a block and returns the first broken rule.
type walker func(*format.Block) error

// newWalker returns the walker of one slice of a kind whose rows are not keyed.
func newWalker(kind format.Kind, iv keygroup.Interval) walker {
	switch kind {
	case format.KindBroadcast:
		return walk(format.NewRows[format.Pair](iv).Of)
	case format.KindFloor:
		return walk(format.NewRows[format.Floor](iv).Of)
	case format.KindSubtaskWatermark:
		return walk(format.NewRows[format.SubtaskWatermark](iv).Of)
	case format.KindChannelWatermark:
		return walk(format.NewRows[format.ChannelWatermark](iv).Of)
	case format.KindSplitWatermark:
		return walk(format.NewRows[format.SplitWatermark](iv).Of)
	case format.KindInputChannel, format.KindOutputChannel:
		return walk(format.NewRows[format.Buffer](iv).Of)
	default:
		return walk(format.NewRows[format.Item](iv).Of)
	}
}

// walk makes a walker of the method of a typed walk.
func walk[Row any](of func(*format.Block) iter.Seq2[*Row, error]) walker {
	return func(b *format.Block) error {
		for _, err := range of(b) {
			if err != nil {
				return err
			}
		}
		return nil
	}
}

// use sets the codec of the value column.
func (e *encoder) use(codec format.Codec) {
	if e.column >= 0 {
		e.rows.Compress(codec, e.column)
	}
}

// emit appends the block of the entries so far to dst and forgets them. A block
// of rows is decoded from its very bytes before it goes anywhere; the order of
// keyed entries was checked one by one.
func (e *encoder) emit(dst []byte) (out []byte, ref format.BlockRef, err error) {
	if e.setting == CompressAuto && e.column >= 0 {
		out, ref, err = e.auto(dst)
	} else {
		out, ref, err = e.append(dst)
	}
	if err != nil {
		return out, ref, err
	}
	if e.walk != nil {
		if err := e.block.Decode("block", out[len(dst):], e.kind, ref, nil); err != nil {
			return out, ref, err
		}
		if err := e.walk(&e.block); err != nil {
			return out, ref, err
		}
	}
	e.rows.Reset()
	e.values = 0
	return out, ref, nil
}

// append appends the block as it is.
func (e *encoder) append(dst []byte) ([]byte, format.BlockRef, error) {
	if e.keyed != nil {
		return e.keyed.AppendBlock(dst)
	}
	return e.rows.AppendBlock(dst)
}

// auto compresses the values if they shrink by an eighth at least.
func (e *encoder) auto(dst []byte) ([]byte, format.BlockRef, error) {
	if e.gap > 0 {
		e.gap--
		return e.append(dst)
	}
	e.use(format.CodecS2)
	out, ref, err := e.append(dst)
	if err != nil {
		return out, ref, err
	}
	// All other columns are stored plainly, so what is missing was saved.
	if saved := int64(ref.Decoded) - int64(ref.Length); saved*worth >= int64(e.values) {
		e.nextGap = firstGap
		return out, ref, nil
	}
	e.use(format.CodecNone)
	e.gap, e.nextGap = e.nextGap, min(2*e.nextGap, maxGap)
	return e.append(dst)
}
