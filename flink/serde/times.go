package serde

import "math"

// time reads dates, times and windows.
func (w *walker) time(t *Type) (any, bool) {
	switch t.Kind {
	case KindDate, KindSQLDate, KindSQLTime:
		ms := w.r.I64("milliseconds")
		if ms == math.MinInt64 {
			return nil, true
		}
		return Time{Millis: ms, Kind: t.Kind}, true
	case KindSQLTimestamp:
		ms, nanos := w.r.I64("milliseconds"), w.r.I32("nanoseconds")
		if ms == math.MinInt64 {
			return nil, true
		}
		return Time{Millis: ms, Nanos: nanos, Kind: t.Kind}, true
	case KindInstant:
		sec, nanos := w.r.I64("seconds"), w.r.I32("nanoseconds")
		if sec == math.MinInt64 {
			return nil, true
		}
		return Instant{sec, nanos}, true
	case KindLocalDate:
		return w.civil(true, false), true
	case KindLocalTime:
		return w.civil(false, true), true
	case KindLocalDateTime:
		return w.civil(true, true), true
	case KindTimestampData:
		v := Time{Millis: w.r.I64("milliseconds"), Kind: t.Kind}
		if t.Size > 3 {
			v.Nanos = w.r.I32("nanoseconds of the millisecond")
		}
		return v, true
	case KindTimeWindow:
		return w.structure(t, windowNames, w.boxed(w.r.I64("start of a window")), w.boxed(w.r.I64("end of a window"))), true
	case KindCountWindow:
		return w.boxed(w.r.I64("number of a window")), true
	}
	return nil, false
}

var windowNames = []string{"start", "end"}

// civil reads a date, a time of day, or both. Null is the least value of the
// first number of each.
func (w *walker) civil(date, clock bool) any {
	var c Civil
	if date {
		c.Year, c.Month, c.Day = w.r.I32("year"), w.r.I8("month"), w.r.I8("day")
		c.HasDate = c.Year != math.MinInt32
	}
	if clock {
		c.Hour, c.Min, c.Sec, c.Nano = w.r.I8("hour"), w.r.I8("minute"), w.r.I8("second"), w.r.I32("nanosecond")
		c.HasTime = c.Hour != math.MinInt8
	}
	if !c.HasDate && !c.HasTime {
		return nil
	}
	return c
}

// structure makes a value with fields, unless it is only passed over.
func (w *walker) structure(t *Type, names []string, values ...any) any {
	if w.skip {
		return nil
	}
	return &Struct{Type: t, Names: names, Values: values, RowKind: -1}
}
