package store

import (
	"fmt"
	"strings"
)

// Limits of object names. They are the same for every store, so that a
// checkpoint can be copied from any store to any other.
const (
	// MaxName is the longest name, in bytes.
	MaxName = 512
	// MaxSegments is the largest number of parts between slashes.
	MaxSegments = 16
	// MaxSegment is the longest part, in bytes: the limit of file systems.
	MaxSegment = 255
	// ReservedPrefix begins the parts of names that a store keeps for itself
	// (unfinished uploads, its lock). No object may have such a part in its
	// name, and List shows none.
	ReservedPrefix = ".tm-"
)

// The only segments with capital letters: the names of checkpoints' manifests.
const (
	manifestName     = "MANIFEST"
	manifestCopyName = "MANIFEST.copy"
)

// CheckName returns nil if the name may be given to an object, and otherwise an
// error that is [ErrName] and says what is wrong.
//
// A name has 1 to 512 bytes out of a-z, 0-9, ".", "_", "-" and "/". The slash
// parts it into at most 16 segments; none is empty, "." or "..", so that a name
// has one spelling only and never leads upwards. Capital letters are refused
// because some file systems do not tell them from small ones; the two segments
// "MANIFEST" and "MANIFEST.copy" are the exception, and their lower-case
// spellings are refused instead. So are segments that end in a dot and the names
// of Windows' devices ("con", "nul.x"), which mean something else there.
func CheckName(name string) error {
	switch {
	case name == "":
		return badName(name, "it is empty")
	case len(name) > MaxName:
		return badName(name[:32]+"…", fmt.Sprintf("it has %d bytes, at most %d are allowed", len(name), MaxName))
	}
	for i := range len(name) {
		if !allowedByte(name[i]) && !capital(name[i]) {
			return badName(name, fmt.Sprintf("byte %#02x at %d is not one of a-z 0-9 . _ - /", name[i], i))
		}
	}
	rest, more := name, true
	for n := 1; more; n++ {
		var segment string
		segment, rest, more = strings.Cut(rest, "/")
		if n > MaxSegments {
			return badName(name, fmt.Sprintf("it has more than %d segments", MaxSegments))
		}
		if why := badSegment(segment); why != "" {
			return badName(name, why)
		}
	}
	return nil
}

// badSegment says what is wrong with one part of a name, or "".
func badSegment(segment string) string {
	if segment == manifestName || segment == manifestCopyName {
		return ""
	}
	switch {
	case segment == strings.ToLower(manifestName) || segment == strings.ToLower(manifestCopyName):
		return fmt.Sprintf("%q clashes with the name of a manifest", segment)
	case strings.ContainsFunc(segment, func(r rune) bool { return r < 0x80 && capital(byte(r)) }):
		return fmt.Sprintf("%q has a capital letter, which only %q and %q may have", segment, manifestName, manifestCopyName)
	case segment == "":
		return "a segment is empty"
	case segment == "." || segment == "..":
		return fmt.Sprintf("a segment is %q", segment)
	case len(segment) > MaxSegment:
		return fmt.Sprintf("a segment has %d bytes, at most %d are allowed", len(segment), MaxSegment)
	case strings.HasPrefix(segment, ReservedPrefix):
		return fmt.Sprintf("segments that begin with %q are reserved", ReservedPrefix)
	case strings.HasSuffix(segment, "."):
		return "a segment ends in a dot"
	case deviceName(segment):
		return fmt.Sprintf("segment %q is a device on Windows", segment)
	}
	return ""
}

func allowedByte(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == '-' || c == '/'
}

// capital reports whether c is a capital letter.
func capital(c byte) bool { return 'A' <= c && c <= 'Z' }

// deviceName reports whether Windows takes the segment for a device. An
// extension does not help there: "nul.txt" is the device too.
func deviceName(segment string) bool {
	base, _, _ := strings.Cut(segment, ".")
	switch base {
	case "con", "prn", "aux", "nul":
		return true
	}
	if len(base) == 4 && (base[:3] == "com" || base[:3] == "lpt") {
		return '0' <= base[3] && base[3] <= '9'
	}
	return false
}

// badName makes the error. The name is quoted, so that control bytes in it
// reach no terminal.
func badName(name, why string) error {
	return fmt.Errorf("%w: %q: %s", ErrName, name, why)
}

// CheckPrefix returns nil if the prefix may be given to List: it is empty or
// everything before its last slash is a legal name. The rest is compared with
// names and needs no check. The error is [ErrName].
func CheckPrefix(prefix string) error {
	i := strings.LastIndexByte(prefix, '/')
	if i < 0 {
		return nil
	}
	return CheckName(prefix[:i])
}
