// Package jsonl reads JSON Lines, and JSON arrays of objects, into Go values by
// encoding/json.
package jsonl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/engine/connector/internal/position"
)

// Form is how a file arranges its records.
type Form string

// Forms.
const (
	// Auto looks at the first byte of the file that is not white space: an
	// opening bracket means Array.
	Auto Form = ""
	// Lines is one record a line. Blank lines are skipped, and the last line
	// needs no newline.
	Lines Form = "lines"
	// Array is one JSON array of records, over any number of lines.
	Array Form = "array"
)

// DefaultMaxRecord is the limit of the encoded length of a record in bytes.
const DefaultMaxRecord = 16 << 20

// Options of a source. The zero value is good.
type Options struct {
	Form Form
	// MaxRecord limits the encoded length of one record, in bytes; 0 means
	// [DefaultMaxRecord]. It bounds the memory of a reader.
	MaxRecord int
	// SplitBytes cuts files of lines into splits of about so many bytes; 0
	// makes one split per file. Arrays are never cut. In a split that does not
	// begin its file, errors know no line number.
	SplitBytes int64
}

// Source reads files.
type Source[T any] struct {
	paths []string
	opts  Options
}

// New makes a source of the files, in the order given.
func New[T any](paths []string, opts Options) *Source[T] {
	if opts.MaxRecord <= 0 {
		opts.MaxRecord = DefaultMaxRecord
	}
	return &Source[T]{paths: paths, opts: opts}
}

// Error is a record that could not be read.
type Error struct {
	File   string
	Line   int64 // from 1; 0 if it is not known
	Offset int64 // of the record, in bytes from the start of the file
	Err    error
}

// Error implements error.
func (e *Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: record at offset %d: %v", e.File, e.Offset, e.Err)
	}
	return fmt.Sprintf("%s:%d: record at offset %d: %v", e.File, e.Line, e.Offset, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Causes within an [Error].
var (
	// ErrTooLong says that a record exceeds MaxRecord.
	ErrTooLong = errors.New("record is too long")
	// ErrArray says that a file is not one JSON array.
	ErrArray = errors.New("not a JSON array of records")
)

// splitData is the description of a split: the records that begin at From or
// later and before To.
type splitData struct {
	Path string `json:"path"`
	Form Form   `json:"form"`
	From int64  `json:"from"`
	To   int64  `json:"to"`
}

// Splits implements [engine.Source]. The size of each file is taken here: what
// is appended to it later is not read.
func (s *Source[T]) Splits(context.Context) ([]engine.Split, error) {
	var out []engine.Split
	for i, path := range s.paths {
		form, size, err := inspect(path, s.opts.Form)
		if err != nil {
			return nil, err
		}
		step := size
		if form == Lines && s.opts.SplitBytes > 0 {
			step = s.opts.SplitBytes
		}
		for from := int64(0); from < size || from == 0; from += max(step, 1) {
			data, err := json.Marshal(splitData{Path: path, Form: form, From: from, To: min(from+step, size)})
			if err != nil {
				return nil, err
			}
			out = append(out, engine.Split{ID: fmt.Sprintf("%d:%s@%d", i, path, from), Data: data})
		}
	}
	return out, nil
}

// inspect finds the form and the size of a file.
func inspect(path string, form Form) (Form, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0, fmt.Errorf("jsonl: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", 0, fmt.Errorf("jsonl: %w", err)
	}
	if !info.Mode().IsRegular() {
		return "", 0, fmt.Errorf("jsonl: %s is not a regular file, so it cannot be replayed", path)
	}
	if form != Auto {
		return form, info.Size(), nil
	}
	w := newWindow(f, 0, info.Size(), DefaultMaxRecord)
	w.skipMark()
	c, err := w.skipSpace()
	if err != nil && err != io.EOF {
		return "", 0, fmt.Errorf("jsonl: %s: %w", path, err)
	}
	if c == '[' {
		return Array, info.Size(), nil
	}
	return Lines, info.Size(), nil
}

// Open implements [engine.Source].
func (s *Source[T]) Open(_ context.Context, split engine.Split, pos []byte) (engine.SplitReader[T], error) {
	var d splitData
	if err := json.Unmarshal(split.Data, &d); err != nil {
		return nil, fmt.Errorf("jsonl: split %s: description: %w", split.ID, err)
	}
	if d.Form != Lines && d.Form != Array || d.From < 0 || d.To < d.From {
		return nil, fmt.Errorf("jsonl: split %s: form %q, bytes %d to %d", split.ID, d.Form, d.From, d.To)
	}
	offset, line := d.From, int64(-1)
	if d.From == 0 {
		line = 0
	}
	lines := uint64(line)
	if err := parsePosition(pos, &offset, &lines); err != nil {
		return nil, fmt.Errorf("jsonl: split %s: %w", split.ID, err)
	}
	f, err := os.Open(d.Path)
	if err != nil {
		return nil, fmt.Errorf("jsonl: split %s: %w", split.ID, err)
	}
	info, err := f.Stat()
	if err == nil && (info.Size() < d.To || offset > info.Size() || offset < d.From) {
		err = fmt.Errorf("%s has %d bytes; the split ends at %d and is to be read from %d", d.Path, info.Size(), d.To, offset)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("jsonl: split %s: %w", split.ID, err)
	}
	r := &reader[T]{file: f, split: d, window: newWindow(f, offset, info.Size(), s.opts.MaxRecord)}
	r.line = int64(lines)
	// Before the first record the position is the beginning of the split, also
	// if start moves on from there: start will be repeated.
	r.mark()
	if offset == d.From {
		if err := r.start(); err != nil {
			f.Close()
			return nil, err
		}
	}
	return r, nil
}

// A position is the offset behind the last record read, and the number of
// lines that end before it (all ones if not known).
func parsePosition(pos []byte, offset *int64, lines *uint64) error {
	if pos == nil {
		return nil
	}
	if len(pos) != 16 {
		return fmt.Errorf("position has %d bytes, 16 expected", len(pos))
	}
	if err := position.Parse(pos[:8], offset); err != nil {
		return err
	}
	var n int64
	if position.Parse(pos[8:], &n) != nil {
		n = -1
	}
	*lines = uint64(n)
	return nil
}
