package config

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Type is the type of an option's value.
type Type string

// Types, by the word that help texts use.
const (
	Duration Type = "duration" // "10 s", "1min", "500 ms", "PT10S"; a bare number is milliseconds
	Memory   Type = "memory"   // "32kb", "64 mb"; a bare number is bytes
	Bool     Type = "bool"
	Int      Type = "int"
	Float    Type = "float"
	Enum     Type = "enum"
	String   Type = "string"
)

// Status says what becomes of a key.
type Status string

// Statuses.
const (
	Supported Status = "supported"
	NoEffect  Status = "no effect"         // known to Flink; one warning
	NotYet    Status = "not yet supported" // refused unless it keeps the default
)

// Option describes one key.
type Option struct {
	Key     string
	Aliases []string // older spellings, which Flink accepted too
	Type    Type
	Values  []string // of an enum
	Default string   // as one would write it; "" is none
	Status  Status
	Help    string
	Flink   string // Flink's default, where it is another one
	Reason  string // of the status, or of the other default

	off   bool     // a duration that may be "none" or "off"
	only  []string // values accepted in this version; nil is all
	store func(*Settings, string) error
}

// Options returns the table of all keys, sorted by key. The caller owns the
// slice but not the slices in it.
func Options() []Option {
	all := slices.Clone(table)
	slices.SortFunc(all, func(a, b Option) int { return strings.Compare(a.Key, b.Key) })
	return all
}

// apply checks a value and stores it.
func (o *Option) apply(s *Settings, value string) error {
	canonical, err := o.canonical(value)
	if err != nil {
		return err
	}
	if o.store != nil {
		if err := o.store(s, value); err != nil {
			return err
		}
	}
	return o.available(value, canonical)
}

// available refuses what Flink knows and this version does not do.
func (o *Option) available(value, canonical string) error {
	only := o.only
	if only == nil {
		if o.Status != NotYet {
			return nil
		}
		only = []string{o.Default}
	}
	for _, v := range only {
		if c, err := o.canonical(v); err == nil && c == canonical {
			return nil
		}
	}
	return fmt.Errorf("%q is %w: %s; leave it at %s", value, ErrNotYet, o.Reason, strings.Join(only, ", "))
}

// canonical brings different spellings of a value to one.
func (o *Option) canonical(value string) (string, error) {
	switch o.Type {
	case Duration:
		if o.off && isOff(value) {
			value = "0"
		}
		d, err := ParseDuration(value)
		return d.String(), err
	case Memory:
		n, err := ParseMemory(value)
		return fmt.Sprint(n), err
	case Bool:
		b, err := parseBool(value)
		return fmt.Sprint(b), err
	case Int:
		n, err := parseInt(value)
		return fmt.Sprint(n), err
	case Float:
		f, err := parseFloat(value)
		return fmt.Sprint(f), err
	case Enum:
		for _, v := range o.Values {
			if strings.EqualFold(v, value) {
				return v, nil
			}
		}
		return "", fmt.Errorf("%q is none of %s", value, strings.Join(o.Values, ", "))
	}
	return value, nil
}

// field makes a store function of a parser and the place it fills.
func field[T any](parse func(string) (T, error), place func(*Settings) *T) func(*Settings, string) error {
	return func(s *Settings, text string) error {
		v, err := parse(text)
		if err != nil {
			return err
		}
		*place(s) = v
		return nil
	}
}

// atLeast makes a parser refuse values below the least.
func atLeast[T int | int64 | time.Duration](least T, parse func(string) (T, error)) func(string) (T, error) {
	return func(text string) (T, error) {
		v, err := parse(text)
		if err == nil && v < least {
			err = fmt.Errorf("%q is less than %v", text, least)
		}
		return v, err
	}
}

// offOr makes a parser take the words with which Flink's users switch a duration
// off, as 0, and otherwise nothing below the least.
func offOr(least time.Duration) func(string) (time.Duration, error) {
	return func(text string) (time.Duration, error) {
		if isOff(text) {
			return 0, nil
		}
		d, err := ParseDuration(text)
		if err == nil && d != 0 && d < least {
			err = fmt.Errorf("%q is less than %v; use 0 to switch it off", text, least)
		}
		return d, err
	}
}

func isOff(text string) bool {
	return strings.EqualFold(text, "none") || strings.EqualFold(text, "off")
}

// lookup finds a key by its present or an older spelling.
func lookup(key string) (*Option, bool) {
	for i := range table {
		if table[i].Key == key || slices.Contains(table[i].Aliases, key) {
			return &table[i], true
		}
	}
	return nil, false
}
