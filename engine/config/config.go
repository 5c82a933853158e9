// Package config reads the configuration of a run: Flink's keys in their new
// and old spellings and this project's own (tidemark.…), from a YAML file, from
// -D key=value and from flags. It checks everything at once, knows where each
// value came from, and gives a plain struct, [Settings].
//
// The table of keys ([Options]) is the one place that says what a key is called,
// its type, its default, and whether it is supported, known to Flink but without
// effect here (a warning), or not yet supported (an error unless it keeps the
// default). A key that nobody knows is an error that names the nearest one.
//
// Non-goals: files are read and flags are parsed elsewhere; the package touches
// neither disk nor environment, and it does not know the engine.
package config

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// OriginKind orders the places a value can come from; a larger one wins.
type OriginKind int

// Kinds of origins.
const (
	FromDefault OriginKind = iota
	FromFile
	FromDefine // -D key=value
	FromFlag
)

// Origin says where a value came from.
type Origin struct {
	Kind OriginKind
	Name string // of the file or the flag
	Line int    // in the file, from 1
}

// String returns "flag --interval", "-D", "conf.yaml:12" or "default".
func (o Origin) String() string {
	switch o.Kind {
	case FromFlag:
		return "flag " + o.Name
	case FromDefine:
		return "-D"
	case FromFile:
		return fmt.Sprintf("%s:%d", o.Name, o.Line)
	}
	return "default"
}

// Error is what is wrong with one value or with one place of a file.
type Error struct {
	Origin Origin
	Key    string // as it was written; "" if no key is to blame
	Err    error
}

// Error names the place, the key and the fault.
func (e *Error) Error() string {
	if e.Key == "" {
		return fmt.Sprintf("%s: %v", e.Origin, e.Err)
	}
	return fmt.Sprintf("%s: %s: %v", e.Origin, e.Key, e.Err)
}

// Unwrap returns the fault.
func (e *Error) Unwrap() error { return e.Err }

// Faults that callers may ask for with errors.Is.
var (
	// ErrUnknownKey: no such key here or in Flink.
	ErrUnknownKey = errors.New("unknown key")
	// ErrNotYet: Flink has it, this version does not.
	ErrNotYet = errors.New("not yet supported")
)

// entry is one assignment as it was written.
type entry struct {
	spelling string // the key as written, perhaps an old one
	value    string
	origin   Origin
}

// Config collects assignments. The zero value is ready; it is not for use by
// several goroutines at once.
type Config struct {
	set      map[string][]entry // by the key's present name
	errs     []error
	warnings []string
}

// Value is one setting after all assignments: what counts, and why.
type Value struct {
	Key    string
	Value  string // secrets are redacted
	Origin Origin
}

// Define takes one -D argument, "key=value".
func (c *Config) Define(arg string) {
	key, value, ok := strings.Cut(arg, "=")
	key = strings.TrimSpace(key)
	if !ok || key == "" {
		c.fail(Origin{Kind: FromDefine}, "", fmt.Errorf("%q is not of the form key=value", arg))
		return
	}
	c.assign(entry{key, strings.TrimSpace(value), Origin{Kind: FromDefine}})
}

// Flag takes a value given by a flag of the command line. The name is the
// flag's, with its dashes.
func (c *Config) Flag(name, key, value string) {
	c.assign(entry{key, value, Origin{Kind: FromFlag, Name: name}})
}

func (c *Config) fail(o Origin, key string, err error) {
	c.errs = append(c.errs, &Error{o, key, err})
}

// assign files an entry under its present name, or notes why it cannot.
func (c *Config) assign(e entry) {
	opt, ok := lookup(e.spelling)
	if !ok {
		if family(e.spelling) {
			c.warn(e, "has no effect here: there is no cluster, JVM or web server to configure")
			return
		}
		c.fail(e.origin, e.spelling, unknown(e.spelling))
		return
	}
	if opt.Status == NoEffect {
		c.warn(e, "has no effect here: "+opt.Reason)
	}
	if c.set == nil {
		c.set = map[string][]entry{}
	}
	c.set[opt.Key] = append(c.set[opt.Key], e)
}

func (c *Config) warn(e entry, text string) {
	c.warnings = append(c.warnings, fmt.Sprintf("%s: %s %s", e.origin, e.spelling, text))
}

// Warnings returns one line for each key that is known to Flink and has no
// effect here, in the order they were given, and one if a key has none beside
// another one.
func (c *Config) Warnings() []string {
	warnings := slices.Clone(c.warnings)
	mode, _, _ := c.winner(keyMode)
	unaligned, _, _ := c.winner(keyUnaligned)
	if on, _ := parseBool(unaligned.value); on && strings.EqualFold(mode.value, "AT_LEAST_ONCE") {
		warnings = append(warnings, fmt.Sprintf("%s: %s has no effect with %s=AT_LEAST_ONCE: checkpoints that let no channel wait have nothing to overtake", unaligned.origin, unaligned.spelling, mode.spelling))
	}
	return warnings
}

