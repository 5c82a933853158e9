package serde

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
)

// visit is a POJO of many kinds of fields.
func visit(t *testing.T) *Type {
	ints := must(t)(ListOf(Of(KindInt)))
	return must(t)(PojoOf("a.b.Visit", Field{Name: "box", Type: Of(KindBoolean)}, Field{Name: "f", Type: Of(KindFloat)},
		Field{Name: "flag", Type: Of(KindBoolean)}, Field{Name: "ints", Type: ints}, Field{Name: "name", Type: Of(KindString)},
		Field{Name: "none", Type: Of(KindInt)}, Field{Name: "number", Type: Of(KindLong)}, Field{Name: "rate", Type: Of(KindDouble)}))
}

func visitOf(typ *Type, fields map[string]any) *Struct {
	s := &Struct{Type: typ, RowKind: -1}
	for _, f := range typ.Fields {
		s.Values = append(s.Values, fields[f.Name])
	}
	return s
}

// Hash codes that Java 17 computed for the same objects: Objects.hash, a record,
// Lombok 1.18.42, commons-lang 3.18.
func TestFormulas(t *testing.T) {
	typ := visit(t)
	full := visitOf(typ, map[string]any{"name": "ключ", "number": int64(-5000000000), "flag": true, "rate": 2.5, "f": float32(1.5), "ints": []any{int64(1), int64(-2)}})
	null := visitOf(typ, map[string]any{"number": int64(7), "flag": false, "rate": math.Copysign(0, -1)})
	for _, c := range []struct {
		formula string
		v       *Struct
		want    int32
	}{
		{"objects-hash(name, number, flag, rate)", full, 203808790},
		{"objects-hash(name, number, flag, rate)", null, -2146515053},
		{"record(name, number, flag, rate)", full, 202885269},
		{"record(name, number, flag, rate)", null, -2147438574},
		{"lombok(number, flag, rate, f, box, none, name, ints)", full, 239040178},
		{"commons-lang(name, number, flag, rate, f)", full, -862631547},
		{"idea(flag, rate)", full, 31 + int32(int64(math.Float64bits(2.5))>>32)},
		{"idea(rate, flag)", null, 0},
		{"start-17(number)", null, 17*31 + 7},
		{"start-7(number)", null, 7*31 + 7},
		{"xor(number, flag)", null, 7 ^ 1237},
	} {
		f, err := ParseFormula(c.formula)
		if err != nil || f.String() != c.formula {
			t.Fatalf("%s: %v, %v", c.formula, f, err)
		}
		h, err := typ.Hasher(map[string]Formula{"a.b.Visit": f})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := h.HashValue(typ, c.v); err != nil || got != c.want {
			t.Errorf("%s of %v: %d, %v, want %d", c.formula, c.v.Values, got, err, c.want)
		}
	}
}

// Hash codes that the Scala libraries 2.12.20 and 2.13.16 computed: tuples are case
// classes.
func TestProductHash(t *testing.T) {
	for _, c := range []struct {
		types  []Kind
		values []any
		v12    int32
		v13    int32
	}{
		{[]Kind{KindString, KindLong}, []any{"ключ", int64(-5000000000)}, -694325262, 2014123227},
		{[]Kind{KindString, KindLong}, []any{"a", int64(5)}, -325577077, -1125433385},
		{[]Kind{KindBoolean, KindDouble, KindDouble, KindDouble}, []any{true, 2.5, 3.0, 1e12}, -813847573, -390273520},
		{[]Kind{KindFloat, KindFloat, KindString, KindString}, []any{float32(1.5), float32(1e12), "x", nil}, 285496543, 1982536904},
		{[]Kind{KindDouble, KindDouble}, []any{math.Copysign(0, -1), math.NaN()}, 872800742, -141923467},
		{[]Kind{KindDouble, KindDouble}, []any{2147483648.0, -2147483648.0}, 1433239400, 288279919},
		{[]Kind{KindDouble, KindDouble}, []any{9.3e18, -9.3e18}, -567967942, 1212021504},
		{[]Kind{KindDouble, KindFloat}, []any{0.1, float32(0.1)}, 1593687874, -330213092},
	} {
		typ := &Type{Kind: KindCaseClass, Name: fmt.Sprintf("scala.Tuple%d", len(c.types))}
		for _, k := range c.types {
			typ.Args = append(typ.Args, Of(k))
		}
		for style, want := range map[string]int32{"scala-2.12": c.v12, "scala-2.13": c.v13} {
			f, err := ParseFormula(style)
			if err != nil {
				t.Fatal(err)
			}
			h, err := typ.Hasher(map[string]Formula{typ.Name: f})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := h.HashValue(typ, &Struct{Type: typ, Values: c.values, RowKind: -1}); err != nil || got != want {
				t.Errorf("%s of %v: %d, %v, want %d", style, c.values, got, err, want)
			}
		}
	}
}

