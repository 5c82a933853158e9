package format

import "slices"

// ColumnType is how the cells of a column are encoded. It is not stored: the
// kind of the block says it.
type ColumnType uint8

// Types of columns.
const (
	ColByte    ColumnType = 1 // one byte
	ColUvarint ColumnType = 2 // canonical varint
	ColZigzag  ColumnType = 3 // signed number as a zigzag varint
	ColDelta   ColumnType = 4 // 32-bit numbers that never fall: varint of the difference to the row before
	ColFixed32 ColumnType = 5 // 4 bytes little-endian
	ColFixed64 ColumnType = 6 // 8 bytes little-endian
	ColBytes   ColumnType = 7 // byte strings, of one width or each with its length
)

// String is the name that SPEC.md uses.
func (t ColumnType) String() string {
	names := [...]string{"?", "byte", "uvarint", "zigzag", "delta", "fixed32", "fixed64", "bytes"}
	if int(t) < len(names) {
		return names[t]
	}
	return names[0]
}

// Column is one column of a kind of block.
type Column struct {
	Name string
	Type ColumnType
}

// maxColumns is the largest number of columns of a kind.
const maxColumns = 24

// kindInfo describes a kind of block.
type kindInfo struct {
	name    string
	columns []Column
}

// numeric reports whether some column takes at least a byte for each row,
// which bounds the rows of a block by its decoded bytes.
func (k *kindInfo) numeric() bool {
	return slices.ContainsFunc(k.columns, func(c Column) bool { return c.Type != ColBytes })
}

