package convert

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/tidemark-io/tidemark/flink"
	"github.com/tidemark-io/tidemark/flink/metadata"
	"github.com/tidemark-io/tidemark/flink/serde"
	"github.com/tidemark-io/tidemark/flink/sst"
	"github.com/tidemark-io/tidemark/flink/state"
	"github.com/tidemark-io/tidemark/flink/wire"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/keygroup/keyhash"
)

// keyedFile is where keyed state of one subtask lies: in one stream, or in the files
// of a RocksDB instance.
type keyedFile struct {
	stream *metadata.KeyGroupsHandle
	rocks  *metadata.IncrementalHandle
	size   int64
}

// keyedFiles lists the keyed state of an operator's subtasks.
func (c *toNative) keyedFiles(op *metadata.Operator) ([]keyedFile, error) {
	var files []keyedFile
	for _, s := range op.Subtasks {
		if s.State == nil {
			continue
		}
		switch h := s.State.ManagedKeyed.(type) {
		case nil:
		case *metadata.KeyGroupsHandle:
			files = append(files, keyedFile{stream: h, size: sizeOf(h.Delegate)})
		case *metadata.IncrementalHandle:
			f := keyedFile{rocks: h}
			for _, list := range [][]metadata.NamedFile{h.Shared, h.Private} {
				for _, n := range list {
					f.size += sizeOf(n.Handle)
				}
			}
			files = append(files, f)
		default:
			return nil, errors.New("it is a changelog, which is not converted")
		}
	}
	return files, nil
}

// sizeOf is the size of a stream as far as its handle tells, in bytes.
func sizeOf(h metadata.StreamHandle) int64 {
	switch h := h.(type) {
	case *metadata.ByteStream:
		return int64(len(h.Data))
	case *metadata.File:
		return max(h.Size, 0)
	case *metadata.RelativeFile:
		return max(h.Size, 0)
	case *metadata.Segment:
		return max(h.Size, 0)
	}
	return 0
}

// header reads the header of keyed state.
func (c *toNative) header(f keyedFile) (*state.KeyedHeader, error) {
	h := metadata.StreamHandle(nil)
	if f.stream != nil {
		h = f.stream.Delegate
	} else {
		h = f.rocks.Meta
	}
	src, err := c.src.OpenHandle(c.ctx, h)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	return state.ReadKeyedHeader(wire.NewStream(src.Object, 0, src, src.Size()))
}

func (c *toNative) operatorHeader(h *metadata.OperatorHandle) (*state.OperatorHeader, error) {
	src, err := c.src.OpenHandle(c.ctx, h.Delegate)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	return state.ReadOperatorHeader(wire.NewStream(src.Object, 0, src, src.Size()))
}

// entries opens keyed state and yields its entries.
func (c *toNative) entries(op *metadata.Operator, f keyedFile, use func(*state.KeyedHeader, iter.Seq2[*state.Entry, error]) error) error {
	if f.stream != nil {
		src, err := c.src.OpenHandle(c.ctx, f.stream.Delegate)
		if err != nil {
			return err
		}
		defer src.Close()
		k, err := state.OpenKeyed(state.KeyedFile{Object: src.Object, Data: src, Size: src.Size(), Groups: rangeOf(f.stream.Range), Offsets: f.stream.Offsets,
			MaxParallelism: int(op.MaxParallelism), Savepoint: f.stream.Tag == metadata.TagSavepoint})
		if err != nil {
			return err
		}
		return use(k.Header, k.Entries())
	}
	h, err := c.header(f)
	if err != nil {
		return err
	}
	handle := sst.Handle{Object: "RocksDB's files", Header: h, Groups: rangeOf(f.rocks.Range), MaxParallelism: int(op.MaxParallelism)}
	var open []*flink.Source
	defer func() {
		for _, s := range open {
			_ = s.Close() // only read
		}
	}()
	for _, list := range [][]metadata.NamedFile{f.rocks.Shared, f.rocks.Private} {
		for _, n := range list {
			src, err := c.src.OpenHandle(c.ctx, n.Handle)
			if err != nil {
				return err
			}
			open = append(open, src)
			handle.Files = append(handle.Files, sst.File{Name: n.Name, Object: src.Object, Data: src, Size: src.Size()})
		}
	}
	db, err := sst.Open(handle)
	if err != nil {
		return err
	}
	return use(h, db.Entries())
}

func rangeOf(r metadata.KeyGroupRange) keygroup.Range {
	return keygroup.Range{First: int(r.Start), Last: int(r.Start+r.Count) - 1}
}

// scatter encodes the entries of one file and hands them to the sorter.
type scatter struct {
	*toNative
	o         *nativeOperator
	sorter    *sorter
	key       *match
	states    []scatterState // by the number in the header
	last      []byte         // the key of the entry before, in Java's encoding
	keyBytes  []byte         // the same, ours
	hash      keygroup.Hash
	namespace []byte
	value     []byte
	sortKey   []byte
}

// scatterState is how the entries of one state of a file are converted.
type scatterState struct {
	to               *nativeState // nil if it is left out
	namespace, value *match
	elem             *serde.Type // of a list
	isMap            bool
}

// scatterFile converts the keyed state of one subtask.
func (c *toNative) scatterFile(o *nativeOperator, f keyedFile, s *sorter) error {
	return c.entries(o.src, f, func(h *state.KeyedHeader, entries iter.Seq2[*state.Entry, error]) error {
		sc := &scatter{toNative: c, o: o, sorter: s}
		if err := sc.prepare(h); err != nil {
			return err
		}
		for e, err := range entries {
			if err == nil {
				err = c.ctx.Err()
			}
			if err != nil {
				return err
			}
			c.advance(len(e.Composite) + len(e.Value))
			if to := sc.states[e.State].to; to != nil {
				if err := sc.entry(e); err != nil {
					return fmt.Errorf("operator %q, state %q, key group %d: %w", o.uid, to.flink, e.KeyGroup, err)
				}
			}
		}
		return nil
	})
}

