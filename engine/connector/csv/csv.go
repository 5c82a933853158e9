// Package csv reads comma-separated files with a header row into structs.
package csv

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/engine/connector/internal/position"
)

// Options of a source. The zero value is good.
type Options struct {
	// Comma separates fields; 0 means a comma.
	Comma rune
	// TimeLayout is how time.Time fields are written, as in time.Parse; ""
	// means time.RFC3339. Times without zone are UTC.
	TimeLayout string
}

// Source reads files, each a split.
type Source[T any] struct {
	paths  []string
	opts   Options
	fields []field
}

// New makes a source of the files. T is a struct; each exported field is read
// from the column of its name, or of the name in its tag `csv:"name"`; the tag
// `csv:"-"` skips it. Fields are strings, booleans, integers, floats,
// time.Time, time.Duration (as in "1m30s") and named types of these. Columns
// without field are ignored; a missing column is an error when the file is
// opened. A field that is empty in the file is an error, except for strings.
func New[T any](paths []string, opts Options) (*Source[T], error) {
	if opts.Comma == 0 {
		opts.Comma = ','
	}
	fields, err := fieldsOf(reflect.TypeFor[T](), opts)
	if err != nil {
		return nil, fmt.Errorf("csv: %w", err)
	}
	return &Source[T]{paths: paths, opts: opts, fields: fields}, nil
}

// Error is a field or a row that could not be read.
type Error struct {
	File   string
	Line   int64  // from 1
	Column int    // in bytes, from 1; 0 if the row as a whole is at fault
	Name   string // of the column, or ""
	Err    error
}

// Error implements error.
func (e *Error) Error() string {
	if e.Column == 0 {
		return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Err)
	}
	return fmt.Sprintf("%s:%d:%d: column %q: %v", e.File, e.Line, e.Column, e.Name, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// ErrMissingColumn says that the header row lacks the column of a field.
var ErrMissingColumn = errors.New("column is missing")

type splitData struct {
	Path string `json:"path"`
}

// Splits implements [engine.Source].
func (s *Source[T]) Splits(context.Context) ([]engine.Split, error) {
	out := make([]engine.Split, len(s.paths))
	for i, path := range s.paths {
		data, err := json.Marshal(splitData{Path: path})
		if err != nil {
			return nil, err
		}
		out[i] = engine.Split{ID: fmt.Sprintf("%d:%s", i, path), Data: data}
	}
	return out, nil
}

// Open implements [engine.Source]. The header row is read at each Open.
func (s *Source[T]) Open(_ context.Context, split engine.Split, pos []byte) (engine.SplitReader[T], error) {
	var d splitData
	if err := json.Unmarshal(split.Data, &d); err != nil {
		return nil, fmt.Errorf("csv: split %s: description: %w", split.ID, err)
	}
	f, err := os.Open(d.Path)
	if err != nil {
		return nil, fmt.Errorf("csv: split %s: %w", split.ID, err)
	}
	r := &reader[T]{file: f, path: d.Path, columns: make([]int, len(s.fields)), fields: s.fields}
	if err := r.start(s.opts.Comma, pos); err != nil {
		f.Close()
		return nil, fmt.Errorf("csv: split %s: %w", split.ID, err)
	}
	return r, nil
}

// reader reads one file.
type reader[T any] struct {
	file    *os.File
	path    string
	fields  []field
	columns []int // of each field
	csv     *csv.Reader
	base    int64 // offset at which csv began
	lines   int64 // lines before base
	after   int64 // offset behind the last row
	line    int64 // lines before after
	err     error
}

// start reads the header and moves to a position.
func (r *reader[T]) start(comma rune, pos []byte) error {
	info, err := r.file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file, so it cannot be replayed", r.path)
	}
	r.open(comma)
	header, err := r.csv.Read()
	if err == io.EOF {
		err = errors.New("the file is empty, a header row is expected")
	}
	if err != nil {
		return r.rowError(err)
	}
	if err := r.bind(header); err != nil {
		return err
	}
	r.advance(header)
	if pos == nil {
		return nil
	}
	first := r.after
	if err := position.Parse(pos, &r.after, &r.line); err != nil {
		return err
	}
	if r.after < first || r.after > info.Size() {
		return fmt.Errorf("position %d is not in the rows of %s, bytes %d to %d", r.after, r.path, first, info.Size())
	}
	if _, err := r.file.Seek(r.after, io.SeekStart); err != nil {
		return err
	}
	r.base, r.lines = r.after, r.line
	r.open(comma)
	r.csv.FieldsPerRecord = len(header)
	return nil
}

func (r *reader[T]) open(comma rune) {
	r.csv = csv.NewReader(r.file)
	r.csv.Comma = comma
	r.csv.ReuseRecord = true
}

// bind finds the column of each field.
func (r *reader[T]) bind(header []string) error {
	header[0] = strings.TrimPrefix(header[0], "\xef\xbb\xbf")
	for i, f := range r.fields {
		r.columns[i] = -1
		for c, name := range header {
			if name != f.name {
				continue
			}
			if r.columns[i] >= 0 {
				return &Error{File: r.path, Line: 1, Err: fmt.Errorf("two columns are named %q", name)}
			}
			r.columns[i] = c
		}
		if r.columns[i] < 0 {
			return &Error{File: r.path, Line: 1, Err: fmt.Errorf("%q: %w (the file has %s)", f.name, ErrMissingColumn, strings.Join(header, ", "))}
		}
	}
	return nil
}

// advance notes that a row was read. The line of its end is that of its last
// field, plus the newlines in that field.
func (r *reader[T]) advance(row []string) {
	r.after = r.base + r.csv.InputOffset()
	last := len(row) - 1
	line, _ := r.csv.FieldPos(last)
	r.line = r.lines + int64(line) + int64(strings.Count(row[last], "\n"))
}

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
	}
	return len(batch), nil
}

func (r *reader[T]) next(into *T) error {
	row, err := r.csv.Read()
	if err == io.EOF {
		return io.EOF
	}
	if err != nil {
		return r.rowError(err)
	}
	var v T
	target := reflect.ValueOf(&v).Elem()
	for i, f := range r.fields {
		c := r.columns[i]
		if err := f.set(target.Field(f.index), row[c]); err != nil {
			line, column := r.csv.FieldPos(c)
			return &Error{File: r.path, Line: r.lines + int64(line), Column: column, Name: f.name, Err: err}
		}
	}
	*into = v
	r.advance(row)
	return nil
}

// rowError gives an error of encoding/csv our place: it counts lines from where
// it began to read.
func (r *reader[T]) rowError(err error) error {
	var pe *csv.ParseError
	if errors.As(err, &pe) {
		return &Error{File: r.path, Line: r.lines + int64(pe.Line), Column: 0, Err: fmt.Errorf("at byte %d of the line: %w", pe.Column, pe.Err)}
	}
	return &Error{File: r.path, Line: r.line + 1, Err: err}
}

// Position is the offset behind the last row read, and the lines before it.
func (r *reader[T]) Position(dst []byte) []byte {
	return position.Append(dst, uint64(r.after), uint64(r.line))
}

// Close implements [engine.SplitReader].
func (r *reader[T]) Close() error { return r.file.Close() }
