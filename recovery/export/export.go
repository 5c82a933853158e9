// Package export writes the contents of a checkpoint as rows of tables: JSON
// lines, CSV, Parquet. It streams, with bounded memory.
//
// The columns are operator, state, kind, edge, subtask, key_group, hash, key,
// namespace, value, time and detail. If all that is selected has one type of key
// or of value and that is a struct, each of its fields has a column of its own
// ("value.count") instead.
package export

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/recovery"
)

// Format is a format of export.
type Format string

// Formats.
const (
	JSONL   Format = "jsonl"
	CSV     Format = "csv"
	Parquet Format = "parquet"
)

// Formats lists all formats.
var Formats = []Format{JSONL, CSV, Parquet}

// ErrFormat: there is no such format.
var ErrFormat = errors.New("no such format of export")

// Options configure Write.
type Options struct {
	Format   Format
	Select   checkpoint.Selector
	Progress func(bytes uint64) // nil is none
}

// sink takes rows in one format. Cells are JSON texts, nil for null, valid until
// row returns.
type sink interface {
	row(cells [][]byte) error
	end() error
}

// Write writes what is selected and returns the number of rows. A field that
// does not decode ends it with an error: a table in which values are missing
// looks like one in which there are none. What was written before an error is no
// whole file; in particular Parquet needs its end.
func Write(ctx context.Context, c checkpoint.Checkpoint, w io.Writer, opts Options) (rows uint64, err error) {
	t, err := tableOf(ctx, c, opts.Select)
	if err != nil {
		return 0, err
	}
	var s sink
	switch opts.Format {
	case JSONL:
		s = newJSONL(w, t.columns)
	case CSV:
		s, err = newCSV(w, t.columns)
	case Parquet:
		s, err = newParquet(w, t.columns)
	default:
		return 0, fmt.Errorf("%q: %w; there are %v", opts.Format, ErrFormat, Formats)
	}
	if err != nil {
		return 0, err
	}
	for r, err := range recovery.Rows(ctx, c, opts.Select, recovery.RowOptions{}) {
		if err == nil {
			err = r.Problem
		}
		if err != nil {
			return rows, fmt.Errorf("row %d, state %q of operator %q: %w", rows, r.State.Name, r.State.Operator, err)
		}
		cells, err := t.cells(&r)
		if err == nil {
			err = s.row(cells)
		}
		if err != nil {
			return rows, err
		}
		rows++
		if opts.Progress != nil {
			opts.Progress(uint64(len(r.Key) + len(r.Namespace) + len(r.Value)))
		}
	}
	return rows, s.end()
}

// column is a column of the table.
type column struct {
	name string
	typ  checkpoint.ColumnType
}

// table knows the columns and makes the cells of a row.
type table struct {
	columns []column
	key     []checkpoint.Column // fields with columns of their own, nil if the key is one column
	value   []checkpoint.Column
	row     [][]byte
	buf     []byte
}

// tableOf decides on the columns.
func tableOf(ctx context.Context, c checkpoint.Checkpoint, sel checkpoint.Selector) (*table, error) {
	var keys, namespaces, values common
	tabular, ok := c.(checkpoint.Tabular)
	for st, err := range c.States(ctx) {
		if err != nil {
			return nil, err
		}
		if !ok || !sel.Takes(st) {
			continue
		}
		for field, all := range map[checkpoint.Field]*common{checkpoint.FieldKey: &keys, checkpoint.FieldNamespace: &namespaces, checkpoint.FieldValue: &values} {
			columns, err := tabular.Columns(st, field)
			if err != nil {
				return nil, err
			}
			all.add(columns)
		}
	}
	t := &table{columns: []column{{"operator", checkpoint.ColumnString}, {"state", checkpoint.ColumnString}, {"kind", checkpoint.ColumnString}, {"edge", checkpoint.ColumnString},
		{"subtask", checkpoint.ColumnInt}, {"key_group", checkpoint.ColumnInt}, {"hash", checkpoint.ColumnInt}}}
	t.key = t.field("key", &keys)
	t.columns = append(t.columns, column{"namespace", namespaces.typ()})
	t.value = t.field("value", &values)
	t.columns = append(t.columns, column{"time", checkpoint.ColumnInt}, column{"detail", checkpoint.ColumnJSON})
	t.row = make([][]byte, len(t.columns))
	return t, nil
}

