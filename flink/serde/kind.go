package serde

// Kind is how values of a type are encoded.
type Kind uint8

// The kinds. The numbers appear in no file.
const (
	KindString Kind = iota + 1
	KindLong
	KindInt
	KindShort
	KindByte
	KindBoolean
	KindChar
	KindDouble
	KindFloat
	KindBigInteger
	KindBigDecimal
	KindBytes
	KindBooleanArray
	KindCharArray
	KindShortArray
	KindIntArray
	KindLongArray
	KindFloatArray
	KindDoubleArray
	KindStringArray
	KindArray
	KindDate
	KindSQLDate
	KindSQLTime
	KindSQLTimestamp
	KindInstant
	KindLocalDate
	KindLocalTime
	KindLocalDateTime
	KindVoid
	KindVoidNamespace
	KindTimeWindow
	KindCountWindow
	KindGlobalWindow
	KindTuple0
	KindTuple
	KindList
	KindSet
	KindMap
	KindSortedMap
	KindEither
	KindEnum
	KindNullable
	KindUserValue // Value, CopyableValue, Writable: the class's own bytes
	KindJava
	KindPojo
	KindKryo
	KindAvro
	KindRow
	KindRowData
	KindBinaryRow
	KindStringData
	KindDecimalData
	KindTimestampData
	KindArrayData
	KindMapData
	KindRawValue
	KindLinkedList
	KindExternal
	KindNull
	KindStringValue // the mutable StringValue: length without the one for null
	KindStreamElement
	KindTimer
	KindTTL
	KindTTLAware
	KindCaseClass
	KindOption
	KindTry
	KindScalaEnum
	KindTraversable
	KindUnion
	KindBufferEntry
	KindTransactions
	KindDewey
	KindEventID
	KindNodeID
	KindSharedEdge
	KindSharedNode
	KindLockable
	KindNFA
	numKinds
)

var kindNames = [numKinds]string{
	KindString: "String", KindLong: "Long", KindInt: "Integer", KindShort: "Short", KindByte: "Byte", KindBoolean: "Boolean",
	KindChar: "Character", KindDouble: "Double", KindFloat: "Float", KindBigInteger: "BigInteger", KindBigDecimal: "BigDecimal",
	KindBytes: "byte[]", KindBooleanArray: "boolean[]", KindCharArray: "char[]", KindShortArray: "short[]", KindIntArray: "int[]",
	KindLongArray: "long[]", KindFloatArray: "float[]", KindDoubleArray: "double[]", KindStringArray: "String[]", KindArray: "Array",
	KindDate: "Date", KindSQLDate: "sql.Date", KindSQLTime: "sql.Time", KindSQLTimestamp: "sql.Timestamp", KindInstant: "Instant",
	KindLocalDate: "LocalDate", KindLocalTime: "LocalTime", KindLocalDateTime: "LocalDateTime", KindVoid: "Void",
	KindVoidNamespace: "VoidNamespace", KindTimeWindow: "TimeWindow", KindCountWindow: "CountWindow", KindGlobalWindow: "GlobalWindow",
	KindTuple0: "Tuple0", KindTuple: "Tuple", KindList: "List", KindSet: "Set", KindMap: "Map", KindSortedMap: "SortedMap",
	KindEither: "Either", KindEnum: "Enum", KindNullable: "Nullable", KindUserValue: "Value", KindJava: "Serializable", KindPojo: "POJO",
	KindKryo: "Kryo", KindAvro: "Avro", KindRow: "Row", KindRowData: "RowData", KindBinaryRow: "BinaryRowData", KindStringData: "StringData",
	KindDecimalData: "DecimalData", KindTimestampData: "TimestampData", KindArrayData: "ArrayData", KindMapData: "MapData",
	KindRawValue: "RawValueData", KindLinkedList: "LinkedList", KindExternal: "External", KindNull: "Null", KindStringValue: "StringValue",
	KindStreamElement: "StreamElement", KindTimer: "Timer", KindTTL: "TtlValue", KindTTLAware: "TtlAware", KindCaseClass: "CaseClass",
	KindOption: "Option", KindTry: "Try", KindScalaEnum: "Enumeration", KindTraversable: "Traversable", KindUnion: "TaggedUnion",
	KindBufferEntry: "BufferEntry", KindTransactions: "TwoPhaseCommitState", KindDewey: "DeweyNumber", KindEventID: "EventId",
	KindNodeID: "NodeId", KindSharedEdge: "SharedBufferEdge", KindSharedNode: "SharedBufferNode", KindLockable: "Lockable", KindNFA: "NFAState",
}

// String is the kind's name in Java.
func (k Kind) String() string {
	if k < numKinds && kindNames[k] != "" {
		return kindNames[k]
	}
	return "unknown"
}
