package format

import (
	"bytes"

	"github.com/tidemark-io/tidemark/keygroup"
)

// Item is an item of a split list or a union list. Items have no order but
// that of their subtask.
type Item struct{ Value []byte }

func (i *Item) fits(kind Kind) bool                  { return kind == KindSplitList || kind == KindUnionList }
func (i *Item) cells(c *rowCodec)                    { c.bytes(&i.Value) }
func (i *Item) first() uint64                        { return 0 }
func (i *Item) check(*Item, keygroup.Interval) error { return nil }
func (i *Item) keep()                                { i.Value = nil }

// Pair is an entry of broadcast state. Pairs ascend by key.
type Pair struct{ Key, Value []byte }

func (p *Pair) fits(kind Kind) bool { return kind == KindBroadcast }

func (p *Pair) cells(c *rowCodec) {
	c.bytes(&p.Key)
	c.bytes(&p.Value)
}

func (p *Pair) first() uint64 { return 0 }

func (p *Pair) check(prev *Pair, _ keygroup.Interval) error {
	if prev != nil && bytes.Compare(prev.Key, p.Key) >= 0 {
		return invalid("key %x behind %x", clip(p.Key), clip(prev.Key))
	}
	return nil
}

func (p *Pair) keep() { p.Key, p.Value = bytes.Clone(p.Key), nil }

// clip is the part of a byte string that an error shows.
func clip(b []byte) []byte { return b[:min(len(b), 32)] }
