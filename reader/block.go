package reader

import (
	"context"
	"iter"

	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/store"
)

// Store is the store that the checkpoint lies in.
func (c *Checkpoint) Store() store.Store { return c.st }

// BlockRefs reads the index of a slice and returns its blocks in their order, for tools
// that read blocks one by one or move them without decoding. kind is that of
// the slice's state. The memory is that of the index, a thousandth of the data.
func (c *Checkpoint) BlockRefs(ctx context.Context, s format.Slice, kind format.Kind) ([]format.BlockRef, error) {
	st, err := c.openStream(ctx, s, kind, keygroup.All())
	if err != nil {
		return nil, err
	}
	defer st.close()
	return st.refs, nil
}

// ReadBlock reads the bytes of one block of a slice into buf, which it grows if it is
// too small, without looking at them: decoding checks them. The result is valid
// as long as buf is not used otherwise.
func (c *Checkpoint) ReadBlock(ctx context.Context, s format.Slice, kind format.Kind, ref format.BlockRef, buf []byte) ([]byte, error) {
	row, err := c.objectRow(s.Object)
	if err != nil {
		return nil, err
	}
	h, err := c.handles.acquire(ctx, row)
	if err != nil {
		return nil, err
	}
	st := &stream{c: c, h: h, slice: s, kind: kind, refs: []format.BlockRef{ref}, chunk: buf[:0]}
	defer st.close()
	if _, err := st.load(ctx); err != nil {
		return nil, err
	}
	return st.raw, nil
}

// DecodeBlock decodes what [Checkpoint.ReadBlock] read. The block aliases data.
func (c *Checkpoint) DecodeBlock(b *format.Block, s format.Slice, kind format.Kind, ref format.BlockRef, data []byte) error {
	row, err := c.objectRow(s.Object)
	if err != nil {
		return err
	}
	return b.Decode(row.Name, data, kind, ref, &c.limits)
}

// ItemsIn yields the items of some slices of a list: those that accept chooses
// of a state, a row of States.
func (c *Checkpoint) ItemsIn(ctx context.Context, state int, kind format.Kind, accept func(format.Slice) bool) iter.Seq2[Row[format.Item], error] {
	return rowsOf(ctx, c, state, kind, accept, openItems)
}

// BuffersOf yields the in-flight buffers of some slices of a channel state, a
// row of States.
func (c *Checkpoint) BuffersOf(ctx context.Context, state int, kind format.Kind, accept func(format.Slice) bool) iter.Seq2[Row[format.Buffer], error] {
	return rowsOf(ctx, c, state, kind, accept, openBuffers)
}

// ChannelWatermarksOf yields the rows of some slices of a state of channel
// watermarks, a row of States.
func (c *Checkpoint) ChannelWatermarksOf(ctx context.Context, state int, accept func(format.Slice) bool) iter.Seq2[Row[format.ChannelWatermark], error] {
	return rowsOf(ctx, c, state, format.KindChannelWatermark, accept, openChannelWatermarks)
}
