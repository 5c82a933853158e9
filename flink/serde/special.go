package serde

import (
	"github.com/tidemark-io/tidemark/flink/javaser"
	"github.com/tidemark-io/tidemark/flink/wire"
)

// special reads the values of Flink's operators, of other encodings, and those
// that are opaque.
func (w *walker) special(t *Type) any {
	switch t.Kind {
	case KindKryo, KindUserValue:
		return w.opaque(t.Name)
	case KindJava:
		return w.java()
	case KindAvro:
		return w.avro(t.avro)
	case KindStreamElement:
		return w.streamElement(t)
	case KindTimer:
		return w.timer(t)
	case KindUnion:
		return w.union(t)
	case KindBufferEntry:
		return w.structure(t, bufferNames, w.r.Bool("whether it was joined"), w.value(t.Args[0]))
	case KindTransactions:
		return w.transactions(t)
	case KindRowData, KindBinaryRow, KindStringData, KindDecimalData, KindArrayData, KindMapData, KindRawValue:
		return w.sql(t)
	}
	return w.cep(t)
}

var (
	bufferNames      = []string{"joined", "element"}
	timerNames       = []string{"timestamp", "key", "namespace"}
	transactionNames = []string{"pending", "committing", "context"}
	holderNames      = []string{"handle", "started"}
)

// Object is a Java object that was serialised by Java itself.
type Object struct{ Value javaser.Value }

func (w *walker) java() any {
	v, err := javaser.Read(w.r, nil)
	if err != nil || w.skip {
		return nil
	}
	return &Object{v}
}

// timer reads a timer: its timestamp with the sign bit inverted, so that bytes
// sort as numbers do, then key and namespace.
func (w *walker) timer(t *Type) any {
	at := w.r.I64("timestamp of a timer") ^ (-1 << 63)
	return w.structure(t, timerNames, w.boxed(at), w.value(t.Args[0]), w.value(t.Args[1]))
}

// union reads a value of one of two inputs.
func (w *walker) union(t *Type) any {
	at := w.r.Offset()
	switch tag := w.r.U8("number of an input"); tag {
	case 1:
		return w.structure(t, []string{"one"}, w.value(t.Args[0]))
	case 2:
		return w.structure(t, []string{"two"}, w.value(t.Args[1]))
	default:
		w.r.FailAt(at, "number of an input", wire.Malformed("%d", tag))
	}
	return nil
}

// transactions reads the state of a sink with two-phase commit.
func (w *walker) transactions(t *Type) any {
	holder := func() any {
		handle := w.value(t.Args[0])
		return w.structure(t, holderNames, handle, w.boxed(w.r.I64("start of a transaction")))
	}
	var pending any
	if !t.Flag || w.r.Bool("whether a transaction is pending") {
		pending = holder()
	}
	list := w.list(w.r.Count(8, "transactions"), holder)
	var context any
	if w.r.Bool("whether there is a context") {
		context = w.value(t.Args[1])
	}
	return w.structure(t, transactionNames, pending, list, context)
}

// Tags of stream elements. They are on disk.
const (
	elementStamped    byte = 0
	elementPlain      byte = 1
	elementWatermark  byte = 2
	elementLatency    byte = 3
	elementStatus     byte = 4
	elementAttributes byte = 5
	elementInternal   byte = 6
)

// streamElement reads what travels between operators.
func (w *walker) streamElement(t *Type) any {
	at := w.r.Offset()
	num := func(what string) any { return w.boxed(w.r.I64(what)) }
	switch tag := w.r.U8("tag of a stream element"); tag {
	case elementStamped:
		return w.structure(t, []string{"timestamp", "value"}, num("timestamp"), w.value(t.Args[0]))
	case elementPlain:
		return w.structure(t, []string{"value"}, w.value(t.Args[0]))
	case elementWatermark:
		return w.structure(t, []string{"watermark"}, num("watermark"))
	case elementLatency:
		return w.structure(t, []string{"marked", "operatorLower", "operatorUpper", "subtask"}, num("marked time"),
			num("operator"), num("operator"), w.boxed(int64(w.r.I32("subtask"))))
	case elementStatus:
		return w.structure(t, []string{"status"}, w.boxed(int64(w.r.I32("watermark status"))))
	case elementAttributes:
		return w.structure(t, []string{"backlog"}, w.r.Bool("backlog"))
	case elementInternal:
		return w.structure(t, []string{"subpartition", "watermark"}, w.boxed(int64(w.r.I32("subpartition"))), num("watermark"))
	default:
		w.r.FailAt(at, "tag of a stream element", wire.Malformed("%d", tag))
	}
	return nil
}

// cep reads the states of pattern matching.
func (w *walker) cep(t *Type) any {
	num := func(what string) any { return w.boxed(int64(w.r.I32(what))) }
	switch t.Kind {
	case KindDewey:
		return w.list(w.r.Count(4, "digits"), func() any { return num("digit") })
	case KindEventID:
		return w.structure(t, []string{"id", "timestamp"}, num("event"), w.boxed(w.r.I64("timestamp")))
	case KindNodeID:
		if !w.r.Bool("whether there is a node") {
			return nil
		}
		return w.structure(t, []string{"event", "page"}, w.value(t.Args[0]), w.str())
	case KindSharedEdge:
		return w.structure(t, []string{"target", "version"}, w.value(t.Args[0]), w.value(t.Args[1]))
	case KindSharedNode:
		return w.list(w.r.Count(4, "edges"), func() any {
			return w.structure(t, lockNames, num("references"), w.value(t.Args[0]))
		})
	case KindLockable:
		return w.structure(t, lockNames, num("references"), w.value(t.Args[0]))
	case KindNFA:
		return w.structure(t, []string{"partial", "completed"}, w.matches(t), w.matches(t))
	}
	w.r.Fail("value", wire.Unsupported("values of %s", t.Class))
	return nil
}

var lockNames = []string{"references", "element"}

// matches reads states of a pattern's automaton.
func (w *walker) matches(t *Type) any {
	names := []string{"state", "previous", "version", "started", "event"}
	if t.Flag {
		names = []string{"state", "previous", "version", "started", "last", "event"}
	}
	return w.list(w.r.Count(1, "states of an automaton"), func() any {
		values := []any{w.str(), w.value(t.Args[1]), w.value(t.Args[0]), w.boxed(w.r.I64("start of a match"))}
		if t.Flag {
			values = append(values, w.boxed(w.r.I64("timestamp of the event before")))
		}
		var event any
		if w.r.Bool("whether there is a first event") {
			event = w.value(t.Args[2])
		}
		return w.structure(t, names, append(values, event)...)
	})
}
