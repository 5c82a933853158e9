package history

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"
)

// maxExact is the largest integer that every JSON reader keeps exactly.
const maxExact = 1 << 53

// Count is a number or a size in bytes. In JSON it is a number, and above 2^53,
// which many readers round, a string.
type Count uint64

// MarshalJSON writes a number or a string.
func (c Count) MarshalJSON() ([]byte, error) {
	text := strconv.FormatUint(uint64(c), 10)
	if c > maxExact {
		return []byte(`"` + text + `"`), nil
	}
	return []byte(text), nil
}

// UnmarshalJSON reads either.
func (c *Count) UnmarshalJSON(text []byte) error {
	n, err := strconv.ParseUint(string(bytes.Trim(text, `"`)), 10, 64)
	if err != nil {
		return fmt.Errorf("%.40q is not a count", text)
	}
	*c = Count(n)
	return nil
}

// Millis is a duration. In JSON it is a number of milliseconds, as Flink writes
// durations, but with up to three decimals: what takes 200 µs is not 0.
type Millis time.Duration

// longest bounds durations that are read: 10 million years would overflow.
const longest = float64(100 * 365 * 24 * time.Hour / time.Millisecond)

// MarshalJSON writes milliseconds, rounded to microseconds.
func (m Millis) MarshalJSON() ([]byte, error) {
	us := time.Duration(m).Round(time.Microsecond).Microseconds()
	return strconv.AppendFloat(nil, float64(us)/1000, 'f', -1, 64), nil
}

// UnmarshalJSON reads milliseconds.
func (m *Millis) UnmarshalJSON(text []byte) error {
	v, err := strconv.ParseFloat(string(text), 64)
	if err != nil || v < -longest || v > longest {
		return fmt.Errorf("%.40q is not a duration in milliseconds", text)
	}
	*m = Millis(time.Duration(math.Round(v*1000)) * time.Microsecond)
	return nil
}

// Duration is the duration as Go has it.
func (m Millis) Duration() time.Duration { return time.Duration(m) }

// Moment is a point in time. In JSON it is the number of milliseconds since 1970
// in UTC, as Flink writes it, and null for the zero Moment, which is unknown.
type Moment time.Time

// MarshalJSON writes milliseconds or null.
func (m Moment) MarshalJSON() ([]byte, error) {
	if m.Time().IsZero() {
		return []byte("null"), nil
	}
	return strconv.AppendInt(nil, m.Time().UnixMilli(), 10), nil
}

// UnmarshalJSON reads either.
func (m *Moment) UnmarshalJSON(text []byte) error {
	*m = Moment{}
	if string(text) == "null" {
		return nil
	}
	ms, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil || ms < -maxExact || ms > maxExact {
		return fmt.Errorf("%.40q is not a time in milliseconds", text)
	}
	*m = Moment(time.UnixMilli(ms).UTC())
	return nil
}

// Time is the moment as Go has it.
func (m Moment) Time() time.Time { return time.Time(m) }

// Text is a string that is null in JSON when it is empty.
type Text string

// MarshalJSON writes null or the string.
func (t Text) MarshalJSON() ([]byte, error) {
	if t == "" {
		return []byte("null"), nil
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // "from>to" is to stay readable
	err := enc.Encode(string(t))
	return bytes.TrimSpace(b.Bytes()), err
}
