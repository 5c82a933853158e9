package reader_test

import (
	"context"
	"sync/atomic"

	"github.com/tidemark-io/tidemark/store"
)

// counting counts what is read, and which names are opened.
type counting struct {
	store.Store
	bytes, reads atomic.Int64
	opened       func(name string)
}

func (c *counting) Open(ctx context.Context, name string) (store.Object, error) {
	if c.opened != nil {
		c.opened(name)
	}
	o, err := c.Store.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	return &countingObject{o, c}, nil
}

type countingObject struct {
	store.Object
	c *counting
}

func (o *countingObject) ReadAt(p []byte, at int64) (int, error) {
	n, err := o.Object.ReadAt(p, at)
	o.c.bytes.Add(int64(n))
	o.c.reads.Add(1)
	return n, err
}
