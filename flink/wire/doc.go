// Package wire reads and writes the primitives that all of Apache Flink's files
// are made of: Java's DataOutput (big-endian numbers, modified UTF-8) and the
// variable-length strings of Flink's StringValue.
//
// A Reader stands on a slice or on a stream. After its first failure every call
// returns zero, so that callers ask for the error once, at the end; the error
// names the object, the offset, what was read and why it cannot be. Memory grows
// only with bytes that have arrived: a length is never believed.
//
// Java strings are sequences of UTF-16 units, which may hold half of a surrogate
// pair. As Go strings they are UTF-8, except that a lone surrogate is kept as the
// three bytes its code point would take, so that a string written again has the
// same units.
//
// Non-goals: structures made of these primitives, and Java's serialisation of
// objects.
package wire
