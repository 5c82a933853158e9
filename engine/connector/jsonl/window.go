package jsonl

import (
	"bytes"
	"fmt"
	"io"
)

// window is the part of a file that is in memory: one record at least, and what
// was read behind it. It grows up to a limit.
type window struct {
	file  io.ReaderAt
	size  int64 // of the file when it was opened
	off   int64 // of buf[pos] in the file
	buf   []byte
	pos   int
	limit int   // of the bytes of a record
	line  int64 // newlines before off, negative if not known
}

// windowSize is the first size of the buffer in bytes.
const windowSize = 64 << 10

func newWindow(f io.ReaderAt, off, size int64, limit int) window {
	return window{file: f, off: off, size: size, limit: limit}
}

// rest is what is in memory from the present place on.
func (w *window) rest() []byte { return w.buf[w.pos:] }

// more reads further bytes behind rest; io.EOF at the end of the file, and
// ErrTooLong if rest is at the limit already.
func (w *window) more() error {
	rest := w.rest()
	at := w.off + int64(len(rest))
	if at >= w.size {
		return io.EOF
	}
	if len(rest) > w.limit {
		return fmt.Errorf("more than %d bytes: %w", w.limit, ErrTooLong)
	}
	if w.pos > 0 {
		w.buf = w.buf[:copy(w.buf, rest)]
		w.pos = 0
	}
	if len(w.buf) == cap(w.buf) {
		grown := make([]byte, len(w.buf), max(windowSize, 2*cap(w.buf)))
		copy(grown, w.buf)
		w.buf = grown
	}
	into := w.buf[len(w.buf):cap(w.buf)]
	if left := w.size - at; int64(len(into)) > left {
		into = into[:left]
	}
	n, err := w.file.ReadAt(into, at)
	w.buf = w.buf[:len(w.buf)+n]
	switch {
	case n > 0:
		return nil
	case err == io.EOF:
		return fmt.Errorf("the file became shorter than %d bytes while it was read: %w", w.size, io.ErrUnexpectedEOF)
	}
	return err
}

// skip moves the present place by n bytes of rest.
func (w *window) skip(n int) {
	if w.line >= 0 {
		w.line += int64(bytes.Count(w.rest()[:n], newline))
	}
	w.pos += n
	w.off += int64(n)
}

var newline = []byte{'\n'}

// skipMark skips a byte order mark, which some programs put in front of UTF-8.
func (w *window) skipMark() {
	for len(w.rest()) < 3 {
		if w.more() != nil {
			return
		}
	}
	if bytes.HasPrefix(w.rest(), []byte("\xef\xbb\xbf")) {
		w.skip(3)
	}
}

// skipSpace skips white space and returns the next byte, io.EOF if there is
// none.
func (w *window) skipSpace() (byte, error) {
	for {
		rest := w.rest()
		n := 0
		for n < len(rest) && space(rest[n]) {
			n++
		}
		w.skip(n)
		if n < len(rest) {
			return rest[n], nil
		}
		if err := w.more(); err != nil {
			return 0, err
		}
	}
}

func space(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// takeLine returns the line at the present place, without its newline, and
// moves behind it. The bytes are valid until the next call.
func (w *window) takeLine() ([]byte, error) {
	scanned := 0
	for {
		rest := w.rest()
		if i := bytes.IndexByte(rest[scanned:], '\n'); i >= 0 {
			n := scanned + i
			if n > w.limit {
				return nil, fmt.Errorf("%d bytes, the limit is %d: %w", n, w.limit, ErrTooLong)
			}
			w.skip(n + 1)
			return rest[:n], nil
		}
		scanned = len(rest)
		err := w.more()
		if err == io.EOF && scanned > 0 && scanned <= w.limit {
			// more did not move the buffer: rest is still in place.
			w.skip(scanned)
			return rest, nil
		}
		if err == io.EOF && scanned > 0 {
			err = fmt.Errorf("%d bytes, the limit is %d: %w", scanned, w.limit, ErrTooLong)
		}
		if err != nil {
			return nil, err
		}
	}
}

// takeValue returns the JSON value at the present place and moves behind it. It
// finds the end only; whether the value is well formed is for encoding/json to
// say. The bytes are valid until the next call.
func (w *window) takeValue() ([]byte, error) {
	var s extent
	for {
		rest := w.rest()
		if n, done := s.scan(rest); done {
			if n > w.limit {
				return nil, fmt.Errorf("%d bytes, the limit is %d: %w", n, w.limit, ErrTooLong)
			}
			w.skip(n)
			return rest[:n], nil
		}
		if err := w.more(); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
}

// extent finds the end of a JSON value, over several calls with a growing
// slice. It needs no stack: depth alone tells where the value ends.
type extent struct {
	at      int // bytes looked at
	depth   int // open braces and brackets
	text    bool
	escaped bool
}

func (s *extent) scan(b []byte) (n int, done bool) {
	for ; s.at < len(b); s.at++ {
		c := b[s.at]
		if s.text {
			switch {
			case s.escaped:
				s.escaped = false
			case c == '\\':
				s.escaped = true
			case c == '"':
				s.text = false
				if s.depth == 0 {
					return s.at + 1, true
				}
			}
			continue
		}
		switch c {
		case '"':
			s.text = true
		case '{', '[':
			s.depth++
		case '}', ']':
			if s.depth--; s.depth < 0 {
				return s.at, true // the end of what surrounds a number
			}
			if s.depth == 0 {
				return s.at + 1, true
			}
		case ',', ' ', '\t', '\r', '\n':
			if s.depth == 0 {
				return s.at, true // behind a number or a word
			}
		}
	}
	return 0, false
}
