package serde

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Style is a way in which classes compute their hash code from their fields. In
// all but the Scala ones each field in turn turns the hash h into h·m + code.
type Style struct {
	// Name is what the style is called on the command line and in messages.
	Name string
	// start and factor are the first hash and m.
	start, factor int32
	// null is the code of a null field; yes and no are those of a boolean, for
	// which generators of code disagree. Float and double zeros of either sign are
	// 0 if zeros is set.
	null, yes, no int32
	zeros         bool
	// xor joins codes by exclusive or, scala by MurmurHash3; prefixed mixes in the
	// name of the class first.
	xor, scala, prefixed bool
}

// Codes of booleans by Boolean.hashCode.
const (
	javaTrue  = 1231
	javaFalse = 1237
)

// styles are all that are known, the most usual first. Where two give one result
// for a class the first is found.
var styles = []Style{
	// java.util.Objects.hash and Arrays.hashCode, which Eclipse writes out.
	{Name: "objects-hash", start: 1, factor: 31, yes: javaTrue, no: javaFalse},
	// Records (ObjectMethods), data classes of Kotlin, IntelliJ IDEA since 2016; also
	// the bare hash code of a single field.
	{Name: "record", factor: 31, yes: javaTrue, no: javaFalse},
	// IntelliJ IDEA with primitive booleans and floats.
	{Name: "idea", factor: 31, yes: 1, zeros: true},
	// Bloch's "Effective Java", NetBeans, many by hand.
	{Name: "start-17", start: 17, factor: 31, yes: javaTrue, no: javaFalse},
	{Name: "start-17-idea", start: 17, factor: 31, yes: 1},
	{Name: "start-7", start: 7, factor: 31, yes: javaTrue, no: javaFalse},
	// HashCodeBuilder of commons-lang, with primitive booleans and with objects.
	{Name: "commons-lang", start: 17, factor: 37, no: 1},
	{Name: "commons-lang-objects", start: 17, factor: 37, yes: javaTrue, no: javaFalse},
	// Lombok's @Data, @Value and @EqualsAndHashCode, with primitive booleans and with
	// objects.
	{Name: "lombok", start: 1, factor: 59, null: 43, yes: 79, no: 97},
	{Name: "lombok-objects", start: 1, factor: 59, null: 43, yes: javaTrue, no: javaFalse},
	{Name: "xor", xor: true, yes: javaTrue, no: javaFalse},
	// Case classes: MurmurHash3.productHash, since Scala 2.13 with the class's name.
	{Name: "scala-2.12", scala: true, yes: javaTrue, no: javaFalse},
	{Name: "scala-2.13", scala: true, prefixed: true, yes: javaTrue, no: javaFalse},
}

// Styles are the names of all that are known, the most usual first.
func Styles() []string {
	names := make([]string, len(styles))
	for i, s := range styles {
		names[i] = s.Name
	}
	return names
}

// Formula is the hash code of the objects of a class: a style and the fields that
// count, in their order. Of case classes all fields count, and Fields is nil.
type Formula struct {
	Style  Style
	Fields []string
}

// String is the formula as [ParseFormula] reads it: "objects-hash(name, number)".
func (f Formula) String() string {
	if f.Fields == nil {
		return f.Style.Name
	}
	return f.Style.Name + "(" + strings.Join(f.Fields, ", ") + ")"
}

// ParseFormula reads "STYLE" or "STYLE(FIELD, FIELD, …)". Without fields Fields is
// nil: their order is not said.
func ParseFormula(text string) (Formula, error) {
	name, fields, listed := strings.Cut(strings.TrimSpace(text), "(")
	i := slices.IndexFunc(styles, func(s Style) bool { return s.Name == name })
	if i < 0 {
		return Formula{}, fmt.Errorf("%q is none of the ways to compute a hash code: %s", name, strings.Join(Styles(), ", "))
	}
	f := Formula{Style: styles[i]}
	if !listed {
		return f, nil
	}
	fields, closed := strings.CutSuffix(fields, ")")
	if !closed || strings.ContainsAny(fields, "()") {
		return Formula{}, fmt.Errorf("%q is not of the form STYLE(FIELD, FIELD)", text)
	}
	for _, f2 := range strings.Split(fields, ",") {
		if f2 = strings.TrimSpace(f2); f2 == "" || slices.Contains(f.Fields, f2) {
			return Formula{}, fmt.Errorf("%q: a field is empty or is named twice", text)
		}
		f.Fields = append(f.Fields, f2)
	}
	return f, nil
}

// ParseFormulas reads "[CLASS:]FORMULA; [CLASS:]FORMULA; …". A formula without a
// class is that of all classes that are not named, under "".
func ParseFormulas(text string) (map[string]Formula, error) {
	all := map[string]Formula{}
	for _, part := range strings.Split(text, ";") {
		class, formula, named := strings.Cut(part, ":")
		if !named {
			class, formula = "", part
		}
		f, err := ParseFormula(formula)
		if err != nil {
			return nil, err
		}
		class = strings.TrimSpace(class)
		if _, twice := all[class]; twice {
			return nil, fmt.Errorf("%q names two formulas for one class", text)
		}
		all[class] = f
	}
	return all, nil
}

// hashObject is the hash code of an object of a user's class.
func (h *Hasher) hashObject(t *Type, s *Struct, f Formula) (int32, error) {
	if f.Style.scala {
		return h.hashProduct(t, s, f.Style)
	}
	code := f.Style.start
	for _, name := range f.Fields {
		i := slices.IndexFunc(t.Fields, func(f Field) bool { return f.Name == name })
		if i < 0 || i >= len(s.Values) {
			return 0, &HashError{Type: t.String(), Reason: "it has no field " + name}
		}
		field, err := h.hashField(t.Fields[i].Type, s.Values[i], f.Style)
		if err != nil {
			return 0, err
		}
		if f.Style.xor {
			code ^= field
		} else {
			code = code*f.Style.factor + field
		}
	}
	return code, nil
}