// Columns of the kinds, in the order in which they are stored.
var kinds = map[Kind]*kindInfo{
	KindKeyed: {name: "keyed", columns: []Column{
		{"hash", ColDelta}, {"key", ColBytes}, {"namespace", ColBytes}, {"value", ColBytes}}},
	KindTimer: {name: "timer", columns: []Column{
		{"hash", ColDelta}, {"key", ColBytes}, {"namespace", ColBytes}, {"time", ColZigzag}}},
	KindSplitList: {name: "split-list", columns: []Column{{"item", ColBytes}}},
	KindUnionList: {name: "union-list", columns: []Column{{"item", ColBytes}}},
	KindBroadcast: {name: "broadcast", columns: []Column{{"key", ColBytes}, {"value", ColBytes}}},
	KindFloor: {name: "floor", columns: []Column{
		{"lo", ColUvarint}, {"hi", ColUvarint}, {"watermark", ColZigzag}, {"drain", ColZigzag}}},
	KindSubtaskWatermark: {name: "subtask-watermark", columns: []Column{
		{"subtask", ColUvarint}, {"current", ColZigzag}, {"emitted", ColZigzag},
		{"drain", ColZigzag}, {"status", ColByte}}},
	KindChannelWatermark: {name: "channel-watermark", columns: []Column{
		{"sender", ColUvarint}, {"receiver", ColUvarint}, {"generation", ColUvarint},
		{"watermark", ColZigzag}, {"status", ColByte}}},
	KindSplitWatermark: {name: "split-watermark", columns: []Column{
		{"split", ColBytes}, {"watermark", ColZigzag}, {"status", ColByte}, {"generator", ColBytes}}},
	KindInputChannel:  {name: "input-channel", columns: channelColumns},
	KindOutputChannel: {name: "output-channel", columns: channelColumns},

	KindBlockIndex: {name: "block-index", columns: []Column{
		{"back", ColUvarint}, {"length", ColUvarint}, {"crc", ColFixed32},
		{"decoded", ColUvarint}, {"rows", ColUvarint}, {"first", ColUvarint}}},
	KindDirectory: {name: "directory", columns: []Column{
		{"kind", ColByte}, {"operator", ColBytes}, {"parallelism", ColUvarint}, {"groups", ColUvarint},
		{"state", ColBytes}, {"edge", ColBytes}, {"key-schema", ColBytes},
		{"namespace-schema", ColBytes}, {"value-schema", ColBytes}, {"subtask", ColUvarint},
		{"back", ColUvarint}, {"length", ColUvarint}, {"crc", ColFixed32}, {"blocks", ColUvarint},
		{"entries", ColUvarint}, {"bytes", ColUvarint}, {"decoded", ColUvarint},
		{"lo", ColUvarint}, {"hi", ColUvarint}}},

	KindSummary: {name: "summary", columns: []Column{
		{"kind", ColByte}, {"id", ColUvarint}, {"path", ColBytes}, {"job", ColBytes},
		{"created", ColZigzag}, {"lineage", ColBytes}, {"run", ColUvarint}, {"parent", ColUvarint},
		{"parent-dir", ColBytes}, {"writer", ColBytes}, {"software", ColBytes}, {"hash", ColBytes},
		{"ending", ColByte}, {"subtasks", ColUvarint}, {"entries", ColUvarint},
		{"state-bytes", ColUvarint}, {"in-flight-bytes", ColUvarint}, {"in-flight-records", ColUvarint},
		{"min-watermark", ColZigzag}, {"max-watermark", ColZigzag}}},
	KindOperators: {name: "operators", columns: []Column{
		{"uid", ColBytes}, {"name", ColBytes}, {"parallelism", ColUvarint}, {"groups", ColUvarint},
		{"key-schema", ColUvarint}, {"task", ColUvarint},
		{"min-watermark", ColZigzag}, {"max-watermark", ColZigzag}}},
	KindStates: {name: "states", columns: []Column{
		{"operator", ColUvarint}, {"name", ColBytes}, {"kind", ColByte}, {"edge", ColUvarint},
		{"namespace-schema", ColUvarint}, {"value-schema", ColUvarint},
		{"entries", ColUvarint}, {"bytes", ColUvarint}, {"decoded", ColUvarint}}},
	KindEdges: {name: "edges", columns: []Column{
		{"id", ColBytes}, {"from", ColUvarint}, {"to", ColUvarint}, {"partitioner", ColByte},
		{"alignment", ColByte}, {"in-flight-bytes", ColUvarint}, {"in-flight-records", ColUvarint},
		{"keys", ColUvarint}, {"reason", ColByte}}},
	KindObjects: {name: "objects", columns: []Column{
		{"name", ColBytes}, {"length", ColUvarint}, {"crc", ColFixed32}, {"directory-crc", ColFixed32}}},
	KindSlices: {name: "slices", columns: []Column{
		{"state", ColDelta}, {"subtask", ColUvarint}, {"object", ColUvarint}, {"offset", ColUvarint},
		{"length", ColUvarint}, {"crc", ColFixed32}, {"blocks", ColUvarint}, {"entries", ColUvarint},
		{"bytes", ColUvarint}, {"decoded", ColUvarint}, {"lo", ColUvarint}, {"width", ColUvarint}}},
	KindSchemas:  {name: "schemas", columns: []Column{{"schema", ColBytes}}},
	KindSettings: {name: "settings", columns: []Column{{"key", ColBytes}, {"value", ColBytes}, {"origin", ColBytes}}},
	KindLosses: {name: "losses", columns: []Column{
		{"tool", ColBytes}, {"created", ColZigzag}, {"operator", ColBytes}, {"state", ColBytes},
		{"edge", ColBytes}, {"place", ColBytes}, {"reason", ColBytes}, {"bytes", ColUvarint},
		{"records", ColUvarint}, {"min-time", ColZigzag}, {"max-time", ColZigzag}}},
	KindTables: {name: "tables", columns: []Column{
		{"kind", ColByte}, {"back", ColUvarint}, {"length", ColUvarint}, {"crc", ColFixed32},
		{"decoded", ColUvarint}, {"rows", ColUvarint}, {"first", ColUvarint}, {"last", ColUvarint}}},
}

// edges2 is the table of edges of revision 2: without what was added behind.
var edges2 = &kindInfo{name: "edges", columns: kinds[KindEdges].columns[:7]}

// channelColumns are the columns of both kinds of channel state.
var channelColumns = []Column{
	{"receiver", ColUvarint}, {"sender", ColUvarint}, {"generation", ColUvarint},
	{"sequence", ColUvarint}, {"start", ColUvarint}, {"continuation", ColUvarint},
	{"crc", ColFixed32}, {"payload", ColBytes}}

// Columns are the columns of a kind of block, nil for an unknown kind. The
// result is shared: do not change it.
func Columns(kind Kind) []Column {
	if info := kinds[kind]; info != nil {
		return info.columns
	}
	return nil
}

// String is the name of the kind, as SPEC.md and tools print it.
func (k Kind) String() string {
	if info := kinds[k]; info != nil {
		return info.name
	}
	return "unknown kind"
}

// ByHash reports whether blocks of the kind are in the order of hashes.
func (k Kind) ByHash() bool { return k == KindKeyed || k == KindTimer || k == KindFloor }

// Channel reports whether blocks of the kind hold in-flight buffers.
func (k Kind) Channel() bool { return k == KindInputChannel || k == KindOutputChannel }

// Data reports whether blocks of the kind lie in data objects and are named by
// states.
func (k Kind) Data() bool { return k >= KindKeyed && k <= KindOutputChannel }
