package sst

import (
	"bytes"
	"cmp"

	"github.com/tidemark-io/tidemark/flink/wire"
)

// tableCursor goes through the entries of a table in the order of their keys.
type tableCursor struct {
	t        *table
	top, sub *indexReader // sub is the index itself unless it has two levels
	block    *blockReader
	at       uint64 // of the block
	// Blocks of entries, and those of a two-level index, follow each other in
	// the file: so much of it is behind the last one of each. An index that
	// leads to the same block again and again is not followed.
	passed, passedIndex uint64
	// The entry. Valid until the next step.
	user, value []byte
	sequence    uint64
	kind        byte
	last        []byte // user key of the entry before
	lastSeq     uint64
	started     bool
	// broken, if it is set, is told of blocks that do not read, which are passed
	// over.
	broken func(h handle, err error)
	size   uint64 // of the block
}

func newTableCursor(t *table) (*tableCursor, error) {
	x, err := t.openIndex(t.index)
	if err != nil {
		return nil, err
	}
	c := &tableCursor{t: t, sub: x}
	if t.twoLevel {
		c.top, c.sub = x, nil
	}
	return c, nil
}

// next steps to the next entry. It returns false at the end and on an error.
func (c *tableCursor) next() (bool, error) {
	for {
		if c.block != nil {
			more, err := c.block.next()
			if err != nil {
				err = c.t.bad(c.at, "block", err)
			} else if more {
				if err = c.take(); err == nil {
					return true, nil
				}
			}
			if err != nil && c.broken == nil {
				return false, err
			} else if err != nil {
				c.broken(handle{c.at, c.size}, err)
				c.block = nil
			}
		}
		if more, err := c.nextBlock(); !more || err != nil {
			return false, err
		}
	}
}

// nextBlock opens the next block of entries.
func (c *tableCursor) nextBlock() (bool, error) {
	for {
		if c.sub != nil {
			h, more, err := c.sub.next()
			if err != nil {
				return false, c.t.bad(c.t.index.offset, "index", err)
			}
			if more {
				return true, c.open(h)
			}
		}
		if c.top == nil {
			return false, nil
		}
		h, more, err := c.top.next()
		if err != nil {
			return false, c.t.bad(c.t.index.offset, "index", err)
		}
		if !more {
			return false, nil
		}
		if err := c.forward(&c.passedIndex, h, "index"); err != nil {
			return false, err
		}
		if c.sub, err = c.t.openIndex(h); err != nil {
			if c.broken == nil {
				return false, err
			}
			c.broken(h, err) // with all blocks that it leads to
		}
	}
}

// forward requires that a block lies behind those before.
func (c *tableCursor) forward(passed *uint64, h handle, what string) error {
	if h.offset < *passed || h.size > maxBlock {
		return c.t.bad(h.offset, what, wire.Malformed("a block of %d bytes behind offset %d", h.size, *passed))
	}
	*passed = h.offset + h.size + trailerSize
	return nil
}

func (c *tableCursor) open(h handle) error {
	if err := c.forward(&c.passed, h, "block"); err != nil {
		return err
	}
	c.at, c.size, c.block = h.offset, h.size, nil
	b, err := c.t.block(h, "block")
	if err == nil {
		if c.block, err = newBlockReader(b, false); err != nil {
			c.block, err = nil, c.t.bad(h.offset, "block", err)
		}
	}
	if err != nil && c.broken != nil {
		c.broken(h, err)
		return nil
	}
	return err
}

// take makes the block's entry the cursor's. Entries must ascend by key and,
// where keys are equal, descend by sequence number.
func (c *tableCursor) take() error {
	user, sequence, kind, ok := parseKey(c.block.key)
	if !ok {
		return c.t.bad(c.at, "entry", wire.Malformed("a key of %d bytes", len(c.block.key)))
	}
	if c.started {
		order := bytes.Compare(c.last, user)
		if order > 0 || order == 0 && sequence >= c.lastSeq {
			return c.t.bad(c.at, "entry", wire.Malformed("the key %x is out of order", user))
		}
	}
	c.started, c.last, c.lastSeq = true, append(c.last[:0], user...), sequence
	c.user, c.sequence, c.kind, c.value = user, sequence, kind, c.block.value
	return nil
}

// source is a table among those that are merged. It is opened when its smallest
// key is due.
type source struct {
	meta   tableMeta
	open   func(tableMeta) (*table, error)
	cursor *tableCursor
}

// key is what the source has next: before it is open, the smallest its table can
// have.
func (s *source) key() []byte {
	if s.cursor == nil {
		return s.meta.smallest
	}
	return s.cursor.user
}

func (s *source) sequence() uint64 {
	if s.cursor == nil {
		return 1<<64 - 1
	}
	return s.cursor.sequence
}

// sources is a heap: smallest key first, of equal keys the newest first; a source
// that is not open yet before all others.
type sources []*source

func (h sources) Len() int { return len(h) }

func (h sources) Less(i, j int) bool {
	if c := bytes.Compare(h[i].key(), h[j].key()); c != 0 {
		return c < 0
	}
	return cmp.Compare(h[i].sequence(), h[j].sequence()) > 0
}

func (h sources) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push is container/heap's.
func (h *sources) Push(x any) { *h = append(*h, x.(*source)) }

// Pop is container/heap's.
func (h *sources) Pop() any {
	old := *h
	s := old[len(old)-1]
	*h = old[:len(old)-1]
	return s
}
