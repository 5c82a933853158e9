package native

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"strconv"

	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/store"
)

// lostAndFound is the object, beside the result's data, for what reads but
// belongs to no operator for certain: one JSON document on a line each. It is
// made when there is something to put into it.
type lostAndFound struct {
	s     *salvage
	up    store.Upload
	lines uint64
}

// FoundSchema names the lines of the lost-and-found.
const FoundSchema = "tidemark.lost-and-found/1"

// foundLine is one line. Bytes without a type are hexadecimal.
type foundLine struct {
	Schema     string          `json:"schema"`
	Why        string          `json:"why"`
	Object     string          `json:"object,omitempty"`
	Operator   string          `json:"operator,omitempty"`
	State      string          `json:"state,omitempty"`
	Kind       string          `json:"kind"`
	Edge       string          `json:"edge,omitempty"`
	Subtask    *uint32         `json:"subtask,omitempty"`
	Receiver   *uint32         `json:"receiver,omitempty"`
	Sender     *uint32         `json:"sender,omitempty"`
	Generation string          `json:"generation,omitempty"`
	Sequence   string          `json:"sequence,omitempty"`
	Offset     *int            `json:"offset,omitempty"` // of the piece in the buffer
	Hash       string          `json:"hash,omitempty"`
	Key        json.RawMessage `json:"key,omitempty"`
	Namespace  json.RawMessage `json:"namespace,omitempty"`
	Value      json.RawMessage `json:"value,omitempty"`
	Time       *int64          `json:"time,omitempty"`
	Bytes      string          `json:"bytes,omitempty"`
}

// put writes a line.
func (l *lostAndFound) put(line foundLine) error {
	l.lines++
	name := l.s.edit.Salvage.LostAndFound
	if name == "" {
		return nil
	}
	if l.up == nil {
		up, err := l.s.st.Create(l.s.ctx, layout.Join(l.s.dst, name))
		if err != nil {
			return err
		}
		l.up = up
	}
	line.Schema = FoundSchema
	data, err := json.Marshal(line)
	if err != nil {
		return err
	}
	_, err = l.up.Write(append(data, '\n'))
	return err
}

// close makes the object visible.
func (l *lostAndFound) close() error {
	if l.up == nil {
		return nil
	}
	name := layout.Join(l.s.dst, l.s.edit.Salvage.LostAndFound)
	_, err := l.up.Commit()
	if !errors.Is(err, store.ErrExist) {
		l.s.made = append(l.s.made, name)
	}
	l.up = nil
	return err
}

// abort gives the object up.
func (l *lostAndFound) abort() error {
	if l.up == nil {
		return nil
	}
	up := l.up
	l.up = nil
	return up.Abort()
}

// pending is the number of lines, before or after they are written.
func (l *lostAndFound) pending() uint64 {
	if l.s.w != nil {
		return l.lines
	}
	var n uint64
	for _, m := range l.s.mends {
		n += m.torn
	}
	for _, st := range l.s.over.strays {
		n += st.entry.Slice.Entries
	}
	return n
}

// pieces puts what is cut off a buffer.
func (l *lostAndFound) pieces(edge int, b *format.Buffer, c cut) error {
	if c.from >= c.to {
		c.from, c.to = len(b.Payload), len(b.Payload)
	}
	for _, part := range []struct{ from, to int }{{0, c.from}, {c.to, len(b.Payload)}} {
		if part.from >= part.to {
			continue
		}
		receiver, sender := b.Receiver, b.Sender
		err := l.put(foundLine{Why: "a part of this record is damaged", Kind: "torn", Edge: l.s.src.edges[edge].ID, Receiver: &receiver, Sender: &sender,
			Generation: decimal(b.Generation), Sequence: decimal(b.Sequence), Offset: &part.from, Bytes: hex.EncodeToString(b.Payload[part.from:part.to])})
		if err != nil {
			return err
		}
	}
	return nil
}

// strays puts the records of slices that belong to nothing.
func (l *lostAndFound) strays() error {
	for i := range l.s.over.strays {
		if err := l.stray(&l.s.over.strays[i]); err != nil {
			return err
		}
	}
	return nil
}

