package flink

import (
	"context"
	"slices"
	"sync"

	"github.com/tidemark-io/tidemark/flink/metadata"
	"github.com/tidemark-io/tidemark/flink/sst"
	"github.com/tidemark-io/tidemark/flink/wire"
)

// maxOpen is how many files of a handle are open at once.
const maxOpen = 64

// fileSet opens files of RocksDB when they are read and closes those that were not
// read for the longest time. It may be used by several goroutines.
type fileSet struct {
	ctx  context.Context //nolint:containedctx // an io.ReaderAt has none; lives as long as one call
	c    *Checkpoint
	mu   sync.Mutex
	open []*lazyFile // the last read is the last
}

func newFileSet(ctx context.Context, c *Checkpoint) *fileSet { return &fileSet{ctx: ctx, c: c} }

// lazyFile is a file that is opened when it is read.
type lazyFile struct {
	set    *fileSet
	handle metadata.StreamHandle
	src    *Source
}

// ReadAt is io.ReaderAt's.
func (f *lazyFile) ReadAt(p []byte, off int64) (int, error) {
	f.set.mu.Lock()
	defer f.set.mu.Unlock()
	if err := f.set.use(f); err != nil {
		return 0, err
	}
	return f.src.ReadAt(p, off)
}

// use opens a file and notes that it was read.
func (s *fileSet) use(f *lazyFile) error {
	if f.src != nil {
		i := slices.Index(s.open, f)
		s.open = append(slices.Delete(s.open, i, i+1), f)
		return nil
	}
	if err := s.ctx.Err(); err != nil {
		return err
	}
	if len(s.open) >= maxOpen {
		oldest := s.open[0]
		s.open = slices.Delete(s.open, 0, 1)
		src := oldest.src
		oldest.src = nil
		if err := src.Close(); err != nil {
			return err
		}
	}
	src, err := s.c.OpenHandle(s.ctx, f.handle)
	if err != nil {
		return err
	}
	f.src = src
	s.open = append(s.open, f)
	return nil
}

// Close closes all.
func (s *fileSet) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.open {
		f.src.Close() // only read from
		f.src = nil
	}
	s.open = nil
}

// objectOf is what errors call the bytes at a location.
func (c *Checkpoint) objectOf(l Location) string {
	switch {
	case l.Where == Inline:
		return c.name + inlineSuffix
	case l.Name == "":
		return l.URI
	}
	return l.Name
}

// openRocks opens the files of a RocksDB handle, which are read through the set.
func (c *Checkpoint) openRocks(ctx context.Context, op *metadata.Operator, k *metadata.IncrementalHandle, files *fileSet) (*sst.DB, error) {
	header, err := c.keyedHeader(ctx, k.Meta)
	if err != nil {
		return nil, err
	}
	if header == nil {
		return nil, &wire.Error{Object: c.name, What: "meta stream of RocksDB state", Err: wire.Truncated("it is empty")}
	}
	meta, err := c.Locate(ctx, k.Meta)
	if err != nil {
		return nil, err
	}
	h := sst.Handle{Object: c.objectOf(meta), Header: header, Groups: rangeOf(k.Range), MaxParallelism: int(op.MaxParallelism)}
	for _, list := range [][]metadata.NamedFile{k.Shared, k.Private} {
		for i := range list {
			l, err := c.Locate(ctx, list[i].Handle)
			if err != nil {
				return nil, err
			}
			f := sst.File{Name: list[i].Name, Object: c.objectOf(l), Data: &lazyFile{set: files, handle: list[i].Handle}, Size: l.Size}
			if f.Size < 0 {
				info, err := c.f.st.Stat(ctx, l.Name)
				if err != nil {
					return nil, err
				}
				f.Size = info.Size
			}
			h.Files = append(h.Files, f)
		}
	}
	return sst.Open(h)
}
