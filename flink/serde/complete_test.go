package serde

import (
	"errors"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/flink/wire"
)

// A formula is complete if the hash code of every field that it takes is known; what
// it leaves out does not matter.
func TestComplete(t *testing.T) {
	list := func(t *Type) *Type { l, _ := ListOf(t); return l }
	inner, err := PojoOf("a.Inner", Field{Name: "x", Type: Of(KindLong)}, Field{Name: "bytes", Type: Of(KindBytes)})
	if err != nil {
		t.Fatal(err)
	}
	key, err := PojoOf("a.Key", Field{Name: "n", Type: Of(KindLong)}, Field{Name: "raw", Type: Of(KindBytes)}, Field{Name: "list", Type: list(Of(KindString))},
		Field{Name: "arrays", Type: list(Of(KindBytes))}, Field{Name: "in", Type: inner}, Field{Name: "e", Type: &Type{Kind: KindEnum, Name: "a.E"}})
	if err != nil {
		t.Fatal(err)
	}
	tuple, err := TupleOf(Of(KindString), key)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		typ     *Type
		formula string
		fail    string
	}{
		{key, "objects-hash(list, n)", ""},
		{tuple, "objects-hash(n)", ""},
		{tuple, "objects-hash(raw)", "identity"},
		{key, "lombok(n, raw, list)", ""},
		{key, "objects-hash(n, raw)", "identity"},
		{key, "objects-hash(n, arrays)", "identity"},
		{key, "objects-hash(e)", "enum"},
		{key, "objects-hash(m)", "no field m"},
		{key, "objects-hash", "which fields"},
		{key, "scala-2.12", "case classes"},
		{key, "a.Key:record(n, in)", "method of the class a.Inner"},
		{key, "a.Key:record(n, in); a.Inner:xor(x)", ""},
		{key, "a.Key:record(n, in); a.Inner:xor(x, bytes)", "identity"},
		{Of(KindBytes), "xor(x)", "identity"},
		{Of(KindString), "xor(x)", ""},
	} {
		all, err := ParseFormulas(c.formula)
		if err != nil {
			t.Fatal(err)
		}
		if f, ok := all[""]; ok {
			all["a.Key"] = f
		}
		h, err := c.typ.Hasher(all)
		if err == nil {
			err = h.Complete()
		}
		if c.fail == "" && err != nil || c.fail != "" && (!errors.Is(err, wire.ErrUnsupported) || !strings.Contains(err.Error(), c.fail)) {
			t.Errorf("%v by %s: %v, want %q", c.typ, c.formula, err, c.fail)
		}
	}
}