// winner returns the entry that counts for a key. Of several -D or flags the
// last counts, as on any command line; in a file, where two spellings of one
// key can hide far from each other, different values are an error.
func (c *Config) winner(key string) (entry, bool, error) {
	all := c.set[key]
	if len(all) == 0 {
		return entry{}, false, nil
	}
	best := all[0]
	for _, e := range all[1:] {
		if e.origin.Kind < best.origin.Kind {
			continue
		}
		if e.origin.Kind == FromFile && best.origin.Kind == FromFile && e.value != best.value {
			return best, true, &Error{e.origin, e.spelling, fmt.Errorf("is %q, but %s sets it to %q as %s; keep one", Redact(key, e.value), best.origin, Redact(key, best.value), best.spelling)}
		}
		best = e
	}
	return best, true, nil
}

// Resolve checks all assignments and returns the settings. The error joins
// everything that is wrong, each an [*Error], in the order of files' lines.
func (c *Config) Resolve() (Settings, error) {
	var s Settings
	errs := slices.Clone(c.errs)
	for i := range table {
		opt := &table[i]
		if opt.Default != "" {
			// A default that does not parse is a mistake in the table; the
			// package's tests prove that there is none.
			_ = opt.apply(&s, opt.Default)
		}
		e, ok, err := c.winner(opt.Key)
		if err != nil {
			errs = append(errs, err)
		}
		if !ok {
			continue
		}
		if err := opt.apply(&s, e.value); err != nil {
			errs = append(errs, &Error{e.origin, e.spelling, err})
		}
	}
	errs = append(errs, c.combinations()...)
	slices.SortStableFunc(errs, func(a, b error) int { return place(a) - place(b) })
	if err := errors.Join(errs...); err != nil {
		return Settings{}, err
	}
	s.Checkpoints.Unaligned = s.Checkpoints.Unaligned && !s.Checkpoints.AtLeastOnce
	return s, nil
}

// place orders errors: those of files by line, then the others.
func place(err error) int {
	var e *Error
	if errors.As(err, &e) && e.Origin.Kind == FromFile {
		return e.Origin.Line
	}
	return math.MaxInt32
}

// combinations refuses values that are fine alone but not together.
func (c *Config) combinations() []error {
	var errs []error
	unaligned, _, _ := c.winner(keyUnaligned)
	concurrent, _, _ := c.winner(keyMaxConcurrent)
	on, _ := parseBool(unaligned.value)
	if n, err := parseInt(concurrent.value); on && err == nil && n > 1 {
		errs = append(errs, &Error{concurrent.origin, concurrent.spelling, errors.New(
			"must be 1 with unaligned checkpoints: a second barrier would overtake data that belongs to the first checkpoint, so that data would be in neither; set it to 1")})
	}
	return append(errs, c.corruptPolicy()...)
}

// corruptPolicy refuses to drop damaged in-flight data of a checkpoint that
// nobody named: which one it is must not depend on what happens to be newest.
func (c *Config) corruptPolicy() []error {
	policy, ok, _ := c.winner(keyOnCorrupt)
	if !ok || strings.EqualFold(policy.value, "fail") {
		return nil
	}
	var errs []error
	refuse := func(why string) {
		errs = append(errs, &Error{policy.origin, policy.spelling, fmt.Errorf("%s is for one restore from a checkpoint given by its path: %s", policy.value, why)})
	}
	if from, _, _ := c.winner(keyRestore); from.value == "" || from.value == "latest" {
		refuse(fmt.Sprintf("%s is %q", keyRestore, from.value))
	}
	fallback, _, _ := c.winner(keyFallback)
	if on, _ := parseBool(fallback.value); on {
		refuse(keyFallback + " would take another one; keep one of the two")
	}
	return errs
}

// Values lists every key that has a value, sorted, for printing and for the
// checkpoint's own record. Secrets are redacted.
func (c *Config) Values() []Value {
	var values []Value
	for i := range table {
		opt := &table[i]
		v := Value{Key: opt.Key, Value: opt.Default}
		if e, ok, _ := c.winner(opt.Key); ok {
			v.Value, v.Origin = e.value, e.origin
		} else if opt.Default == "" || opt.Status == NoEffect {
			continue
		}
		v.Value = Redact(v.Key, v.Value)
		values = append(values, v)
	}
	slices.SortFunc(values, func(a, b Value) int { return strings.Compare(a.Key, b.Key) })
	return values
}
