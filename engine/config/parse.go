package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// durationUnits are Flink's labels.
var durationUnits = map[string]time.Duration{
	"d": 24 * time.Hour, "day": 24 * time.Hour, "days": 24 * time.Hour,
	"h": time.Hour, "hour": time.Hour, "hours": time.Hour,
	"m": time.Minute, "min": time.Minute, "minute": time.Minute, "minutes": time.Minute,
	"s": time.Second, "sec": time.Second, "secs": time.Second, "second": time.Second, "seconds": time.Second,
	"ms": time.Millisecond, "milli": time.Millisecond, "millis": time.Millisecond,
	"millisecond": time.Millisecond, "milliseconds": time.Millisecond,
	"µs": time.Microsecond, "micro": time.Microsecond, "micros": time.Microsecond,
	"microsecond": time.Microsecond, "microseconds": time.Microsecond,
	"ns": time.Nanosecond, "nano": time.Nanosecond, "nanos": time.Nanosecond,
	"nanosecond": time.Nanosecond, "nanoseconds": time.Nanosecond,
}

// memoryUnits are Flink's labels; all are powers of 1024.
var memoryUnits = map[string]int64{
	"": 1, "b": 1, "bytes": 1,
	"k": 1 << 10, "kb": 1 << 10, "kibibytes": 1 << 10,
	"m": 1 << 20, "mb": 1 << 20, "mebibytes": 1 << 20,
	"g": 1 << 30, "gb": 1 << 30, "gibibytes": 1 << 30,
	"t": 1 << 40, "tb": 1 << 40, "tebibytes": 1 << 40,
}

// ParseDuration reads a duration as Flink writes it: a whole number and a unit
// ("10 s", "1min", "500 ms"), a number alone for milliseconds, or ISO 8601
// ("PT1M30S"). It refuses what does not fit [time.Duration].
func ParseDuration(text string) (time.Duration, error) {
	text = strings.TrimSpace(text)
	if len(text) > 0 && (text[0] == 'P' || text[0] == 'p') {
		return parseISO(text)
	}
	number, label := splitNumber(text)
	unit := time.Millisecond
	if label != "" {
		var ok bool
		if unit, ok = durationUnits[strings.Replace(label, "μ", "µ", 1)]; !ok {
			return 0, fmt.Errorf("%q is no duration: unit %q is none of d, h, min, s, ms, µs, ns", text, label)
		}
	}
	n, err := multiply(number, int64(unit))
	if err != nil {
		return 0, fmt.Errorf("%q is no duration: %w; write for example 10 s", text, err)
	}
	return time.Duration(n), nil
}

// ParseMemory reads a size in bytes as Flink writes it: a whole number and a
// unit ("32kb", "64 mb"), or a number of bytes. Units are powers of 1024.
func ParseMemory(text string) (int64, error) {
	text = strings.TrimSpace(text)
	number, label := splitNumber(text)
	unit, ok := memoryUnits[label]
	if !ok {
		return 0, fmt.Errorf("%q is no size: unit %q is none of b, kb, mb, gb, tb", text, label)
	}
	n, err := multiply(number, unit)
	if err != nil {
		return 0, fmt.Errorf("%q is no size: %w; write for example 64 mb", text, err)
	}
	return n, nil
}

// splitNumber cuts leading digits from the label behind them.
func splitNumber(text string) (number, label string) {
	end := strings.IndexFunc(text, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		return text, ""
	}
	return text[:end], strings.ToLower(strings.TrimSpace(text[end:]))
}

func multiply(number string, unit int64) (int64, error) {
	if number == "" {
		return 0, errors.New("it does not begin with a whole number")
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n > math.MaxInt64/unit {
		return 0, errors.New("the number is too large")
	}
	return n * unit, nil
}

// parseISO reads the part of ISO 8601 that Java's Duration writes: days, hours,
// minutes and seconds with a fraction.
func parseISO(text string) (time.Duration, error) {
	bad := fmt.Errorf("%q is no ISO 8601 duration; write for example PT10S", text)
	date, clock, timed := strings.Cut(strings.ToUpper(text[1:]), "T")
	var total time.Duration
	if days, ok := strings.CutSuffix(date, "D"); ok {
		n, err := multiply(days, int64(24*time.Hour))
		if err != nil {
			return 0, bad
		}
		total = time.Duration(n)
	} else if date != "" {
		return 0, bad
	}
	if timed {
		if clock == "" || !isISOClock(clock) {
			return 0, bad
		}
		// What is left has the shape of Go's own durations: 1H30M1.5S.
		d, err := time.ParseDuration(strings.ToLower(clock))
		if err != nil || total+d < total {
			return 0, bad
		}
		total += d
	} else if date == "" {
		return 0, bad
	}
	return total, nil
}

// isISOClock tells whether the units stand in the order H, M, S, each once.
func isISOClock(clock string) bool {
	rest := "HMS"
	for _, r := range clock {
		if unicode.IsDigit(r) || r == '.' {
			continue
		}
		_, after, ok := strings.Cut(rest, string(r))
		if !ok {
			return false
		}
		rest = after
	}
	return true
}

func parseBool(text string) (bool, error) {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither true nor false", text)
}

func parseInt(text string) (int, error) {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%q is no whole number of 32 bits", text)
	}
	return int(n), nil
}

func parseFloat(text string) (float64, error) {
	f, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, fmt.Errorf("%q is no number", text)
	}
	return f, nil
}

func parseString(text string) (string, error) { return text, nil }
