package jsonl

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/tidemark-io/tidemark/engine/connector/internal/position"
)

// reader reads one split.
type reader[T any] struct {
	file   *os.File
	split  splitData
	window       // the place in the file
	after  int64 // offset behind the last record read
	lines  int64 // newlines before after, negative if not known
	first  bool  // of an array: no record was read yet
	err    error // the end of the split or the error that ended it
}

// start moves to the first record of a split.
func (r *reader[T]) start() error {
	if r.split.From == 0 {
		r.skipMark()
		if r.split.Form == Array {
			return r.openArray()
		}
		return nil
	}
	// The line that is under way at From belongs to the split before. Looking
	// at the byte before From tells a line that begins exactly there.
	r.off--
	return r.skipLine()
}

// skipLine moves behind the next newline, however far it is.
func (r *reader[T]) skipLine() error {
	for {
		rest := r.rest()
		if i := bytes.IndexByte(rest, '\n'); i >= 0 {
			r.skip(i + 1)
			return nil
		}
		r.skip(len(rest))
		if err := r.more(); err != nil {
			if err == io.EOF {
				return nil
			}
			return r.failure(err)
		}
	}
}

func (r *reader[T]) openArray() error {
	c, err := r.skipSpace()
	if err == io.EOF {
		err = fmt.Errorf("the file is empty: %w", ErrArray)
	} else if err == nil && c != '[' {
		err = fmt.Errorf("it begins with %q: %w", c, ErrArray)
	}
	if err != nil {
		return r.failure(err)
	}
	r.skip(1)
	r.first = true
	return nil
}

// failure is an error at the present place.
func (r *reader[T]) failure(err error) error {
	return &Error{File: r.split.Path, Line: r.line + 1, Offset: r.off, Err: err}
}

// mark notes that everything before the present place was read.
func (r *reader[T]) mark() { r.after, r.lines = r.off, r.line }

// Read implements [engine.SplitReader]. Once it has returned an error it
// returns the same again.
func (r *reader[T]) Read(ctx context.Context, batch []T) (int, error) {
	if r.err == nil {
		r.err = ctx.Err()
	}
	for n := range batch {
		if r.err != nil {
			return n, r.err
		}
		if r.err = r.next(&batch[n]); r.err != nil {
			return n, r.err
		}
		r.mark()
	}
	return len(batch), nil
}

// next reads one record.
func (r *reader[T]) next(into *T) error {
	take := r.takeLine
	if r.split.Form == Array {
		take = r.takeValue
	}
	c, err := r.toRecord()
	if err == io.EOF {
		return io.EOF
	}
	offset, line := r.off, r.line
	var b []byte
	if err == nil {
		if r.split.Form == Lines && c == 0 { // begins in the next split
			return io.EOF
		}
		b, err = take()
	}
	if err == nil {
		// Fields that the record does not have must not keep what the batch
		// held before.
		var v T
		if err = json.Unmarshal(b, &v); err == nil {
			*into = v
			return nil
		}
	}
	return &Error{File: r.split.Path, Line: line + 1, Offset: offset, Err: err}
}

// toRecord moves to the first byte of the next record and returns it: 0 if the
// record belongs to the next split, io.EOF if there is none.
func (r *reader[T]) toRecord() (byte, error) {
	if r.split.Form == Array {
		return r.toElement()
	}
	for r.off < r.split.To {
		// A record belongs to the split in which its line begins, white space
		// in front of it included.
		rest := r.rest()
		n := 0
		for n < len(rest) && space(rest[n]) && rest[n] != '\n' {
			n++
		}
		if n == len(rest) {
			if err := r.more(); err != nil {
				return 0, err
			}
			continue
		}
		if rest[n] != '\n' {
			return rest[n], nil
		}
		r.skip(n + 1)
	}
	return 0, io.EOF
}

// toElement moves over the separators of an array.
func (r *reader[T]) toElement() (byte, error) {
	c, err := r.skipSpace()
	if err == io.EOF {
		return 0, fmt.Errorf("the array is not closed: %w", io.ErrUnexpectedEOF)
	}
	if err != nil {
		return 0, err
	}
	if c == ']' {
		r.skip(1)
		if c, err := r.skipSpace(); err != io.EOF {
			if err == nil {
				err = fmt.Errorf("%q follows the array: %w", c, ErrArray)
			}
			return 0, err
		}
		return 0, io.EOF
	}
	if !r.first {
		if c != ',' {
			return 0, fmt.Errorf("%q where a comma or the end of the array is expected: %w", c, ErrArray)
		}
		r.skip(1)
		if c, err = r.skipSpace(); err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
	}
	if err == nil && (c == ']' || c == ',') {
		err = fmt.Errorf("%q where a record is expected: %w", c, ErrArray)
	}
	r.first = false
	return c, err
}

// Position is the offset behind the last record read, and the lines before it.
func (r *reader[T]) Position(dst []byte) []byte {
	return position.Append(dst, uint64(r.after), uint64(r.lines))
}

// Close implements [engine.SplitReader].
func (r *reader[T]) Close() error { return r.file.Close() }
