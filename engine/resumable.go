package engine

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/tidemark-io/tidemark/engine/codec"
	"github.com/tidemark-io/tidemark/engine/runtime"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/keygroup/keyhash"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/writer"
)

// FlatMapResumable is [FlatMap] for work on one record that has no bound: long
// loops, generators, even ones without an end. f does a bounded piece of it, with
// a bounded number of emitted records, and returns a cursor, from which the next
// call goes on, or done. The first call for a record gets the zero cursor.
//
// Between two calls checkpoints are taken; the record and the cursor are part of
// them, and a restore, at any parallelism, goes on where the checkpoint stood.
// While a record is unfinished the subtask takes no other record and event time
// waits. An aligned checkpoint still has to wait for the data before its barrier,
// so behind an endless record only unaligned checkpoints, or ones with a timeout,
// get through, and only on a connection that may be unaligned: put a
// [Stream.Rebalance] in front.
//
// f must not change in. C needs a codec, derived or given by [CursorCodec].
func FlatMapResumable[A, C, B any](s Stream[A], uid string, f func(in A, cursor C, out *Output[B]) (next C, done bool, err error), opts ...Option) Stream[B] {
	codecs := unfinishedCodecs[A, C](s.g, uid, s.legs[0], opts)
	node := attach(s, &runtime.Node{UID: uid, Name: uid, Stateful: true, Alone: true, Holds: true,
		New: func() runtime.Operator { return &resumableOp[A, C, B]{f: f, codecs: codecs} }}, opts)
	s.g.emits(node)
	return newStream[B](s.g, node)
}

// ResumableProcess is [Process] for work on one record that has no bound; see
// [FlatMapResumable]. Further abilities are those of a Process.
type ResumableProcess[K, In, C, Out any] interface {
	// Process does a bounded piece of the work for a record and returns the
	// cursor for the next call, or done.
	Process(ctx *Context[K], in In, cursor C, out *Output[Out]) (next C, done bool, err error)
}

// ApplyResumable runs a ResumableProcess on a keyed stream, as [Apply] does a
// Process. An unfinished record is state of its key.
func ApplyResumable[K, In, C, Out any](k Keyed[K, In], uid string, make func() ResumableProcess[K, In, C, Out], opts ...Option) Stream[Out] {
	codecs := unfinishedCodecs[In, C](k.stream.g, uid, k.stream.legs[0], opts)
	n := &runtime.Node{UID: uid, Name: uid, Stateful: true, Alone: true, New: func() runtime.Operator {
		proc := make()
		return &resumableProcessOp[K, In, C, Out]{keyedOp: keyedOp[K, Out]{function: proc, codec: k.codec}, proc: proc, key: k.key, codecs: codecs}
	}}
	node := attachKeyed(k, n, opts)
	k.stream.g.emits(node)
	return newStream[Out](k.stream.g, node)
}

// CursorCodec gives the cursor of a resumable function a codec, in place of the
// derived one.
func CursorCodec[C any](c Codec[C]) Option { return func(o *options) { o.cursor = c } }

// unfinished is a record whose work is not done.
type unfinished[A, C any] struct {
	record    A
	cursor    C
	timestamp int64
}

// recordCodec encodes unfinished records for checkpoints.
type recordCodec[A, C any] struct {
	record Codec[A]
	cursor Codec[C]
}

// unfinishedCodecs finds the codecs of a record and a cursor. That of the record
// is the stream's, whose absence is reported elsewhere.
func unfinishedCodecs[A, C any](g *Graph, uid string, l leg[A], opts []Option) recordCodec[A, C] {
	c, given := collect(opts).cursor.(Codec[C])
	if !given {
		if collect(opts).cursor != nil {
			g.fail("operator %q: the codec given for its cursor is one for another type", uid)
		}
		var err error
		if c, err = codec.Of[C](); err != nil {
			g.fail("operator %q: its cursor needs a codec (CursorCodec): %w", uid, err)
		}
	}
	return recordCodec[A, C]{record: l.codec, cursor: c}
}

// schema is a struct of the event time, the record and the cursor, or opaque if a
// codec says nothing of its encoding: no part of another type may be that.
func (c recordCodec[A, C]) schema() *format.Schema {
	for _, s := range []*format.Schema{c.record.Schema(), c.cursor.Schema()} {
		if s == nil || s.Type == format.TypeOpaque {
			return &format.Schema{Type: format.TypeOpaque, Name: reflect.TypeFor[unfinished[A, C]]().String()}
		}
	}
	return &format.Schema{Type: format.TypeStruct, Name: "unfinished", Fields: []format.Field{
		{Name: "Timestamp", Schema: &format.Schema{Type: format.TypeInt64}},
		{Name: "Record", Schema: c.record.Schema()},
		{Name: "Cursor", Schema: c.cursor.Schema()},
	}}
}

func (c recordCodec[A, C]) append(dst []byte, u unfinished[A, C]) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(u.timestamp))
	return c.cursor.Append(c.record.Append(dst, u.record), u.cursor)
}

