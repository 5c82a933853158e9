package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/store/local"
)

// damage copies a checkpoint and flips a byte in each stretch of its objects, and
// one in the index of the first slice of each state, so that its blocks have to
// be looked for.
func damage(ctx context.Context, from, to string, stretch int64) error {
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return err
	}
	names, err := filepath.Glob(filepath.Join(to, "*.data"))
	if err != nil {
		return err
	}
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		for at := stretch / 2; at < info.Size(); at += stretch {
			if err := flip(name, at); err != nil {
				return err
			}
		}
	}
	indices, err := firstIndices(ctx, from)
	for _, at := range indices {
		err = errors.Join(err, flip(filepath.Join(to, at.object), at.offset))
	}
	return err
}

// position is a byte of an object.
type position struct {
	object string // without directory
	offset int64
}

// firstIndices finds the index of the first slice of each state.
func firstIndices(ctx context.Context, dir string) (all []position, err error) {
	st, err := local.Open(filepath.Dir(dir))
	if err != nil {
		return nil, err
	}
	defer st.Close()
	c, err := reader.Open(ctx, st, filepath.Base(dir))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	states, err := c.States()
	if err != nil {
		return nil, err
	}
	objects, err := c.Objects()
	if err != nil {
		return nil, err
	}
	for row := range states {
		var first *format.Slice
		for sl, err := range c.Slices(ctx, row) {
			if err != nil {
				return nil, err
			}
			first = &sl
			break
		}
		if first != nil {
			all = append(all, position{filepath.Base(objects[first.Object].Name), int64(first.Offset) + 4})
		}
	}
	return all, nil
}

// flip changes a bit.
func flip(name string, at int64) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	var b [1]byte
	_, err = f.ReadAt(b[:], at)
	if err == nil {
		b[0] ^= 0x10
		_, err = f.WriteAt(b[:], at)
	}
	return errors.Join(err, f.Close())
}
