package format

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// CheckName reports whether name is one that a file of this format may refer
// to: a path relative to the root in its only spelling. It has at most
// [MaxName] bytes of [a-z0-9._-] and '/', at most [MaxSegments] segments, none
// of them empty, ".", "..", ending in a dot, or a device name of Windows. The
// error is of the class [ErrInvalid].
func CheckName(name string) error {
	if name == "" || len(name) > MaxName {
		return invalid("name of %d bytes, 1 to %d are allowed", len(name), MaxName)
	}
	segments := 1
	for i := range len(name) {
		switch c := name[i]; {
		case c == '/':
			segments++
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		default:
			return invalid("name %q has the byte %#02x at %d", name, c, i)
		}
	}
	if segments > MaxSegments {
		return invalid("name %q has %d segments, at most %d are allowed", name, segments, MaxSegments)
	}
	for segment := range strings.SplitSeq(name, "/") {
		if segment == "" || strings.HasSuffix(segment, ".") {
			return invalid("name %q has the segment %q", name, segment)
		}
		if base, _, _ := strings.Cut(segment, "."); isDevice(base) {
			return invalid("name %q has the segment %q, a device of Windows", name, segment)
		}
	}
	return nil
}

// isDevice reports whether Windows takes the lower-case name for a device, with
// any extension.
func isDevice(base string) bool {
	if slices.Contains([]string{"con", "prn", "aux", "nul"}, base) {
		return true
	}
	return len(base) == 4 && (base[:3] == "com" || base[:3] == "lpt") && '0' <= base[3] && base[3] <= '9'
}

// checkText requires a printable UTF-8 text of at most limit bytes, which may
// be empty.
func checkText(what, s string, limit int) error {
	if len(s) > limit {
		return invalid("%s of %d bytes, at most %d are allowed", what, len(s), limit)
	}
	if !utf8.ValidString(s) {
		return invalid("%s %q is not UTF-8", what, s)
	}
	for _, r := range s {
		if !unicode.IsGraphic(r) {
			return invalid("%s %q has the character %U, which cannot be printed", what, s, r)
		}
	}
	return nil
}

// checkFilled is checkText for a text that must not be empty.
func checkFilled(what, s string, limit int) error {
	if s == "" {
		return invalid("empty %s", what)
	}
	return checkText(what, s, limit)
}
