package out

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// JSON writes the value as an indented JSON document. Characters that are not
// printable are escaped, also those that JSON would allow as they are.
func JSON(w io.Writer, v any) error { return encode(w, v, "  ") }

// JSONLine writes the value as JSON on one line.
func JSONLine(w io.Writer, v any) error { return encode(w, v, "") }

func encode(w io.Writer, v any, indent string) error {
	text, err := marshal(v, indent)
	if err != nil {
		return err
	}
	_, err = w.Write(ascii(text))
	return err
}

// marshal is json.Marshal without the escapes that only web pages need; the
// text ends with a line feed.
func marshal(v any, indent string) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", indent)
	err := enc.Encode(v)
	return b.Bytes(), err
}

// ascii escapes what is not printable in JSON. Outside of strings JSON is all
// ASCII, so whatever is found stands in a string.
func ascii(text []byte) []byte {
	if !bytes.ContainsFunc(text, hidden) {
		return text
	}
	b := make([]byte, 0, len(text)+64)
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch {
		case !hidden(r):
			b = append(b, text[:size]...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			b = fmt.Appendf(b, `\u%04x\u%04x`, high, low)
		default:
			b = fmt.Appendf(b, `\u%04x`, r)
		}
		text = text[size:]
	}
	return b
}

// hidden tells characters that a terminal may take for a command. The line
// feeds between the lines of an indented document are no part of its strings.
func hidden(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }
