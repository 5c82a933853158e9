package recovery

import (
	"context"
	"encoding/hex"
	"errors"
	"iter"
	"strconv"

	"github.com/tidemark-io/tidemark/checkpoint"
)

// ErrNotReadable is the error of reading the contents of a checkpoint whose
// format has no way to.
var ErrNotReadable = errors.New("the contents of this format cannot be read")

// Row is an entry of a state or an in-flight record, its fields printed as JSON.
// The slices are valid until the iterator's next step.
type Row struct {
	State    checkpoint.State
	Subtask  uint32
	KeyGroup uint32 // checkpoint.NoKeyGroup if there is none
	Hash     uint32 // of the key, if HasHash
	HasHash  bool
	Interval [2]uint64 // of hashes, of a floor
	// Key, Namespace and Value are JSON, nil if there is none. Bytes without a
	// schema are strings of hexadecimal digits.
	Key, Namespace, Value []byte
	Time                  int64 // checkpoint.UnknownTime if there is none
	Detail                []checkpoint.Detail
	// Problem says which field does not decode and is therefore nil.
	Problem error
}

// RowOptions configure Rows.
type RowOptions struct {
	// Raw yields channel states as the buffers that they consist of, and prints
	// all bytes as hexadecimal digits.
	Raw bool
}

// Rows yields what the selector selects, printed: entries state by state, then
// in-flight data record by record. A field that does not decode is a Problem of
// its row; damage of the checkpoint ends the iteration with its error. Memory is
// bounded whatever the size of the state.
func Rows(ctx context.Context, c checkpoint.Checkpoint, sel checkpoint.Selector, opts RowOptions) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		p := NewRowPrinter(c, opts)
		for e, err := range Contents(ctx, c, sel, opts.Raw) {
			var row Row
			switch {
			case err != nil:
			case e.Record != nil:
				row = p.Record(e.Record)
			default:
				row = p.Entry(e.Entry)
			}
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
}

// Content is an entry or an in-flight record.
type Content struct {
	Entry  *checkpoint.Entry
	Record *checkpoint.Record // instead of Entry
}

// Contents yields what the selector selects: entries state by state, then
// in-flight data record by record, or buffer by buffer as entries if raw. What
// it yields is valid until the next step.
func Contents(ctx context.Context, c checkpoint.Checkpoint, sel checkpoint.Selector, raw bool) iter.Seq2[Content, error] {
	return func(yield func(Content, error) bool) {
		joiner, joins := c.(checkpoint.Joiner)
		join := false
		for st, err := range c.States(ctx) {
			if err != nil {
				yield(Content{}, err)
				return
			}
			if !sel.Takes(st) {
				continue
			}
			if st.Kind.InFlight() && !raw && joins {
				join = true
				continue
			}
			for e, err := range Entries(ctx, c, st, sel) {
				if !yield(Content{Entry: &e}, err) || err != nil {
					return
				}
			}
		}
		if !join {
			return
		}
		for r, err := range joiner.Records(ctx, sel) {
			if !yield(Content{Record: &r}, err) || err != nil {
				return
			}
		}
	}
}

// Entries yields the entries of one state that the rest of the selector selects.
func Entries(ctx context.Context, c checkpoint.Checkpoint, st checkpoint.State, sel checkpoint.Selector) iter.Seq2[checkpoint.Entry, error] {
	return func(yield func(checkpoint.Entry, error) bool) {
		enumerator, ok := c.(checkpoint.Enumerator)
		if !ok {
			yield(checkpoint.Entry{}, ErrNotReadable)
			return
		}
		sel.Operator, sel.State, sel.Kind = st.Operator, st.Name, st.Kind
		for e, err := range enumerator.Entries(ctx, sel) {
			if err == nil && e.State.Row != st.Row { // two states without a name
				continue
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// RowPrinter prints entries and records. Its rows are valid until it prints the
// next one.
type RowPrinter struct {
	printer checkpoint.Printer
	raw     bool
	key     []byte
	ns      []byte
	value   []byte
}

// NewRowPrinter makes a printer for the entries of a checkpoint.
func NewRowPrinter(c checkpoint.Checkpoint, opts RowOptions) *RowPrinter {
	p := &RowPrinter{raw: opts.Raw}
	p.printer, _ = c.(checkpoint.Printer)
	return p
}

// Entry prints an entry.
func (p *RowPrinter) Entry(e *checkpoint.Entry) Row {
	row := Row{State: e.State, Subtask: e.Subtask, KeyGroup: e.KeyGroup, Time: checkpoint.UnknownTime, Detail: e.Detail}
	has := fieldsOf(e.State.Kind)
	if has.hash && !e.NoHash {
		row.Hash, row.HasHash = uint32(e.Hash), true
	}
	if has.time {
		row.Time = e.Time
	}
	if e.State.Kind == checkpoint.Floors {
		row.Interval = [2]uint64{e.Interval.Lo, e.Interval.Hi}
	}
	if has.key {
		p.key, row.Key = p.field(p.key, &row, checkpoint.FieldKey, e.Key)
	}
	if has.namespace && (len(e.Namespace) > 0 || e.State.NamespaceType != "") {
		p.ns, row.Namespace = p.field(p.ns, &row, checkpoint.FieldNamespace, e.Namespace)
	}
	if has.value {
		p.value, row.Value = p.field(p.value, &row, checkpoint.FieldValue, e.Value)
	}
	return row
}

// Record prints an in-flight record.
func (p *RowPrinter) Record(r *checkpoint.Record) Row {
	number := func(name string, n uint64) checkpoint.Detail {
		return checkpoint.Detail{Name: name, Value: strconv.FormatUint(n, 10)}
	}
	row := Row{State: r.State, Subtask: r.Subtask, KeyGroup: checkpoint.NoKeyGroup, Hash: uint32(r.Hash), HasHash: r.HasHash, Time: r.Time,
		Detail: []checkpoint.Detail{{Name: "element", Value: string(r.Element)}, number("sender", uint64(r.Sender)), number("receiver", uint64(r.Receiver)),
			number("generation", r.Generation)}}
	if r.Detail != nil {
		row.Detail = append(row.Detail[:1], r.Detail...)
	}
	if r.NoKey {
		row.Detail = append(row.Detail, checkpoint.Detail{Name: "key", Value: "none"})
	}
	switch r.Element {
	case checkpoint.ElementRecord, checkpoint.ElementLatency, checkpoint.ElementAttributes:
		p.value, row.Value = p.field(p.value, &row, checkpoint.FieldValue, r.Payload)
	case checkpoint.ElementTorn:
		// It is no value of the record's type, for which tables may have columns.
		row.Detail = append(row.Detail, checkpoint.Detail{Name: "bytes", Value: hex.EncodeToString(r.Payload)})
	case checkpoint.ElementStatus:
		status := "active"
		if len(r.Payload) == 1 && r.Payload[0] == 2 {
			status = "idle"
		}
		row.Detail = append(row.Detail, checkpoint.Detail{Name: "status", Value: status})
	}
	return row
}

// field prints one field into its buffer.
func (p *RowPrinter) field(buf []byte, row *Row, field checkpoint.Field, value []byte) (grown, text []byte) {
	if p.raw || p.printer == nil {
		buf = appendHex(buf[:0], value)
		return buf, buf
	}
	buf, err := p.printer.AppendValue(buf[:0], row.State, field, value)
	if err != nil {
		row.Problem = errors.Join(row.Problem, err)
		return buf, nil
	}
	return buf, buf
}

func appendHex(dst, value []byte) []byte {
	dst = append(dst, '"')
	dst = hex.AppendEncode(dst, value)
	return append(dst, '"')
}

// kindFields says which fields the entries of a kind have.
type kindFields struct{ hash, key, namespace, value, time bool }

func fieldsOf(kind checkpoint.StateKind) kindFields {
	switch kind {
	case checkpoint.Keyed:
		return kindFields{hash: true, key: true, namespace: true, value: true}
	case checkpoint.Timers:
		return kindFields{hash: true, key: true, namespace: true, time: true}
	case checkpoint.BroadcastState:
		return kindFields{key: true, value: true}
	case checkpoint.SplitWatermarks:
		return kindFields{key: true, value: true, time: true}
	case checkpoint.Floors, checkpoint.SubtaskWatermarks, checkpoint.ChannelWatermarks:
		return kindFields{time: true}
	}
	return kindFields{value: true}
}
