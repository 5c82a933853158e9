// Package codec turns Go values into the bytes that channels and checkpoints
// carry, and describes those bytes by a schema.
package codec

import "github.com/tidemark-io/tidemark/format"

// Codec turns values of type T into bytes and back. A codec is used by many
// goroutines at once.
type Codec[T any] interface {
	// Append appends the encoding of v to dst and returns the extended slice.
	Append(dst []byte, v T) []byte
	// Decode reads one value from the front of src and returns it with the
	// number of bytes it took. The value must not refer to src, which is
	// reused.
	Decode(src []byte) (v T, n int, err error)
	// Schema describes the encoding. It is the same at each call.
	Schema() *format.Schema
}
