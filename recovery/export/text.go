package export

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
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
		j.line = append(append(j.line, j.names[i]...), printable(cell)...)
	}
	_, err := j.w.Write(append(j.line, '}', '\n'))
	return err
}

func (j *jsonl) end() error { return j.w.Flush() }

// csvSink writes a table of CSV (RFC 4180, lines end in a newline): a head, and an
// empty cell for what has no value. encoding/csv wants a string for each cell,
// which would be most of the memory that an export allocates.
type csvSink struct {
	w    *bufio.Writer
	line []byte
}

func newCSV(w io.Writer, columns []column) (*csvSink, error) {
	s := &csvSink{w: bufio.NewWriterSize(w, 64<<10)}
	names := make([][]byte, len(columns))
	for i, c := range columns {
		names[i] = []byte(c.name)
	}
	return s, s.row(names)
}

func (s *csvSink) row(cells [][]byte) error {
	s.line = s.line[:0]
	for i, cell := range cells {
		if i > 0 {
			s.line = append(s.line, ',')
		}
		s.line = appendCell(s.line, plain(cell))
	}
	_, err := s.w.Write(append(s.line, '\n'))
	return err
}

func (s *csvSink) end() error { return s.w.Flush() }

// appendCell appends a cell, in quotes if it needs them.
func appendCell(dst, text []byte) []byte {
	if first, _ := utf8.DecodeRune(text); !bytes.ContainsAny(text, ",\"\r\n") && !unicode.IsSpace(first) && string(text) != `\.` {
		return append(dst, text...)
	}
	dst = append(dst, '"')
	for _, c := range text {
		if c == '"' {
			dst = append(dst, '"')
		}
		dst = append(dst, c)
	}
	return append(dst, '"')
}

// plain is a JSON value as text: a string without its quotes and escapes, unless
// it has characters that are no text. Line ends and tabs are text.
func plain(cell []byte) []byte {
	cell = printable(cell)
	if text := unquote(cell); !bytes.ContainsFunc(text, hidden) {
		return text
	}
	return cell
}

// unquote is a JSON value as text, whatever the text is.
func unquote(cell []byte) []byte {
	if len(cell) < 2 || cell[0] != '"' {
		return cell
	}
	if bytes.IndexByte(cell, '\\') < 0 {
		return cell[1 : len(cell)-1]
	}
	var text string
	if json.Unmarshal(cell, &text) != nil {
		return cell
	}
	return []byte(text)
}

// hidden reports whether a character does something to a terminal instead of
// being shown there: control characters but line ends and tabs, and changes of
// the writing direction.
func hidden(r rune) bool {
	return r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r))
}

// printable is a JSON value in which such characters are escapes. They occur
// within strings only.
func printable(cell []byte) []byte {
	ascii := true
	for _, c := range cell {
		ascii = ascii && c < 0x7f // JSON has no control characters of ASCII but that one
	}
	if ascii || !bytes.ContainsFunc(cell, hidden) {
		return cell
	}
	var b []byte
	for _, r := range string(cell) {
		if !hidden(r) {
			b = utf8.AppendRune(b, r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			b = fmt.Appendf(b, "\\u%04x", unit)
		}
	}
	return b
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
