package serde

import (
	"slices"

	"github.com/tidemark-io/tidemark/flink/wire"
)

// simple are the snapshot classes of kinds without parameters, as Flink 1.20 and
// 2.x write them.
var simple = map[Kind]string{
	KindString: nested(pkgBase, "StringSerializer"), KindLong: nested(pkgBase, "LongSerializer"), KindInt: nested(pkgBase, "IntSerializer"),
	KindShort: nested(pkgBase, "ShortSerializer"), KindByte: nested(pkgBase, "ByteSerializer"), KindBoolean: nested(pkgBase, "BooleanSerializer"),
	KindChar: nested(pkgBase, "CharSerializer"), KindDouble: nested(pkgBase, "DoubleSerializer"), KindFloat: nested(pkgBase, "FloatSerializer"),
	KindBigInteger: nested(pkgBase, "BigIntSerializer"), KindBigDecimal: nested(pkgBase, "BigDecSerializer"),
	KindDate: nested(pkgBase, "DateSerializer"), KindSQLDate: nested(pkgBase, "SqlDateSerializer"), KindSQLTime: nested(pkgBase, "SqlTimeSerializer"),
	KindSQLTimestamp: nested(pkgBase, "SqlTimestampSerializer"), KindInstant: nested(pkgBase, "InstantSerializer"),
	KindLocalDate: nested(pkgBase, "LocalDateSerializer"), KindLocalTime: nested(pkgBase, "LocalTimeSerializer"),
	KindLocalDateTime: nested(pkgBase, "LocalDateTimeSerializer"), KindVoid: nested(pkgBase, "VoidSerializer"),
	KindBytes: nested(pkgArray, "BytePrimitiveArraySerializer"), KindBooleanArray: nested(pkgArray, "BooleanPrimitiveArraySerializer"),
	KindCharArray: nested(pkgArray, "CharPrimitiveArraySerializer"), KindShortArray: nested(pkgArray, "ShortPrimitiveArraySerializer"),
	KindIntArray: nested(pkgArray, "IntPrimitiveArraySerializer"), KindLongArray: nested(pkgArray, "LongPrimitiveArraySerializer"),
	KindFloatArray: nested(pkgArray, "FloatPrimitiveArraySerializer"), KindDoubleArray: nested(pkgArray, "DoublePrimitiveArraySerializer"),
	KindStringArray:   nested(pkgArray, "StringArraySerializer"),
	KindVoidNamespace: pkgState + "VoidNamespaceSerializer$VoidNamespaceSerializerSnapshot",
	KindTimeWindow:    pkgStream + "api.windowing.windows.TimeWindow$Serializer$TimeWindowSerializerSnapshot",
	KindGlobalWindow:  pkgStream + "api.windowing.windows.GlobalWindow$Serializer$GlobalWindowSerializerSnapshot",
}

// Of returns the type of a kind without parameters, or nil if the kind has some.
func Of(kind Kind) *Type {
	class, ok := simple[kind]
	if !ok {
		return nil
	}
	t := &Type{Kind: kind, Class: class, Version: simpleVersion, Outer: -1}
	t.raw, _ = t.encode(nil)
	return t
}

// TupleOf returns Flink's tuple of 1 to 25 types.
func TupleOf(fields ...*Type) (*Type, error) {
	if len(fields) < 1 || len(fields) > 25 {
		return nil, wire.Unsupported("a tuple of %d fields, Flink has those of 1 to 25", len(fields))
	}
	name := "org.apache.flink.api.java.tuple.Tuple" + itoa(int32(len(fields)))
	return finish(&Type{Kind: KindTuple, Class: pkgJava + "TupleSerializerSnapshot", Version: simpleVersion, Outer: 2, Name: name, Args: fields})
}

// RowOf returns the type of rows, with a kind if withKind is set, as Flink's
// RowSerializer has them by default.
func RowOf(withKind bool, fields ...*Type) (*Type, error) {
	return finish(&Type{Kind: KindRow, Class: pkgJava + "RowSerializer$RowSerializerSnapshot", Version: simpleVersion, Outer: 4, Flag: withKind, Args: fields})
}

// ListOf returns the type of lists, as states of lists have it.
func ListOf(elem *Type) (*Type, error) {
	return finish(&Type{Kind: KindList, Class: pkgBase + "ListSerializerSnapshot", Version: simpleVersion, Outer: 1, Args: []*Type{elem}})
}

// MapOf returns the type of maps, as states of maps have it.
func MapOf(key, value *Type) (*Type, error) {
	return finish(&Type{Kind: KindMap, Class: pkgBase + "MapSerializerSnapshot", Version: simpleVersion, Outer: 1, Args: []*Type{key, value}})
}

