package runtime

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/tidemark-io/tidemark/engine/codec"
	"github.com/tidemark-io/tidemark/engine/exchange"
	"github.com/tidemark-io/tidemark/format"
)

// errHalfRecord: in-flight data begins or ends inside a record, which only
// damage or a missing part explains (R8).
var errHalfRecord = errors.New("in-flight data is torn inside a record")

// acceptance says whether a record is wanted. It may change the tag and the hash of
// one that is.
type acceptance func(f *exchange.Frame) (bool, error)

// joiner puts the records of one sub-stream together from its buffers and keeps
// those that are wanted, as whole frames in chunks of about one buffer.
// Watermarks and statuses are always kept: every receiver of the stream needs
// them (R3 iv).
type joiner struct {
	accept acceptance // nil keeps nothing and only counts
	limit  int        // bytes of a chunk
	// migrate rewrites records whose type has changed since they were stored,
	// before accept sees them; nil leaves them as they are.
	migrate *codec.Migration
	// lenient goes on behind a gap, at the next record (R8). Otherwise a gap is
	// an error.
	lenient bool

	chunks  [][]byte
	open    []byte
	cursor  exchange.Cursor
	next    uint64 // sequence number expected, once begun
	begun   bool
	lost    bool   // waiting for a buffer in which a record begins
	records uint64 // that were complete, wanted or not
	value   []byte // of the record that was rewritten last
	asked   exchange.Frame
	gaps    int
	skipped uint64 // bytes of records that a gap cut
}

// add takes the next buffer of the stream.
func (j *joiner) add(b format.Buffer) error {
	if err := j.follow(&b); err != nil || len(b.Payload) == 0 {
		return err
	}
	j.cursor.Feed(b.Payload)
	for {
		f, ok := j.cursor.Next()
		if !ok {
			return j.cursor.Err()
		}
		if err := j.take(f); err != nil {
			return err
		}
	}
}

// follow checks that a buffer continues the stream: that its sequence number is
// the next, and that it leads with the bytes that the open record lacks. If the
// joiner is lenient it cuts the buffer to what can be read behind a gap.
func (j *joiner) follow(b *format.Buffer) error {
	gap, err := false, error(nil)
	switch {
	case j.begun && b.Sequence != j.next:
		gap, err = true, fmt.Errorf("%w: buffer %d follows buffer %d", errHalfRecord, b.Sequence, j.next-1)
	case !j.begun && b.Continuation > 0:
		gap, err = true, fmt.Errorf("%w: it begins with %d bytes of an earlier record", errHalfRecord, b.Continuation)
	case j.begun && !j.lost && !j.continues(b):
		gap, err = true, fmt.Errorf("%w: %d bytes of buffer %d belong to an earlier record, which lacks another number", errHalfRecord, b.Continuation, b.Sequence)
	}
	j.begun, j.next = true, b.Sequence+1
	if !gap && !j.lost {
		return nil
	}
	if !j.lenient {
		return err
	}
	if gap {
		j.tear()
	}
	if b.Start == format.None {
		j.skipped += uint64(len(b.Payload))
		b.Payload = nil
		return nil
	}
	j.skipped += uint64(b.Start)
	b.Payload, j.lost = b.Payload[b.Start:], false
	return nil
}

// continues reports whether a buffer leads with as many bytes of an earlier
// record as the open one lacks, as far as that is known.
func (j *joiner) continues(b *format.Buffer) bool {
	partial := j.cursor.Partial()
	switch {
	case len(partial) == 0:
		return b.Continuation == 0
	case len(partial) < 4:
		return b.Continuation > 0
	}
	lacks := uint64(binary.LittleEndian.Uint32(partial)) + 4 - uint64(len(partial))
	return uint64(b.Continuation) == min(lacks, uint64(len(b.Payload)))
}

// tear gives up the record that is open and looks for the next one. What is
// behind the gap counts as active, since a status may be lost; its watermark
// stays what it was (R8).
func (j *joiner) tear() {
	j.gaps++
	j.lost = true
	j.skipped += uint64(len(j.cursor.Partial()))
	j.cursor = exchange.Cursor{}
	j.open = exchange.AppendStatus(j.open, exchange.StatusActive)
}

// take keeps a frame if it is wanted.
func (j *joiner) take(f exchange.Frame) error {
	if f.Kind() == exchange.TagRecord {
		j.records++
	}
	if j.accept == nil {
		return nil
	}
	start := len(j.open)
	switch f.Kind() {
	case exchange.TagWatermark:
		j.open = exchange.AppendWatermark(j.open, f.Timestamp)
	case exchange.TagStatus:
		j.open = exchange.AppendStatus(j.open, f.Payload[0])
	default:
		if j.migrate != nil {
			value, err := j.migrate.Append(j.value[:0], f.Payload)
			if err != nil {
				return fmt.Errorf("a record is not of the type that the checkpoint states: %w", err)
			}
			j.value, f.Payload = value, value
		}
		j.asked = f
		if ok, err := j.accept(&j.asked); err != nil || !ok {
			return err
		}
		f = j.asked
		j.open = append(exchange.AppendFrame(j.open, f.Tag, f.Hash, f.Timestamp), f.Payload...)
		exchange.EndFrame(j.open, start)
	}
	if len(j.open) >= j.limit {
		j.flush()
	}
	return nil
}

func (j *joiner) flush() {
	if len(j.open) > 0 {
		j.chunks = append(j.chunks, j.open)
		j.open = nil
	}
}

// end completes the stream.
func (j *joiner) end() error {
	n := len(j.cursor.Partial())
	switch {
	case n > 0 && j.lenient:
		j.tear()
	case n > 0:
		return fmt.Errorf("%w: it ends after %d bytes of one", errHalfRecord, n)
	}
	j.flush()
	return nil
}
