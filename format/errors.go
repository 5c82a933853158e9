package format

import (
	"errors"
	"fmt"
	"io"
)

// Why bytes were refused, asked with errors.Is. A recovery tool acts
// differently on each.
var (
	// ErrTruncated: the bytes stop before the end that they state. A longer
	// copy may exist elsewhere.
	ErrTruncated = errors.New("truncated")
	// ErrChecksum: the bytes are not those that were written, or not those
	// that the parent names (a stale, swapped or misplaced block).
	ErrChecksum = errors.New("checksum mismatch")
	// ErrMalformed: the checksum holds, but the content breaks the format: a
	// faulty or hostile writer.
	ErrMalformed = errors.New("malformed")
	// ErrTooNew: written by a later version, or with a feature that this
	// version does not know. Nothing is wrong with the bytes.
	ErrTooNew = errors.New("format is too new")
	// ErrLimit: larger than a limit of [Limits] allows.
	ErrLimit = errors.New("over a limit")
	// ErrMissing: something that is referred to is not there.
	ErrMissing = errors.New("missing")
	// ErrDamaged is the class of ErrTruncated, ErrChecksum and ErrMalformed.
	ErrDamaged = errors.New("damaged")
	// ErrInvalid: values handed over to be encoded break the format's rules.
	ErrInvalid = errors.New("invalid")
)

// CorruptError says where an object stopped making sense. It is the error of
// every decoder of this package; errors.Is with [ErrDamaged], [ErrTooNew] or
// [ErrLimit] tells what it means. An error of the underlying storage is never
// turned into a CorruptError, except an early end.
type CorruptError struct {
	Object string // name of the object, as the caller gave it
	Offset int64  // first byte of the damaged unit in the object
	Unit   string // "footer", "keyed block", "slices row 7"
	Err    error  // what was read and what was expected; wraps one of the causes above
}

// Error names the object, the place and the cause.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("%s: %s at offset %d: %v", e.Object, e.Unit, e.Offset, e.Err)
}

// Unwrap returns the cause.
func (e *CorruptError) Unwrap() error { return e.Err }

// Is reports whether the error belongs to the class [ErrDamaged].
func (e *CorruptError) Is(target error) bool {
	return target == ErrDamaged && (errors.Is(e.Err, ErrTruncated) ||
		errors.Is(e.Err, ErrChecksum) || errors.Is(e.Err, ErrMalformed))
}

// malformed makes a cause of the class [ErrMalformed].
func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// asDamage turns a broken rule, found in bytes whose checksum holds, into a
// cause of the class [ErrMalformed]. Other errors keep their class.
func asDamage(err error) error {
	if errors.Is(err, ErrInvalid) {
		return malformed("%v", err)
	}
	return err
}

// overLimit makes a cause of the class [ErrLimit].
func overLimit(what string, got, limit uint64) error {
	return fmt.Errorf("%w: %s is %d, at most %d allowed", ErrLimit, what, got, limit)
}

// invalid makes an error of the class [ErrInvalid].
func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

// truncated makes a cause of the class [ErrTruncated].
func truncated(have, want uint64) error {
	return fmt.Errorf("%w: %d bytes of %d", ErrTruncated, have, want)
}

// readFull reads exactly len(buf) bytes at an offset. An early end is a
// truncation; any other error is the storage's and is passed on as it is.
func readFull(r io.ReaderAt, buf []byte, object, unit string, offset int64) error {
	n, err := r.ReadAt(buf, offset)
	switch {
	case n == len(buf):
		return nil
	case err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return &CorruptError{object, offset, unit, truncated(uint64(n), uint64(len(buf)))}
	}
	return fmt.Errorf("%s: read %s at offset %d: %w", object, unit, offset, err)
}

// checksumCause makes a cause of the class [ErrChecksum].
func checksumCause(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrChecksum, fmt.Sprintf(format, args...))
}

// columnError names the column in a cause.
func columnError(name string, err error) error { return fmt.Errorf("column %s: %w", name, err) }

// tooNew makes a cause of the class [ErrTooNew].
func tooNew(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrTooNew, fmt.Sprintf(format, args...))
}

// versionError says which version a file has and which this package reads.
func versionError(t fileType, version, revision, reader uint16) error {
	return tooNew("%s of version %d.%d for readers from version %d on; this is a reader of versions %d.%d to %d.%d",
		t.name, version, revision, reader, Version, OldestRevision, Version, Revision)
}

// truncatedEnd is a file that does not end with a footer.
func truncatedEnd(t fileType) error {
	return fmt.Errorf("%w: the %s does not end with a footer", ErrTruncated, t.name)
}
