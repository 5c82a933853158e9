package out

import (
	"fmt"
	"strconv"
	"time"
)

// Bytes writes a size for people: "0 B", "999 B", "1.5 KiB", "12 GiB".
func Bytes(n uint64) string {
	if n < 1024 {
		return strconv.FormatUint(n, 10) + " B"
	}
	unit, v := "", float64(n)
	for _, u := range []string{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"} {
		if v /= 1024; v < 1023.95 || u == "EiB" {
			unit = u
			break
		}
	}
	if v < 99.95 {
		return fmt.Sprintf("%.1f %s", v, unit)
	}
	return fmt.Sprintf("%.0f %s", v, unit)
}

// Number writes a number for people, in groups of three digits: "1,234,567".
func Number(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Unknown stands where nothing is known.
const Unknown = "-"

// Short writes a moment in UTC to the second, without saying so: the head of
// the column does.
func Short(t time.Time) string {
	if t.IsZero() {
		return Unknown
	}
	return t.UTC().Format(time.DateTime)
}

// Time writes a moment in UTC to the second.
func Time(t time.Time) string {
	if t.IsZero() {
		return Unknown
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}