// told is a prover that was told of n keys whose hash codes a formula computes.
func told(t *testing.T, typ *Type, formula string, n, groups int, hints map[string]Formula, wrong int) *Prover {
	t.Helper()
	f, err := ParseFormula(formula)
	if err != nil {
		t.Fatal(err)
	}
	h := Hasher{typ: typ, user: map[string]Formula{}}
	for _, c := range typ.UserClasses() {
		h.user[c.Name] = f
	}
	p, err := typ.NewProver(groups, hints)
	if err != nil {
		t.Fatal(err)
	}
	more := true
	for i := 0; i < n && more; i++ {
		user := &Struct{Type: typ.UserClasses()[0], Values: []any{i%3 == 0, fmt.Sprint("user-", i), int64(i) * 1_000_003}, RowKind: -1}
		if i%5 == 4 {
			user.Values[1] = nil
		}
		var v any = user
		if typ.Kind == KindTuple {
			v = &Struct{Values: []any{int64(i % 7), user}, RowKind: -1}
		}
		key, err := typ.Append(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		code, err := h.HashKey(key)
		if err != nil {
			t.Fatal(err)
		}
		group := KeyGroup(code, groups)
		if i == wrong {
			group = (group + 1) % groups
		}
		if more, err = p.Add(key, group); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// The formula that a class has is found, whatever it is: from keys alone, as a key
// or as a part of one.
func TestProver(t *testing.T) {
	user := must(t)(PojoOf("a.b.User", Field{Name: "active", Type: Of(KindBoolean)}, Field{Name: "name", Type: Of(KindString)}, Field{Name: "number", Type: Of(KindLong)}))
	pair := must(t)(TupleOf(Of(KindLong), user))
	found := 0
	for _, style := range Styles() {
		if strings.HasPrefix(style, "scala") {
			continue
		}
		for _, fields := range []string{"(number, name)", "(name, number, active)", "(active, number, name)"} {
			if style == "xor" {
				fields = "(active, name)"
			}
			for _, typ := range []*Type{user, pair} {
				for _, groups := range []int{8, 128, 4096} {
					p := told(t, typ, style+fields, 300, groups, nil, -1)
					h, user, err := p.Result()
					if err != nil {
						t.Errorf("%s%s, %s, %d groups: %v", style, fields, typ, groups, err)
						continue
					}
					// One that always gives the same, of which there are twins, is as good.
					if got := user["a.b.User"].String(); got != style+fields && strings.Contains(fields, "active") {
						t.Errorf("%s%s, %s, %d groups: found %s", style, fields, typ, groups, got)
					}
					if h == nil || p.Keys() < proofKeys {
						t.Errorf("%s%s: proved by %d keys", style, fields, p.Keys())
					}
					found++
				}
			}
		}
	}
	fmt.Printf("RESULT flink-key-hash found=%d\n", found)
}

// A formula is not believed without proof: too few keys, one key elsewhere, one key
// group only, a name that disagrees.
func TestProverRefuses(t *testing.T) {
	user := must(t)(PojoOf("a.b.User", Field{Name: "active", Type: Of(KindBoolean)}, Field{Name: "name", Type: Of(KindString)}, Field{Name: "number", Type: Of(KindLong)}))
	named := func(text string) map[string]Formula {
		f, err := ParseFormulas(text)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	const truth = "objects-hash(name, number)"
	for _, c := range []struct {
		name   string
		n      int
		groups int
		hints  map[string]Formula
		wrong  int
		want   string // "" if it is proved
	}{
		{"enough", 40, 128, nil, -1, ""},
		{"few", 9, 128, nil, -1, "too few"},
		{"none", 0, 128, nil, -1, "too few"},
		{"one group", 500, 1, nil, -1, "too few"},
		{"one elsewhere", 40, 128, nil, 10, "none of"},
		{"few, named", 3, 128, named("objects-hash(name,number)"), -1, ""},
		{"none, named", 0, 128, named("objects-hash(name,number)"), -1, ""},
		{"named by class", 3, 128, named("a.b.User: objects-hash(name, number)"), -1, ""},
		{"few, style named", 3, 128, named("objects-hash"), -1, "too few"},
		{"style named", 40, 128, named("objects-hash"), -1, ""},
		{"named wrong", 40, 128, named("objects-hash(number,name)"), -1, "none of"},
		{"named and one elsewhere", 40, 128, named("objects-hash(name,number)"), 10, "none of"},
	} {
		_, found, err := told(t, user, truth, c.n, c.groups, c.hints, c.wrong).Result()
		switch {
		case c.want == "" && (err != nil || found["a.b.User"].String() != truth):
			t.Errorf("%s: %v, %v", c.name, found, err)
		case c.want != "" && (!errors.As(err, new(*HashError)) || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, %v", c.name, found, err)
		}
	}
	if _, err := user.NewProver(128, named("record(nobody)")); err == nil || !strings.Contains(err.Error(), "no field nobody") {
		t.Error(err)
	}
	many := make([]Field, 70)
	for i := range many {
		many[i] = Field{Name: fmt.Sprint("f", i), Type: Of(KindInt)}
	}
	if _, err := must(t)(PojoOf("a.b.Wide", many...)).NewProver(128, nil); err == nil || !strings.Contains(err.Error(), "too many") {
		t.Error(err)
	}
	for _, bad := range []string{"", "md5", "record(", "record()", "record(a,a)", "record(a)(b)", "record; record"} {
		if f, err := ParseFormulas(bad); err == nil {
			t.Errorf("%q: %v", bad, f)
		}
	}
}
