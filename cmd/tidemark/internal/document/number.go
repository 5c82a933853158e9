// Package document makes the documents that the command prints with -o json,
// jsonl and yaml. Their shape is a promise: each begins with "schema", and
// docs/schema holds a JSON Schema for it.
//
// Times are RFC 3339 in UTC, sizes are bytes, and what is not known is null,
// never 0. Integers above 2^53, which JSON readers round, are strings; event
// times in ms always are.
package document

import (
	"strconv"
	"time"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/history"
)

// maxExact is the largest integer that every JSON reader keeps exactly.
const maxExact = 1 << 53

// Number is a count or a size that may be unknown.
type Number checkpoint.Count

// MarshalJSON writes null, a number, or above 2^53 a string.
func (n Number) MarshalJSON() ([]byte, error) {
	v, ok := checkpoint.Count(n).Known()
	text := strconv.FormatUint(v, 10)
	switch {
	case !ok:
		return []byte("null"), nil
	case v > maxExact:
		return []byte(`"` + text + `"`), nil
	}
	return []byte(text), nil
}

// EventTime is an event time in ms.
type EventTime int64

// MarshalJSON writes null or a string.
func (t EventTime) MarshalJSON() ([]byte, error) {
	if int64(t) == checkpoint.UnknownTime {
		return []byte("null"), nil
	}
	return []byte(`"` + strconv.FormatInt(int64(t), 10) + `"`), nil
}

// Moment is a point in time; the zero one is unknown.
type Moment time.Time

// MarshalJSON writes null or RFC 3339 in UTC.
func (m Moment) MarshalJSON() ([]byte, error) {
	t := time.Time(m).UTC()
	if t.IsZero() || t.Year() < 0 || t.Year() > 9999 {
		return []byte("null"), nil
	}
	return []byte(t.Format(`"2006-01-02T15:04:05.999999999Z"`)), nil
}

// Text is a string that is null when it is empty.
type Text = history.Text

// Time is the moment as a time.
func (m Moment) Time() time.Time { return time.Time(m) }
