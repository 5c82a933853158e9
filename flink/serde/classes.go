package serde

import "strings"

// body is the shape of what follows a snapshot's class name and version.
type body uint8

const (
	bodyEmpty     body = iota
	bodyComposite      // header, own part by the kind, nested snapshots
	bodyClass          // a class name
	bodyEnum
	bodyScalaEnum
	bodyPojo
	bodyKryo
	bodyAvro
	bodyRowData
	bodyArity
	bodyDecimal
	bodyPrecision
	bodyArrayData
	bodyMapData
	bodySortedMap
	bodyTTLAware
)

// class is what is known of one snapshot class.
type class struct {
	kind Kind
	body body
	args int // nested snapshots of a composite, -1: one or more, -2: any number
}

// Where snapshot classes live.
const (
	pkgBase   = "org.apache.flink.api.common.typeutils.base."
	pkgArray  = pkgBase + "array."
	pkgJava   = "org.apache.flink.api.java.typeutils.runtime."
	pkgState  = "org.apache.flink.runtime.state."
	pkgStream = "org.apache.flink.streaming."
	pkgSQL    = "org.apache.flink.table.runtime.typeutils."
	pkgView   = "org.apache.flink.table.dataview."
	pkgCEP    = "org.apache.flink.cep.nfa."
	pkgScala  = "org.apache.flink.table.api.typeutils."
	pkgScala1 = "org.apache.flink.api.scala.typeutils." // Flink 1.x
)

// nested is the name of the snapshot class inside a serialiser's class.
func nested(pkg, serialiser string) string { return pkg + serialiser + "$" + serialiser + "Snapshot" }

// classes are the known snapshot classes (Flink 1.8 to 2.1).
var classes = tabulate()

func tabulate() map[string]class {
	m := map[string]class{
		pkgState + "VoidNamespaceSerializer$VoidNamespaceSerializerSnapshot":                                   {kind: KindVoidNamespace},
		pkgState + "JavaSerializer$JavaSerializerSnapshot":                                                     {kind: KindJava},
		pkgState + "ArrayListSerializerSnapshot":                                                               {KindList, bodyComposite, 1},
		pkgState + "ttl.TtlStateFactory$TtlSerializerSnapshot":                                                 {KindTTL, bodyComposite, 2},
		pkgState + "ttl.TtlAwareSerializerSnapshot":                                                            {KindTTLAware, bodyTTLAware, 1},
		pkgStream + "api.windowing.windows.TimeWindow$Serializer$TimeWindowSerializerSnapshot":                 {kind: KindTimeWindow},
		pkgStream + "api.windowing.windows.GlobalWindow$Serializer$GlobalWindowSerializerSnapshot":             {kind: KindGlobalWindow},
		pkgStream + "api.operators.TimerSerializerSnapshot":                                                    {KindTimer, bodyComposite, 2},
		pkgStream + "api.operators.co.IntervalJoinOperator$BufferEntrySerializerSnapshot":                      {KindBufferEntry, bodyComposite, 1},
		pkgStream + "api.datastream.CoGroupedStreams$UnionSerializerSnapshot":                                  {KindUnion, bodyComposite, 2},
		pkgStream + "runtime.streamrecord.StreamElementSerializer$StreamElementSerializerSnapshot":             {KindStreamElement, bodyComposite, 1},
		pkgStream + "api.functions.sink.TwoPhaseCommitSinkFunction$StateSerializerSnapshot":                    {KindTransactions, bodyComposite, 2},
		pkgStream + "api.functions.sink.legacy.TwoPhaseCommitSinkFunction$StateSerializerSnapshot":             {KindTransactions, bodyComposite, 2},
		"org.apache.flink.table.runtime.operators.window.TimeWindow$Serializer$TimeWindowSerializerSnapshot":   {kind: KindTimeWindow},
		"org.apache.flink.table.runtime.operators.window.CountWindow$Serializer$CountWindowSerializerSnapshot": {kind: KindCountWindow},
		"org.apache.flink.formats.avro.typeutils.AvroSerializerSnapshot":                                       {KindAvro, bodyAvro, 0},
		pkgView + "NullSerializer$NullSerializerSnapshot":                                                      {kind: KindNull},
		pkgView + "ListViewSerializerSnapshot":                                                                 {KindExternal, bodyComposite, 1},
		pkgView + "MapViewSerializerSnapshot":                                                                  {KindExternal, bodyComposite, 1},
	}
	tabulateBase(m)
	tabulateJava(m)
	tabulateSQL(m)
	tabulateCEP(m)
	for _, pkg := range []string{pkgScala, pkgScala1} {
		m[pkg+"ScalaCaseClassSerializerSnapshot"] = class{KindCaseClass, bodyComposite, -2}
		m[pkg+"ScalaEitherSerializerSnapshot"] = class{KindEither, bodyComposite, 2}
		m[pkg+"ScalaOptionSerializerSnapshot"] = class{KindOption, bodyComposite, 1}
		m[pkg+"ScalaTrySerializerSnapshot"] = class{KindTry, bodyComposite, 2}
		m[pkg+"ScalaEnumSerializerSnapshot"] = class{KindScalaEnum, bodyScalaEnum, 0}
		m[pkg+"TraversableSerializerSnapshot"] = class{KindTraversable, bodyComposite, 1}
	}
	return m
}

