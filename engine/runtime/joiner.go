package runtime

import (
	"errors"
	"fmt"

	"github.com/tidemark-io/tidemark/engine/exchange"
	"github.com/tidemark-io/tidemark/format"
)

// errHalfRecord: in-flight data begins or ends inside a record, which only
// damage or a missing part explains (R8).
var errHalfRecord = errors.New("in-flight data is torn inside a record")

// joiner puts the records of one sub-stream together from its buffers and keeps
// those that are wanted, as whole frames in chunks of about one buffer.
// Watermarks and statuses are always kept: every receiver of the stream needs
// them (R3 iv).
type joiner struct {
	accept func(hash uint32) bool
	limit  int // bytes of a chunk
	chunks [][]byte
	open   []byte
	cursor exchange.Cursor
	next   uint64 // sequence number expected, once begun
	begun  bool
}

// add takes the next buffer of the stream.
func (j *joiner) add(b format.Buffer) error {
	if j.begun && b.Sequence != j.next {
		return fmt.Errorf("%w: buffer %d follows buffer %d", errHalfRecord, b.Sequence, j.next-1)
	}
	if !j.begun && b.Continuation > 0 {
		return fmt.Errorf("%w: it begins with %d bytes of an earlier record", errHalfRecord, b.Continuation)
	}
	j.begun, j.next = true, b.Sequence+1
	j.cursor.Feed(b.Payload)
	for {
		f, ok := j.cursor.Next()
		if !ok {
			return j.cursor.Err()
		}
		j.take(f)
	}
}

// take keeps a frame if it is wanted.
func (j *joiner) take(f exchange.Frame) {
	if f.Kind() == exchange.TagRecord && !j.accept(f.Hash) {
		return
	}
	start := len(j.open)
	switch f.Kind() {
	case exchange.TagWatermark:
		j.open = exchange.AppendWatermark(j.open, f.Timestamp)
	case exchange.TagStatus:
		j.open = exchange.AppendStatus(j.open, f.Payload[0])
	default:
		j.open = append(exchange.AppendFrame(j.open, f.Tag, f.Hash, f.Timestamp), f.Payload...)
		exchange.EndFrame(j.open, start)
	}
	if len(j.open) >= j.limit {
		j.flush()
	}
}

func (j *joiner) flush() {
	if len(j.open) > 0 {
		j.chunks = append(j.chunks, j.open)
		j.open = nil
	}
}

// end completes the stream.
func (j *joiner) end() error {
	j.flush()
	if n := len(j.cursor.Partial()); n > 0 {
		return fmt.Errorf("%w: it ends after %d bytes of one", errHalfRecord, n)
	}
	return nil
}