// hashField is the hash code of a field as a style takes it. Arrays count by their
// elements, as Arrays.hashCode does: where a class takes their identity nothing
// agrees with the data.
func (h *Hasher) hashField(t *Type, v any, s Style) (int32, error) {
	for t != nil && (t.Kind == KindNullable || t.Kind == KindTTLAware) && len(t.Args) == 1 {
		t = t.Args[0]
	}
	switch v := v.(type) {
	case nil:
		return s.null, nil
	case bool:
		if v {
			return s.yes, nil
		}
		return s.no, nil
	case float64:
		if s.zeros && v == 0 {
			return 0, nil
		}
	case float32:
		if s.zeros && v == 0 {
			return 0, nil
		}
	case []byte:
		code := int32(1)
		for _, b := range v {
			code = 31*code + int32(int8(b))
		}
		return code, nil
	case []any:
		return h.hashList(t, v)
	case Map:
		return h.hashMap(t, v)
	}
	return h.HashValue(t, v)
}

// plain is how elements of lists, sets and maps are hashed.
var plain = Style{yes: javaTrue, no: javaFalse}

// hashList is that of lists and, by their contents, arrays; sets are a sum.
func (h *Hasher) hashList(t *Type, list []any) (int32, error) {
	elem, ok := element(t)
	if !ok {
		return 0, &HashError{Type: t.String(), Reason: "the formula is not known here"}
	}
	code := int32(1)
	sum := int32(0)
	for _, v := range list {
		c, err := h.hashField(elem, v, plain)
		if err != nil {
			return 0, err
		}
		code, sum = 31*code+c, sum+c
	}
	if t.Kind == KindSet {
		return sum, nil
	}
	return code, nil
}

// element is the type of the elements of a list, set or array.
func element(t *Type) (*Type, bool) {
	switch t.Kind {
	case KindList, KindSet, KindArray:
		if len(t.Args) == 1 {
			return t.Args[0], true
		}
	case KindStringArray:
		return Of(KindString), true
	case KindLongArray:
		return Of(KindLong), true
	case KindIntArray:
		return Of(KindInt), true
	case KindShortArray:
		return Of(KindShort), true
	case KindCharArray:
		return Of(KindChar), true
	case KindBooleanArray:
		return Of(KindBoolean), true
	case KindDoubleArray:
		return Of(KindDouble), true
	case KindFloatArray:
		return Of(KindFloat), true
	}
	return nil, false
}

// hashMap is the sum over the entries of key ^ value.
func (h *Hasher) hashMap(t *Type, m Map) (int32, error) {
	if t.Kind != KindMap || len(t.Args) != 2 {
		return 0, &HashError{Type: t.String(), Reason: "the formula is not known here"}
	}
	sum := int32(0)
	for _, p := range m {
		k, err := h.hashField(t.Args[0], p.Key, plain)
		if err != nil {
			return 0, err
		}
		v, err := h.hashField(t.Args[1], p.Value, plain)
		if err != nil {
			return 0, err
		}
		sum += k ^ v
	}
	return sum, nil
}

// productSeed is that of scala.util.hashing.MurmurHash3.productHash.
const productSeed = 0xcafebabe

// hashProduct is that of a case class: MurmurHash3 over the codes of its fields,
// with those of numbers by Scala's ##.
func (h *Hasher) hashProduct(t *Type, s *Struct, style Style) (int32, error) {
	code := uint32(productSeed)
	if style.prefixed {
		code = mix(code, uint32(hashString(simpleName(t.Name))))
	}
	for i, v := range s.Values {
		c, err := h.hashScala(t.Args[i], v)
		if err != nil {
			return 0, err
		}
		code = mix(code, uint32(c))
	}
	return int32(finalMix(code ^ uint32(len(s.Values)))), nil
}

// simpleName is a class's own name, without package and the class around it.
func simpleName(class string) string {
	class = strings.TrimSuffix(short(class), "$")
	return class[strings.LastIndexByte(class, '$')+1:]
}

// hashScala is Statics.anyHash: equal numbers of different types have one code.
func (h *Hasher) hashScala(t *Type, v any) (int32, error) {
	switch v := v.(type) {
	case nil:
		return 0, nil
	case int64:
		if int64(int32(v)) == v {
			return int32(v), nil
		}
		return hashLong(v), nil
	case float64:
		switch {
		case v == math.Trunc(v) && v >= math.MinInt32 && v <= math.MaxInt32:
			return int32(v), nil
		case v == math.Trunc(v) && math.Abs(v) < 1<<63:
			return hashScalaLong(int64(v)), nil
		case float64(float32(v)) == v:
			return int32(math.Float32bits(float32(v))), nil
		}
	case float32:
		switch w := float64(v); {
		case w == math.Trunc(w) && w >= math.MinInt32 && w <= math.MaxInt32:
			return int32(w), nil
		case w == math.Trunc(w) && math.Abs(w) < 1<<63:
			return hashScalaLong(int64(w)), nil
		}
	}
	return h.HashValue(t, v)
}

func hashScalaLong(v int64) int32 { return int32(v ^ int64(uint64(v)>>32)) }

// mix takes a word into a hash as MurmurHash3 does.
func mix(h, k uint32) uint32 {
	k *= 0xcc9e2d51
	k = k<<15 | k>>17
	h ^= k * 0x1b873593
	h = h<<13 | h>>19
	return h*5 + 0xe6546b64
}