// stray puts the records of one slice, as far as they read.
func (l *lostAndFound) stray(st *stray) error {
	f, err := l.s.over.Store.Open(l.s.ctx, st.object)
	if errors.Is(err, store.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	sl, limits := st.entry.Slice, format.DefaultLimits()
	read := func(ref format.BlockRef) ([]byte, error) {
		if uint64(ref.Length) > limits.Block+format.MaxHeader || ref.End() > uint64(f.Info().Size) {
			return nil, nil
		}
		data := make([]byte, ref.Length)
		if n, err := f.ReadAt(data, int64(ref.Offset)); n < len(data) && !errors.Is(err, io.EOF) {
			return nil, err
		}
		return data, nil
	}
	data, err := read(sl.Ref())
	if err != nil || data == nil {
		return err
	}
	var index format.Index
	if index.Decode(st.object, data, sl, st.entry.Kind, nil) != nil {
		return nil
	}
	for ref, err := range index.Blocks() {
		if err != nil {
			return nil
		}
		if err := l.s.ctx.Err(); err != nil {
			return err
		}
		data, err := read(ref)
		if err != nil {
			return err
		}
		if data == nil || l.s.block.Decode(st.object, data, st.entry.Kind, ref, nil) != nil {
			continue
		}
		if err := l.strayBlock(st, &l.s.block); err != nil {
			return err
		}
	}
	return nil
}

// strayBlock puts the rows of one block.
func (l *lostAndFound) strayBlock(st *stray, b *format.Block) error {
	e := &st.entry
	schema := func(data []byte) *format.Schema {
		if len(data) == 0 {
			return nil
		}
		s, err := format.DecodeSchema(data, nil)
		if err != nil {
			return nil
		}
		return s
	}
	key, ns, value := schema(e.KeySchema), schema(e.NamespaceSchema), schema(e.ValueSchema)
	subtask := e.Slice.Subtask
	line := foundLine{Why: st.why, Object: st.object, Operator: e.Operator, State: e.State, Kind: e.Kind.String(), Edge: e.Edge, Subtask: &subtask}
	switch e.Kind {
	case format.KindKeyed, format.KindTimer:
		rows := format.NewKeyedRows(e.Slice.Interval)
		rows.Start(b)
		for rows.Next() {
			line.Hash, line.Key, line.Namespace = decimal(uint64(rows.Hash)), typed(key, rows.Key), typed(ns, rows.Namespace)
			if e.Kind == format.KindTimer {
				time := rows.Time
				line.Time = &time
			} else {
				line.Value = typed(value, rows.Value)
			}
			if err := l.put(line); err != nil {
				return err
			}
		}
		return nil
	case format.KindSplitList, format.KindUnionList:
		for row, err := range format.NewRows[format.Item](e.Slice.Interval).Of(b) {
			if err != nil {
				return nil
			}
			line.Value = typed(value, row.Value)
			if err := l.put(line); err != nil {
				return err
			}
		}
	case format.KindBroadcast:
		for row, err := range format.NewRows[format.Pair](e.Slice.Interval).Of(b) {
			if err != nil {
				return nil
			}
			line.Key, line.Value = typed(ns, row.Key), typed(value, row.Value)
			if err := l.put(line); err != nil {
				return err
			}
		}
	case format.KindInputChannel, format.KindOutputChannel:
		for row, err := range format.NewRows[format.Buffer](e.Slice.Interval).Of(b) {
			if err != nil {
				return nil
			}
			receiver, sender := row.Receiver, row.Sender
			line.Receiver, line.Sender, line.Generation, line.Sequence = &receiver, &sender, decimal(row.Generation), decimal(row.Sequence)
			line.Bytes = hex.EncodeToString(row.Payload)
			if err := l.put(line); err != nil {
				return err
			}
		}
	}
	return nil
}

// typed is a value as JSON by its schema, as hexadecimal digits without one.
func typed(s *format.Schema, value []byte) json.RawMessage {
	if s != nil {
		if text, err := format.AppendJSON(nil, s, value, nil); err == nil {
			return text
		}
	}
	return append(hex.AppendEncode([]byte{'"'}, value), '"')
}

// decimal writes a number that may exceed 2^53.
func decimal(n uint64) string { return strconv.FormatUint(n, 10) }