// TimerOf returns the type of timers.
func TimerOf(key, namespace *Type) (*Type, error) {
	return finish(&Type{Kind: KindTimer, Class: pkgStream + "api.operators.TimerSerializerSnapshot", Version: simpleVersion, Outer: 2, Args: []*Type{key, namespace}})
}

// PojoOf returns the type of a Java class with fields. Flink orders fields by
// name, and so does this; a field without a declaring class is the class's own.
func PojoOf(class string, fields ...Field) (*Type, error) {
	t := &Type{Kind: KindPojo, Class: pkgJava + "PojoSerializerSnapshot", Version: 2, Outer: -1, Name: class, Fields: slices.Clone(fields)}
	slices.SortFunc(t.Fields, func(a, b Field) int {
		switch {
		case a.Name < b.Name:
			return -1
		case a.Name > b.Name:
			return 1
		}
		return 0
	})
	for i := range t.Fields {
		if t.Fields[i].Class == "" {
			t.Fields[i].Class = class
		}
	}
	return finish(t)
}

func finish(t *Type) (*Type, error) {
	raw, err := t.encode(nil)
	if err != nil {
		return nil, err
	}
	t.raw = raw
	return t, nil
}

// encode appends the snapshot in versioned form, made from the type's parts.
func (t *Type) encode(dst []byte) ([]byte, error) {
	if t == nil {
		return dst, wire.Unsupported("a type without a nested type")
	}
	dst, err := wire.AppendUTF(dst, t.Class)
	if err != nil {
		return dst, err
	}
	dst = wire.AppendI32(dst, t.Version)
	switch t.Kind {
	case KindPojo:
		return t.encodePojo(dst)
	case KindEnum:
		dst, err = wire.AppendUTF(dst, t.Name)
		dst = wire.AppendI32(dst, int32(len(t.Names)))
		for _, n := range t.Names {
			if err == nil {
				dst, err = wire.AppendUTF(dst, n)
			}
		}
		return dst, err
	}
	if _, ok := simple[t.Kind]; ok {
		return dst, nil
	}
	if c := classes[t.Class]; c.body != bodyComposite {
		return dst, wire.Unsupported("making a snapshot of %s", t.Class)
	}
	dst = wire.AppendI32(wire.AppendI32(dst, compositeMagic), t.Outer)
	switch t.Kind {
	case KindTuple, KindCaseClass, KindArray, KindTraversable:
		dst, err = wire.AppendUTF(dst, t.Name)
	case KindNullable:
		dst = wire.AppendI32(dst, t.Size)
	case KindRow:
		dst = wire.AppendBool(dst, t.Flag)
	case KindList, KindSet, KindMap, KindTimer, KindTTL, KindEither, KindOption:
	default:
		return dst, wire.Unsupported("making a snapshot of %s", t.Class)
	}
	if err != nil {
		return dst, err
	}
	dst = wire.AppendI32(wire.AppendI32(wire.AppendI32(dst, nestedMagic), nestedVersion), int32(len(t.Args)))
	for _, a := range t.Args {
		if dst, err = a.encodeOrKeep(dst); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

// encodeOrKeep appends a nested snapshot: as it was read, if it was.
func (t *Type) encodeOrKeep(dst []byte) ([]byte, error) {
	if t != nil && t.raw != nil {
		return append(dst, t.raw...), nil
	}
	return t.encode(dst)
}

// encodePojo appends the three maps of a POJO's snapshot.
func (t *Type) encodePojo(dst []byte) ([]byte, error) {
	dst, err := wire.AppendUTF(dst, t.Name)
	if err != nil {
		return dst, err
	}
	for i, group := range [][]Field{t.Fields, t.Registered, t.Other} {
		dst = wire.AppendI32(wire.AppendI64(dst, optionalMapMark), int32(len(group)))
		for _, f := range group {
			if dst, err = f.encode(dst, i == 0); err != nil {
				return dst, err
			}
		}
	}
	return dst, nil
}

// encode appends an entry of an optional map: a field, whose key names its class,
// or a subclass, whose key is empty.
func (f *Field) encode(dst []byte, isField bool) ([]byte, error) {
	dst, err := wire.AppendUTF(dst, f.Name)
	if err != nil {
		return dst, err
	}
	var key []byte
	if isField {
		if key, err = wire.AppendUTF(key, f.Class); err != nil {
			return dst, err
		}
		if key, err = wire.AppendUTF(key, f.Name); err != nil {
			return dst, err
		}
	}
	if dst, err = wire.AppendBytes32(append(dst, 1), key); err != nil {
		return dst, err
	}
	value, err := f.Type.encodeOrKeep(nil)
	if err != nil {
		return dst, err
	}
	return wire.AppendBytes32(append(dst, 1), value)
}