func (c recordCodec[A, C]) decode(data []byte) (u unfinished[A, C], err error) {
	if len(data) < 8 {
		return u, fmt.Errorf("unfinished record of %d bytes: too short", len(data))
	}
	u.timestamp = int64(binary.LittleEndian.Uint64(data))
	// Decoded values may refer to the bytes, which are not ours.
	rest := slices.Clone(data[8:])
	var n int
	if u.record, n, err = c.record.Decode(rest); err != nil {
		return u, fmt.Errorf("unfinished record: %w", err)
	}
	rest = rest[n:]
	if u.cursor, n, err = c.cursor.Decode(rest); err != nil {
		return u, fmt.Errorf("cursor of an unfinished record: %w", err)
	}
	if n != len(rest) {
		return u, fmt.Errorf("cursor of an unfinished record: %w", errTrailing(n, len(rest)))
	}
	return u, nil
}

// unfinishedName is the state that holds unfinished records.
const unfinishedName = "unfinished"

// resumableOp is FlatMapResumable in one subtask. Only after a restore more than
// one record can be unfinished.
type resumableOp[A, C, B any] struct {
	stateless[B]
	f      func(A, C, *Output[B]) (C, bool, error)
	codecs recordCodec[A, C]
	work   []unfinished[A, C]
}

func (r *resumableOp[A, C, B]) spec() runtime.StateSpec {
	return runtime.StateSpec{Name: unfinishedName, Kind: format.KindSplitList, Value: r.codecs.schema()}
}

func (r *resumableOp[A, C, B]) Open(env *runtime.Env) error {
	if err := r.stateless.Open(env); err != nil {
		return err
	}
	items, _, err := env.RestoreList(r.spec())
	if err != nil {
		return err
	}
	for _, item := range items {
		u, err := r.codecs.decode(item)
		if err != nil {
			return err
		}
		r.work = append(r.work, u)
	}
	if len(r.work) > 0 {
		env.Resume()
	}
	return nil
}

func (r *resumableOp[A, C, B]) push(in A, timestamp int64) {
	r.work = append(r.work, unfinished[A, C]{record: in, timestamp: timestamp})
	done, err := r.Resume()
	if err != nil {
		r.env.Fail(err)
	}
	if !done {
		r.env.Resume()
	}
}

// Resume makes one call.
func (r *resumableOp[A, C, B]) Resume() (bool, error) {
	r.env.Enter()
	u := &r.work[0]
	r.out.timestamp = u.timestamp
	next, done, err := r.f(u.record, u.cursor, &r.out)
	if err != nil {
		return false, err
	}
	if u.cursor = next; done {
		r.work = slices.Delete(r.work, 0, 1)
	}
	return len(r.work) == 0, nil
}

func (r *resumableOp[A, C, B]) Snapshot(s *runtime.Snapshot) error {
	if len(r.work) == 0 {
		return nil
	}
	var items [][]byte
	for _, u := range r.work {
		items = append(items, r.codecs.append(nil, u))
	}
	s.List(r.spec(), items)
	return nil
}

// resumableProcessOp is ApplyResumable in one subtask.
type resumableProcessOp[K, In, C, Out any] struct {
	keyedOp[K, Out]
	proc   ResumableProcess[K, In, C, Out]
	key    func(In) K
	codecs recordCodec[In, C]
	work   []unfinished[In, C]
}

func (p *resumableProcessOp[K, In, C, Out]) spec() runtime.StateSpec {
	return runtime.StateSpec{Name: unfinishedName, Kind: format.KindKeyed, Value: p.codecs.schema()}
}

func (p *resumableProcessOp[K, In, C, Out]) Open(env *runtime.Env) error {
	if err := p.keyedOp.Open(env); err != nil {
		return err
	}
	err := env.RestoreKeyed(p.spec(), func(int) {}, func(_ uint64, b *reader.Batch) error {
		u, err := p.codecs.decode(b.Value)
		p.work = append(p.work, u)
		return err
	})
	if err == nil && len(p.work) > 0 {
		env.Resume()
	}
	return err
}

func (p *resumableProcessOp[K, In, C, Out]) push(in In, timestamp int64) {
	p.work = append(p.work, unfinished[In, C]{record: in, timestamp: timestamp})
	done, err := p.Resume()
	if err != nil {
		p.env.Fail(err)
	}
	if !done {
		p.env.Resume()
	}
}

// Resume makes one call.
func (p *resumableProcessOp[K, In, C, Out]) Resume() (bool, error) {
	p.env.Enter()
	u := &p.work[0]
	p.begin(p.key(u.record), u.timestamp)
	next, done, err := p.proc.Process(&p.ctx, u.record, u.cursor, &p.out)
	if err != nil {
		return false, err
	}
	if u.cursor = next; done {
		p.work = slices.Delete(p.work, 0, 1)
	}
	return len(p.work) == 0, nil
}

// Snapshot hands the unfinished records over, in the order of their keys.
func (p *resumableProcessOp[K, In, C, Out]) Snapshot(s *runtime.Snapshot) error {
	if err := p.keyedOp.Snapshot(s); err != nil || len(p.work) == 0 {
		return err
	}
	type entry struct {
		hash       keygroup.Hash
		key, value []byte
	}
	var entries []entry
	for _, u := range p.work {
		key := p.codec.Append(nil, p.key(u.record))
		entries = append(entries, entry{keyhash.Of(key), key, p.codecs.append(nil, u)})
	}
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.hash, b.hash), slices.Compare(a.key, b.key))
	})
	s.Add(p.spec(), func(_ context.Context, sl *writer.Slice) error {
		var errs []error
		for _, e := range entries {
			errs = append(errs, sl.Keyed(e.hash, e.key, nil, e.value))
		}
		return errors.Join(errs...)
	}, nil)
	return nil
}
