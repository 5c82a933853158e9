package codec

import (
	"errors"
	"fmt"
)

// Classes of decoding errors; ask with errors.Is.
var (
	// ErrShort says that the bytes end before the value does.
	ErrShort = errors.New("encoded value is cut short")
	// ErrInvalid says that the bytes are not the canonical encoding of any
	// value of the type.
	ErrInvalid = errors.New("invalid encoded value")
)

// ErrUnsupported is the class of the errors of [Of] and [ForKey]: the type, or
// a type within it, has no encoding.
var ErrUnsupported = errors.New("type has no encoding")

// DecodeError says where in a value the bytes stopped making sense.
type DecodeError struct {
	Path   string // the part of the type, such as Flight.Origin
	Offset int    // in bytes from the start of the value (of the innermost list element)
	Detail string // what was read and what was expected
	Class  error  // ErrShort or ErrInvalid
}

// Error implements error.
func (e *DecodeError) Error() string {
	return fmt.Sprintf("codec: %s at byte %d: %s: %v", e.Path, e.Offset, e.Detail, e.Class)
}

// Unwrap returns the class.
func (e *DecodeError) Unwrap() error { return e.Class }

// EncodeError is what Append of [JSON] and [Framed] codecs panics with if a
// value cannot be encoded (a NaN in JSON, for instance): Append has no error
// result, and dropping the value would lose state silently. The engine turns
// the panic into the failure of the task.
type EncodeError struct {
	Type  string // the Go type
	Cause error
}

// Error implements error.
func (e *EncodeError) Error() string {
	return fmt.Sprintf("codec: a value of %s cannot be encoded: %v", e.Type, e.Cause)
}

// Unwrap returns the cause.
func (e *EncodeError) Unwrap() error { return e.Cause }

func unsupported(path, reason string) error {
	return fmt.Errorf("codec: %s: %s: %w", path, reason, ErrUnsupported)
}

func short(path string, off, need, have int) error {
	return &DecodeError{
		Path: path, Offset: off, Class: ErrShort,
		Detail: fmt.Sprintf("%d bytes wanted, %d left", need, have),
	}
}

func invalid(path string, off int, format string, args ...any) error {
	return &DecodeError{Path: path, Offset: off, Class: ErrInvalid, Detail: fmt.Sprintf(format, args...)}
}

func lengthDetail(n uint64, left int) string {
	return fmt.Sprintf("length %d, %d bytes left", n, left)
}

func countDetail(n uint64, least, left int) string {
	return fmt.Sprintf("%d elements of at least %d bytes each, %d bytes left", n, least, left)
}
