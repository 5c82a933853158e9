package out

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
)

// YAML writes the value as YAML, with the names and the order of its JSON.
func YAML(w io.Writer, v any) error {
	text, err := marshal(v, "")
	if err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var b bytes.Buffer
	if err := yamlValue(&b, dec, 0, false); err != nil {
		return err
	}
	_, err = w.Write(b.Bytes())
	return err
}

// yamlValue writes the next value of the decoder. Inside a list the first name
// of an object stands on the line of the dash.
func yamlValue(b *bytes.Buffer, dec *json.Decoder, depth int, inList bool) error {
	tok, err := dec.Token()
	if err != nil {
		return err
	}
	switch tok := tok.(type) {
	case json.Delim:
		if !dec.More() {
			b.WriteString(map[json.Delim]string{'{': " {}\n", '[': " []\n"}[tok])
			_, err := dec.Token()
			return err
		}
		if tok == '{' {
			return yamlObject(b, dec, depth, inList)
		}
		return yamlList(b, dec, depth)
	case string:
		b.WriteString(" " + YAMLString(tok))
	case nil:
		b.WriteString(" null")
	default:
		fmt.Fprintf(b, " %v", tok)
	}
	b.WriteByte('\n')
	return nil
}

func yamlObject(b *bytes.Buffer, dec *json.Decoder, depth int, inList bool) error {
	if !inList && depth > 0 {
		b.WriteByte('\n')
	}
	for first := true; dec.More(); first = false {
		tok, err := dec.Token()
		if err != nil {
			return err
		}
		name, ok := tok.(string)
		if !ok {
			return errors.New("a name in JSON is no string")
		}
		switch {
		case first && inList:
			b.WriteByte(' ')
		default:
			b.WriteString(strings.Repeat("  ", depth))
		}
		b.WriteString(YAMLString(name) + ":")
		if err := yamlValue(b, dec, depth+1, false); err != nil {
			return err
		}
	}
	_, err := dec.Token()
	return err
}

func yamlList(b *bytes.Buffer, dec *json.Decoder, depth int) error {
	b.WriteByte('\n')
	for dec.More() {
		b.WriteString(strings.Repeat("  ", max(0, depth-1)) + "-")
		if err := yamlValue(b, dec, depth, true); err != nil {
			return err
		}
	}
	_, err := dec.Token()
	return err
}

// yamlWords are plain words that YAML takes for something else than text.
var yamlWords = []string{"true", "false", "null", "yes", "no", "on", "off", "y", "n"}

// isWord tells letters, digits and a few signs behind a letter.
func isWord(text string) bool {
	for i, r := range text {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || !strings.ContainsRune("0123456789_/.-", r)) {
			return false
		}
	}
	return text != ""
}

// YAMLString writes text as a scalar of YAML, quoted unless it is plainly a word.
func YAMLString(text string) string {
	if isWord(text) && !slices.Contains(yamlWords, strings.ToLower(text)) {
		return text
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
