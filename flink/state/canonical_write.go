package state

import (
	"fmt"
	"io"

	"github.com/tidemark-io/tidemark/flink/wire"
	"github.com/tidemark-io/tidemark/keygroup"
)

// CanonicalWriter writes a file of keyed state in the canonical layout,
// uncompressed. After its first error it does nothing but return it.
type CanonicalWriter struct {
	out     io.Writer
	at      int64
	groups  keygroup.Range
	prefix  int
	states  int
	offsets []int64
	group   int // of the last entry, -1 before the first
	state   int
	done    []bool // states of the present group that are complete
	pending []byte // the last entry, whose first byte is not final yet
	err     error
}

// NewCanonicalWriter writes the header and returns a writer for the entries of a
// range of key groups.
func NewCanonicalWriter(out io.Writer, h *KeyedHeader, groups keygroup.Range, maxParallelism int) (*CanonicalWriter, error) {
	if h.Compressed || !keygroup.Valid(maxParallelism) || groups.First < 0 || groups.Last >= maxParallelism {
		return nil, fmt.Errorf("canonical state: compressed %v, key groups %v of %d", h.Compressed, groups, maxParallelism)
	}
	head, err := h.Append(nil)
	if err != nil {
		return nil, err
	}
	w := &CanonicalWriter{out: out, groups: groups, prefix: prefixLength(maxParallelism), states: len(h.States),
		offsets: make([]int64, groups.Len()), group: -1, done: make([]bool, len(h.States))}
	w.write(head)
	return w, w.err
}

func (w *CanonicalWriter) write(b []byte) {
	if w.err != nil {
		return
	}
	n, err := w.out.Write(b)
	w.at += int64(n)
	w.err = err
}

// Add writes an entry: the number of its state in the header, its composite key
// without key group and its value in the canonical form, as an Entry has them.
// Key groups must come ascending, and within one the entries of a state together.
// The slices may be changed afterwards.
func (w *CanonicalWriter) Add(group, state int, composite, value []byte) error {
	switch {
	case w.err != nil:
		return w.err
	case !w.groups.Contains(group) || group < w.group || state < 0 || state >= w.states:
		w.err = fmt.Errorf("canonical state: an entry of key group %d, state %d behind group %d; the file has groups %v and %d states", group, state, w.group, w.groups, w.states)
		return w.err
	}
	if group != w.group {
		w.endGroup()
		w.group, w.state = group, state
		clear(w.done)
		w.offsets[group-w.groups.First] = w.at
		w.write(wire.AppendU16(nil, uint16(state)))
	} else if state != w.state {
		if w.done[w.state] = true; w.done[state] {
			w.err = fmt.Errorf("canonical state: entries of state %d in two places of key group %d", state, group)
			return w.err
		}
		w.flush(true)
		w.write(wire.AppendU16(nil, uint16(state)))
		w.state = state
	} else {
		w.flush(false)
	}
	w.hold(group, composite, value)
	return w.err
}

// hold keeps an entry until it is known whether it is the last one of its state.
func (w *CanonicalWriter) hold(group int, composite, value []byte) {
	b := wire.AppendI32(w.pending[:0], int32(len(composite)+w.prefix))
	if w.prefix == 2 {
		b = append(b, byte(group>>8))
	}
	b = append(append(b, byte(group)), composite...)
	if int64(len(composite)) > wire.DefaultLimit {
		w.err = wire.OverLimit(uint64(len(composite)), wire.DefaultLimit)
		return
	}
	b, err := wire.AppendBytes32(b, value)
	if err != nil {
		w.err = err
		return
	}
	w.pending = b
}

// flush writes the entry held back.
func (w *CanonicalWriter) flush(last bool) {
	if len(w.pending) == 0 {
		return
	}
	if last {
		w.pending[4] |= lastOfState
	}
	w.write(w.pending)
	w.pending = w.pending[:0]
}

func (w *CanonicalWriter) endGroup() {
	if w.group >= 0 {
		w.flush(true)
		w.write([]byte{0xFF, 0xFF}) // endOfGroup
	}
}

// Finish writes what ends the last key group, and returns the offset of every key
// group, 0 for an empty one, and the size of the file in bytes. It does not close
// the output.
func (w *CanonicalWriter) Finish() (offsets []int64, size int64, err error) {
	w.endGroup()
	w.group = w.groups.Last + 1
	if w.err != nil {
		return nil, 0, w.err
	}
	return w.offsets, w.at, nil
}