// common finds out whether all states have the same columns in one field.
type common struct {
	columns []checkpoint.Column
	known   bool
	differ  bool
}

func (c *common) add(columns []checkpoint.Column) {
	if len(columns) == 0 {
		return
	}
	if c.known && fmt.Sprint(c.columns) != fmt.Sprint(columns) {
		c.differ = true
	}
	c.columns, c.known = columns, true
}

// typ is the type of the field as one column.
func (c *common) typ() checkpoint.ColumnType {
	if c.differ || len(c.columns) != 1 || c.columns[0].Name != "" {
		return checkpoint.ColumnJSON
	}
	return c.columns[0].Type
}

// field adds the columns of a field and returns them if they are several.
func (t *table) field(name string, c *common) []checkpoint.Column {
	if c.differ || len(c.columns) == 0 || c.columns[0].Name == "" {
		t.columns = append(t.columns, column{name, c.typ()})
		return nil
	}
	for _, f := range c.columns {
		t.columns = append(t.columns, column{name + "." + f.Name, f.Type})
	}
	return c.columns
}

// cells are the row's cells, valid until the next call.
func (t *table) cells(r *recovery.Row) ([][]byte, error) {
	t.buf = t.buf[:0]
	row := t.row[:0]
	text := func(s string) {
		if s == "" {
			row = append(row, nil)
			return
		}
		from := len(t.buf)
		t.buf = appendString(t.buf, s)
		row = append(row, t.buf[from:len(t.buf):len(t.buf)])
	}
	number := func(known bool, n int64) {
		if !known {
			row = append(row, nil)
			return
		}
		from := len(t.buf)
		t.buf = strconv.AppendInt(t.buf, n, 10)
		row = append(row, t.buf[from:len(t.buf):len(t.buf)])
	}
	text(r.State.Operator)
	text(r.State.Name)
	text(string(r.State.Kind))
	text(r.State.Edge)
	number(true, int64(r.Subtask))
	number(r.KeyGroup != checkpoint.NoKeyGroup, int64(r.KeyGroup))
	number(r.HasHash, int64(r.Hash))
	var err error
	if row, err = appendField(row, r.Key, t.key); err != nil {
		return nil, err
	}
	row = append(row, r.Namespace)
	if row, err = appendField(row, r.Value, t.value); err != nil {
		return nil, err
	}
	number(r.Time != checkpoint.UnknownTime, r.Time)
	row = append(row, t.detail(r))
	t.row = row
	return row, nil
}

// detail is the row's further numbers as a JSON object, nil if it has none.
func (t *table) detail(r *recovery.Row) []byte {
	from := len(t.buf)
	for i, d := range r.Detail {
		t.buf = append(t.buf, "{,"[min(i, 1)])
		t.buf = append(appendString(t.buf, d.Name), ':')
		t.buf = appendString(t.buf, d.Value)
	}
	if len(t.buf) == from {
		return nil
	}
	t.buf = append(t.buf, '}')
	return t.buf[from:]
}

// appendField adds the cells of a field: itself, or its parts.
func appendField(row [][]byte, text []byte, columns []checkpoint.Column) ([][]byte, error) {
	switch {
	case columns == nil:
		return append(row, text), nil
	case text == nil:
		for range columns {
			row = append(row, nil)
		}
		return row, nil
	}
	before := len(row)
	row = splitObject(row, text)
	if len(row)-before != len(columns) {
		return nil, fmt.Errorf("%d fields in a struct of %d", len(row)-before, len(columns))
	}
	return row, nil
}

// splitObject cuts a JSON object without white space, as the printer writes it,
// into its values.
func splitObject(row [][]byte, text []byte) [][]byte {
	depth, start, quoted := 0, -1, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted:
			if c == '\\' {
				i++
			} else if c == '"' {
				quoted = false
			}
		case c == '"':
			quoted = true
		case c == '{' || c == '[':
			depth++
		case c == ':' && depth == 1:
			start = i + 1
		case c == ',' && depth == 1:
			row, start = append(row, orNull(text[start:i])), -1
		case c == '}' || c == ']':
			if depth--; depth == 0 && start >= 0 {
				row = append(row, orNull(text[start:i]))
			}
		}
	}
	return row
}

func orNull(text []byte) []byte {
	if string(text) == "null" {
		return nil
	}
	return text
}
