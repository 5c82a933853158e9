package flink

import (
	"context"
	"iter"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/flink/metadata"
	"github.com/tidemark-io/tidemark/flink/state"
	"github.com/tidemark-io/tidemark/flink/wire"
	"github.com/tidemark-io/tidemark/keygroup"
)

// keyedEntry is an entry of managed keyed state, of whatever form the file has.
type keyedEntry struct {
	*state.Entry
	meta   *state.Meta
	header *state.KeyedHeader
	object string // name for errors
}

// wanted chooses entries: a nil take takes all states.
type wanted struct {
	take   func(*state.Meta) bool
	groups *checkpoint.Span
}

func (w wanted) takes(m *state.Meta) bool { return w.take == nil || w.take(m) }

// hasGroups reports whether a range has a key group that is wanted.
func (w wanted) hasGroups(r keygroup.Range) bool {
	return w.groups == nil || r.Len() > 0 && w.groups.First <= uint64(r.Last) && uint64(r.First) <= w.groups.Last
}

// keyedEntries yields the entries of a handle. A *wire.Error concerns one key group
// where the form allows to go on behind it; a consumer that goes on gets the rest.
// Memory is bounded by the largest entry, and of a changelog by its changes.
func (c *Checkpoint) keyedEntries(ctx context.Context, op *metadata.Operator, k metadata.KeyedHandle, w wanted) iter.Seq2[keyedEntry, error] {
	return func(yield func(keyedEntry, error) bool) {
		if k == nil || !w.hasGroups(rangeOf(k.KeyGroups())) {
			return
		}
		inner := func(e keyedEntry, err error) bool {
			if ctx.Err() != nil {
				yield(keyedEntry{}, context.Cause(ctx))
				return false
			}
			return yield(e, err)
		}
		switch k := k.(type) {
		case *metadata.KeyGroupsHandle:
			c.streamEntries(ctx, op, k, w, inner)
		case *metadata.IncrementalHandle:
			c.rocksEntries(ctx, op, k, w, inner)
		case *metadata.ChangelogHandle:
			c.changelogEntries(ctx, op, k, w, inner)
		default:
			yield(keyedEntry{}, &wire.Error{Object: c.name, What: "keyed state", Err: wire.Unsupported("changes without the state that they change")})
		}
	}
}

// streamEntries yields the entries of one stream: heap and canonical form.
func (c *Checkpoint) streamEntries(ctx context.Context, op *metadata.Operator, k *metadata.KeyGroupsHandle, w wanted, yield func(keyedEntry, error) bool) {
	src, err := c.OpenHandle(ctx, k.Delegate)
	if err != nil {
		yield(keyedEntry{}, err)
		return
	}
	defer src.Close()
	if src.Size() == 0 {
		return
	}
	file, err := state.OpenKeyed(keyedFile(op, k, src))
	if err != nil {
		yield(keyedEntry{}, err)
		return
	}
	any := false
	for i := range file.Header.States {
		any = any || w.takes(&file.Header.States[i])
	}
	if !any {
		return
	}
	for g := int(k.Range.Start); g < int(k.Range.Start)+int(k.Range.Count); g++ {
		if !w.groups.Contains(uint64(g)) {
			continue
		}
		for e, err := range file.Group(g) {
			out := keyedEntry{Entry: e, header: file.Header, object: src.Object}
			if err == nil {
				if out.meta = &file.Header.States[e.State]; !w.takes(out.meta) {
					continue
				}
			}
			if !yield(out, err) {
				return
			}
		}
	}
}

// rocksEntries yields the entries of RocksDB's files.
func (c *Checkpoint) rocksEntries(ctx context.Context, op *metadata.Operator, k *metadata.IncrementalHandle, w wanted, yield func(keyedEntry, error) bool) {
	files := newFileSet(ctx, c)
	defer files.Close()
	db, err := c.openRocks(ctx, op, k, files)
	if err != nil {
		yield(keyedEntry{}, err)
		return
	}
	header := db.Header()
	for e, err := range db.EntriesOf(func(i int) bool { return w.takes(&header.States[i]) }) {
		out := keyedEntry{Entry: e, header: header, object: db.Object()}
		if err == nil {
			if out.meta = &header.States[e.State]; !w.groups.Contains(uint64(e.KeyGroup)) {
				continue
			}
		}
		if !yield(out, err) {
			return
		}
	}
}
