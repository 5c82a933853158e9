package wire

import (
	"errors"
	"fmt"
)

// What can be wrong with bytes. Ask with errors.Is.
var (
	// ErrTruncated means that the bytes end within a value.
	ErrTruncated = errors.New("truncated")
	// ErrMalformed means that the bytes contradict the format.
	ErrMalformed = errors.New("malformed")
	// ErrLimit means that a length or count is beyond what the reader accepts.
	ErrLimit = errors.New("over the limit")
	// ErrUnsupported means that the bytes are of a version or class that is
	// not known, which need not be damage.
	ErrUnsupported = errors.New("unsupported")
)

// Error says where an object stopped making sense, and why.
type Error struct {
	Object string // name of what was read, as its opener calls it
	Offset int64  // bytes from the beginning of the object; of decompressed bytes if Decoded
	// Decoded says that the offset counts decompressed bytes.
	Decoded bool
	What    string // the value that could not be read
	Err     error  // wraps one of the errors above, or an error of the source
}

// Error is the message: object, value, offset and cause.
func (e *Error) Error() string {
	unit := "offset"
	if e.Decoded {
		unit = "decompressed offset"
	}
	return fmt.Sprintf("%s: %s at %s %d: %v", e.Object, e.What, unit, e.Offset, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// detail is a message that errors.Is takes for one of the errors above.
type detail struct {
	class error
	text  string
}

func (d *detail) Error() string { return d.class.Error() + ": " + d.text }
func (d *detail) Unwrap() error { return d.class }

// Malformed returns an error of the class ErrMalformed with a text.
func Malformed(format string, args ...any) error {
	return &detail{ErrMalformed, fmt.Sprintf(format, args...)}
}

// Truncated returns an error of the class ErrTruncated with a text.
func Truncated(format string, args ...any) error {
	return &detail{ErrTruncated, fmt.Sprintf(format, args...)}
}

// Unsupported returns an error of the class ErrUnsupported with a text.
func Unsupported(format string, args ...any) error {
	return &detail{ErrUnsupported, fmt.Sprintf(format, args...)}
}

// OverLimit returns an error of the class ErrLimit that names both numbers.
func OverLimit(got, limit uint64) error {
	return &detail{ErrLimit, fmt.Sprintf("%d, at most %d is accepted", got, limit)}
}