func tabulateBase(m map[string]class) {
	for name, kind := range map[string]Kind{
		"String": KindString, "Long": KindLong, "Int": KindInt, "Short": KindShort, "Byte": KindByte, "Boolean": KindBoolean,
		"Char": KindChar, "Double": KindDouble, "Float": KindFloat, "BigInt": KindBigInteger, "BigDec": KindBigDecimal,
		"Date": KindDate, "SqlDate": KindSQLDate, "SqlTime": KindSQLTime, "SqlTimestamp": KindSQLTimestamp, "Instant": KindInstant,
		"LocalDate": KindLocalDate, "LocalTime": KindLocalTime, "LocalDateTime": KindLocalDateTime, "Void": KindVoid,
		// The mutable values have the bytes of their primitives.
		"LongValue": KindLong, "IntValue": KindInt, "ShortValue": KindShort, "ByteValue": KindByte, "BooleanValue": KindBoolean,
		"CharValue": KindChar, "DoubleValue": KindDouble, "FloatValue": KindFloat, "StringValue": KindStringValue, "NullValue": KindNull,
	} {
		m[nested(pkgBase, name+"Serializer")] = class{kind: kind}
	}
	for name, kind := range map[string]Kind{
		"Byte": KindBytes, "Boolean": KindBooleanArray, "Char": KindCharArray, "Short": KindShortArray, "Int": KindIntArray,
		"Long": KindLongArray, "Float": KindFloatArray, "Double": KindDoubleArray,
	} {
		m[nested(pkgArray, name+"PrimitiveArraySerializer")] = class{kind: kind}
	}
	m[nested(pkgArray, "StringArraySerializer")] = class{kind: KindStringArray}
	m[nested(pkgBase, "EnumSerializer")] = class{KindEnum, bodyEnum, 0}
	m[pkgBase+"GenericArraySerializerSnapshot"] = class{KindArray, bodyComposite, 1}
	m[pkgBase+"ListSerializerSnapshot"] = class{KindList, bodyComposite, 1}
	m[pkgBase+"SetSerializerSnapshot"] = class{KindSet, bodyComposite, 1}
	m[pkgBase+"MapSerializerSnapshot"] = class{KindMap, bodyComposite, 2}
}

func tabulateJava(m map[string]class) {
	m[pkgJava+"TupleSerializerSnapshot"] = class{KindTuple, bodyComposite, -1}
	m[pkgJava+"Tuple0Serializer$Tuple0SerializerSnapshot"] = class{kind: KindTuple0}
	m[pkgJava+"JavaEitherSerializerSnapshot"] = class{KindEither, bodyComposite, 2}
	m[pkgJava+"NullableSerializer$NullableSerializerSnapshot"] = class{KindNullable, bodyComposite, 1}
	m[pkgJava+"RowSerializer$RowSerializerSnapshot"] = class{KindRow, bodyComposite, -2}
	m[pkgJava+"PojoSerializerSnapshot"] = class{KindPojo, bodyPojo, 0}
	m[pkgJava+"kryo.KryoSerializerSnapshot"] = class{KindKryo, bodyKryo, 0}
	for _, name := range []string{"ValueSerializer", "CopyableValueSerializer", "WritableSerializer"} {
		m[nested(pkgJava, name)] = class{KindUserValue, bodyClass, 0}
	}
}

func tabulateSQL(m map[string]class) {
	m[nested(pkgSQL, "RowDataSerializer")] = class{KindRowData, bodyRowData, 0}
	m[nested(pkgSQL, "BinaryRowDataSerializer")] = class{KindBinaryRow, bodyArity, 0}
	m[nested(pkgSQL, "StringDataSerializer")] = class{kind: KindStringData}
	m[pkgSQL+"DecimalDataSerializer$DecimalSerializerSnapshot"] = class{KindDecimalData, bodyDecimal, 0}
	m[nested(pkgSQL, "TimestampDataSerializer")] = class{KindTimestampData, bodyPrecision, 0}
	m[nested(pkgSQL, "ArrayDataSerializer")] = class{KindArrayData, bodyArrayData, 0}
	m[nested(pkgSQL, "MapDataSerializer")] = class{KindMapData, bodyMapData, 0}
	m[nested(pkgSQL, "RawValueDataSerializer")] = class{KindRawValue, bodyComposite, 1}
	m[nested(pkgSQL, "LinkedListSerializer")] = class{KindLinkedList, bodyComposite, 1}
	m[nested(pkgSQL, "ExternalSerializer")] = class{KindExternal, bodyComposite, 1}
	m[pkgSQL+"SortedMapSerializerSnapshot"] = class{KindSortedMap, bodySortedMap, 2}
}

func tabulateCEP(m map[string]class) {
	shared := pkgCEP + "sharedbuffer."
	m[pkgCEP+"DeweyNumber$DeweyNumberSerializer$DeweyNumberSerializerSnapshot"] = class{kind: KindDewey}
	m[pkgCEP+"NFAStateSerializerSnapshot"] = class{KindNFA, bodyComposite, 3}
	m[shared+"EventId$EventIdSerializer$EventIdSerializerSnapshot"] = class{kind: KindEventID}
	m[shared+"NodeId$NodeIdSerializer$NodeIdSerializerSnapshot"] = class{KindNodeID, bodyComposite, 1}
	m[shared+"SharedBufferEdge$SharedBufferEdgeSerializer$SharedBufferEdgeSerializerSnapshot"] = class{KindSharedEdge, bodyComposite, 2}
	m[shared+"SharedBufferNodeSerializerSnapshotV2"] = class{KindSharedNode, bodyComposite, 1}
	m[shared+"LockableTypeSerializerSnapshot"] = class{KindLockable, bodyComposite, 1}
	m[shared+"Lockable$LockableTypeSerializerSnapshot"] = class{KindLockable, bodyComposite, 1}
}

// Known reports whether a snapshot class can be read.
func Known(snapshotClass string) bool {
	_, ok := classes[strings.TrimSpace(snapshotClass)]
	return ok
}