// prepare matches the types of a file with those of the result. Another file of the
// operator may have other snapshots of the same types.
func (sc *scatter) prepare(h *state.KeyedHeader) (err error) {
	if sc.o.key == nil {
		return nil
	}
	if sc.key, err = newMatch(sc.o.key, h.Key, true); err != nil {
		return fmt.Errorf("operator %q: the key: %w", sc.o.uid, err)
	}
	sc.states = make([]scatterState, len(h.States))
	for i := range h.States {
		meta, to := &h.States[i], sc.o.states[h.States[i].Name]
		if to == nil || to.dropped {
			continue
		}
		st := scatterState{to: to}
		ns, value := meta.Type(state.SerializerNamespace), meta.Type(state.SerializerValue)
		if to.kind == format.KindTimer {
			ns, value = value.Args[1], nil
		} else if elem, ok := meta.List(); ok {
			st.elem, value = elem, elem
		} else if k, v, ok := meta.Map(); ok {
			st.isMap, ns, value = true, k, v
		}
		if to.namespace != nil && st.elem == nil {
			st.namespace, err = newMatch(to.namespace, ns, true)
		}
		if err == nil && value != nil {
			st.value, err = newMatch(to.value, value, false)
		}
		if err != nil {
			return fmt.Errorf("operator %q, state %q: %w", sc.o.uid, to.flink, err)
		}
		sc.states[i] = st
	}
	return nil
}

// entry converts one entry.
func (sc *scatter) entry(e *state.Entry) (err error) {
	st := &sc.states[e.State]
	if !e.Split {
		return errors.New("key and namespace cannot be told apart")
	}
	if sc.last == nil || !slices.Equal(sc.last, e.Key) {
		if sc.keyBytes, err = sc.key.fromJava(sc.keyBytes[:0], e.Key); err != nil {
			return fmt.Errorf("key: %w", err)
		}
		sc.last, sc.hash = append(sc.last[:0], e.Key...), keyhash.Of(sc.keyBytes)
	}
	sc.namespace, sc.value = sc.namespace[:0], sc.value[:0]
	switch {
	case st.namespace == nil:
	case st.isMap:
		sc.namespace, err = st.namespace.fromJava(sc.namespace, e.UserKey)
	default:
		sc.namespace, err = st.namespace.fromJava(sc.namespace, e.Namespace)
	}
	if err != nil {
		return fmt.Errorf("namespace: %w", err)
	}
	switch {
	case st.to.kind == format.KindTimer:
		return sc.add(st, e.Timestamp)
	case st.elem != nil:
		return sc.list(st, e)
	case st.isMap:
		if len(e.Value) == 0 {
			return errors.New("an entry of a map without a value")
		}
		if e.Value[0] != 0 {
			sc.value, err = st.value.fit(sc.value, nil)
		} else {
			sc.value, err = st.value.fromJava(sc.value, e.Value[1:])
		}
	default:
		sc.value, err = st.value.fromJava(sc.value, e.Value)
	}
	if err != nil {
		return err
	}
	return sc.add(st, 0)
}

// list converts the elements of a list, each of which is an entry here. A comma
// stands between them.
func (sc *scatter) list(st *scatterState, e *state.Entry) error {
	r := wire.NewBytes("list", 0, e.Value)
	for i := uint32(0); r.Left() > 0; i++ {
		if i > 0 {
			r.Skip(1, "separator")
		}
		v := st.elem.Next(r)
		if err := r.Err(); err != nil {
			return err
		}
		var err error
		if sc.value, err = st.value.fit(sc.value[:0], v); err != nil {
			return fmt.Errorf("element %d: %w", i, err)
		}
		sc.namespace = binary.BigEndian.AppendUint32(sc.namespace[:0], i)
		if err := sc.add(st, 0); err != nil {
			return err
		}
	}
	return nil
}

// add hands over an entry. The sorter's keys have the order of the result: state,
// hash, key, namespace, and of timers the time.
func (sc *scatter) add(st *scatterState, time int64) error {
	k := binary.BigEndian.AppendUint32(sc.sortKey[:0], uint32(st.to.row))
	k = binary.BigEndian.AppendUint32(k, uint32(sc.hash))
	k = appendOrdered(appendOrdered(k, sc.keyBytes), sc.namespace)
	if st.to.kind == format.KindTimer {
		k = binary.BigEndian.AppendUint64(k, uint64(time)^1<<63)
	}
	sc.sortKey = k
	return sc.sorter.add(k, sc.value)
}

// appendOrdered appends bytes so that the results order as the bytes do, whatever
// follows them: a zero becomes 00 ff, the end is 00 00.
func appendOrdered(dst, b []byte) []byte {
	for _, x := range b {
		if dst = append(dst, x); x == 0 {
			dst = append(dst, 0xff)
		}
	}
	return append(dst, 0, 0)
}

// cutOrdered is the inverse: it appends the bytes to dst and returns what is behind.
func cutOrdered(dst, b []byte) (out, rest []byte) {
	for i := 0; i+1 < len(b); i++ {
		if b[i] != 0 {
			dst = append(dst, b[i])
			continue
		}
		if i++; b[i] == 0 {
			return dst, b[i+1:]
		}
		dst = append(dst, 0)
	}
	return dst, nil
}
