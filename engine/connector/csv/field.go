package csv

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// field is a struct field that is read from a column.
type field struct {
	name  string
	index int
	set   func(reflect.Value, string) error
}

// fieldsOf lists the fields of a struct type.
func fieldsOf(t reflect.Type, opts Options) ([]field, error) {
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("%s is no struct", t)
	}
	var out []field
	seen := map[string]bool{}
	for i := range t.NumField() {
		f := t.Field(i)
		name := f.Tag.Get("csv")
		if name == "-" || !f.IsExported() {
			continue
		}
		if name == "" {
			name = f.Name
		}
		if seen[name] {
			return nil, fmt.Errorf("%s: two fields are read from column %q", t, name)
		}
		seen[name] = true
		set := setter(f.Type, opts)
		if set == nil {
			return nil, fmt.Errorf("%s.%s: %s is not supported", t, f.Name, f.Type)
		}
		out = append(out, field{name: name, index: i, set: set})
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s has no exported field", t)
	}
	return out, nil
}

// setter returns the function that parses and stores a field of type t, nil if
// there is none.
func setter(t reflect.Type, opts Options) func(reflect.Value, string) error {
	switch t {
	case reflect.TypeFor[time.Time]():
		layout := opts.TimeLayout
		if layout == "" {
			layout = time.RFC3339
		}
		return func(v reflect.Value, s string) error {
			at, err := time.Parse(layout, s)
			v.Set(reflect.ValueOf(at.UTC()))
			return err
		}
	case reflect.TypeFor[time.Duration]():
		return func(v reflect.Value, s string) error {
			d, err := time.ParseDuration(s)
			v.SetInt(int64(d))
			return err
		}
	}
	switch t.Kind() {
	case reflect.String:
		return func(v reflect.Value, s string) error {
			// The row shares one string among its fields; a field that is
			// kept must not keep the whole row.
			v.SetString(strings.Clone(s))
			return nil
		}
	case reflect.Bool:
		return func(v reflect.Value, s string) error {
			b, err := strconv.ParseBool(s)
			v.SetBool(b)
			return err
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return func(v reflect.Value, s string) error {
			n, err := strconv.ParseInt(s, 10, t.Bits())
			v.SetInt(n)
			return err
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return func(v reflect.Value, s string) error {
			n, err := strconv.ParseUint(s, 10, t.Bits())
			v.SetUint(n)
			return err
		}
	case reflect.Float32, reflect.Float64:
		return func(v reflect.Value, s string) error {
			n, err := strconv.ParseFloat(s, t.Bits())
			v.SetFloat(n)
			return err
		}
	}
	return nil
}
