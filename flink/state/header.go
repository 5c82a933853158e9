package state

import (
	"github.com/tidemark-io/tidemark/flink/serde"
	"github.com/tidemark-io/tidemark/flink/wire"
)

// Versions of the two headers. They are on disk.
const (
	keyedVersion         int32 = 6 // since Flink 1.8
	operatorVersion      int32 = 6 // since Flink 1.18, with the compression flag
	operatorVersionPlain int32 = 5 // 1.8 to 1.17
)

// KeyedHeader is the beginning of a file of keyed state, and the whole file of
// meta information of an incremental checkpoint.
type KeyedHeader struct {
	Version    int32
	Compressed bool // entries are snappy frames
	Key        *serde.Type
	// States are those of the file; their index is the id entries have.
	States []Meta
	// Size is the length of the header in bytes.
	Size int64
}

// ReadKeyedHeader reads a header of keyed state. On an error, which r keeps too,
// it returns nil.
func ReadKeyedHeader(r *wire.Reader) (*KeyedHeader, error) {
	from := r.Offset()
	h := &KeyedHeader{Version: r.I32("version of keyed state")}
	if r.Err() == nil && h.Version != keyedVersion {
		r.FailAt(from, "version of keyed state", wire.Unsupported("%d, only %d (Flink 1.8 and later) is known", h.Version, keyedVersion))
	}
	h.Compressed = r.Bool("whether entries are compressed")
	h.Key, _ = serde.ReadSnapshot(r)
	h.States = readMetas(r, "states")
	h.Size = r.Offset() - from
	if r.Err() != nil {
		return nil, r.Err()
	}
	return h, nil
}

// Append appends the header's bytes.
func (h *KeyedHeader) Append(dst []byte) ([]byte, error) {
	dst = wire.AppendBool(wire.AppendI32(dst, keyedVersion), h.Compressed)
	dst = h.Key.AppendSnapshot(dst)
	return appendMetas(dst, h.States)
}

// OperatorHeader is the beginning of a file of operator state.
type OperatorHeader struct {
	Version    int32
	Compressed bool
	Lists      []Meta // split and union lists
	Broadcasts []Meta
	Size       int64 // of the header, in bytes
}

// ReadOperatorHeader reads a header of operator state. On an error, which r keeps
// too, it returns nil.
func ReadOperatorHeader(r *wire.Reader) (*OperatorHeader, error) {
	from := r.Offset()
	h := &OperatorHeader{Version: r.I32("version of operator state")}
	switch {
	case r.Err() != nil:
	case h.Version == operatorVersion:
		h.Compressed = r.Bool("whether entries are compressed")
	case h.Version != operatorVersionPlain:
		r.FailAt(from, "version of operator state", wire.Unsupported("%d, only 5 and 6 (Flink 1.8 and later) are known", h.Version))
	}
	h.Lists = readMetas(r, "lists")
	h.Broadcasts = readMetas(r, "broadcast states")
	h.Size = r.Offset() - from
	if r.Err() != nil {
		return nil, r.Err()
	}
	return h, nil
}

// Append appends the header's bytes, in the header's version.
func (h *OperatorHeader) Append(dst []byte) ([]byte, error) {
	dst = wire.AppendI32(dst, h.Version)
	if h.Version >= operatorVersion {
		dst = wire.AppendBool(dst, h.Compressed)
	}
	dst, err := appendMetas(dst, h.Lists)
	if err != nil {
		return dst, err
	}
	return appendMetas(dst, h.Broadcasts)
}

func readMetas(r *wire.Reader, what string) []Meta {
	at := r.Offset()
	n := r.I16("number of " + what)
	if n < 0 {
		r.FailAt(at, "number of "+what, wire.Malformed("%d is negative", n))
	}
	var metas []Meta
	for i := int16(0); i < n && r.Err() == nil; i++ {
		metas = append(metas, readMeta(r))
	}
	return metas
}

func appendMetas(dst []byte, metas []Meta) ([]byte, error) {
	if len(metas) > maxStates {
		return dst, wire.OverLimit(uint64(len(metas)), maxStates)
	}
	dst = wire.AppendU16(dst, uint16(len(metas)))
	var err error
	for i := range metas {
		if dst, err = appendMeta(dst, &metas[i]); err != nil {
			return dst, err
		}
	}
	return dst, nil
}
