package export

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"io"
)

// jsonl writes one object on each line. Cells without a value are left out.
type jsonl struct {
	w     *bufio.Writer
	names [][]byte // of the columns, quoted, with the colon
	line  []byte
}

func newJSONL(w io.Writer, columns []column) *jsonl {
	j := &jsonl{w: bufio.NewWriterSize(w, 64<<10)}
	for _, c := range columns {
		j.names = append(j.names, append(appendString(nil, c.name), ':'))
	}
	return j
}

func (j *jsonl) row(cells [][]byte) error {
	j.line = append(j.line[:0], '{')
	for i, cell := range cells {
		if cell == nil {
			continue
		}
		if len(j.line) > 1 {
			j.line = append(j.line, ',')
		}
		j.line = append(append(j.line, j.names[i]...), cell...)
	}
	_, err := j.w.Write(append(j.line, '}', '\n'))
	return err
}

func (j *jsonl) end() error { return j.w.Flush() }

// table of CSV: a head, and an empty cell for what has no value.
type csvSink struct {
	w     *csv.Writer
	cells []string
}

func newCSV(w io.Writer, columns []column) (*csvSink, error) {
	s := &csvSink{w: csv.NewWriter(w), cells: make([]string, len(columns))}
	for i, c := range columns {
		s.cells[i] = c.name
	}
	return s, s.w.Write(s.cells)
}

func (s *csvSink) row(cells [][]byte) error {
	for i, cell := range cells {
		s.cells[i] = plain(cell)
	}
	return s.w.Write(s.cells)
}

func (s *csvSink) end() error {
	s.w.Flush()
	return s.w.Error()
}

// plain is a JSON value as text: a string without its quotes and escapes.
func plain(cell []byte) string {
	if len(cell) > 1 && cell[0] == '"' {
		var text string
		if json.Unmarshal(cell, &text) == nil {
			return text
		}
	}
	return string(cell)
}

// appendString appends a JSON string. What a terminal could take for a command
// is escaped.
func appendString(dst []byte, s string) []byte {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' || s[i] == '"' || s[i] == '\\' {
			text, err := json.Marshal(s)
			if err != nil {
				return append(dst, `""`...)
			}
			return append(dst, text...)
		}
	}
	return append(append(append(dst, '"'), s...), '"')
}
