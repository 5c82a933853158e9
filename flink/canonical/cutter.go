package canonical

import (
	"bufio"
	"errors"

	"github.com/tidemark-io/tidemark/flink/metadata"
	"github.com/tidemark-io/tidemark/flink/state"
	"github.com/tidemark-io/tidemark/keygroup"
)

// cutter writes entries, by ascending key groups, into a file for each subtask.
type cutter struct {
	k       *Keyed
	handles []metadata.KeyedHandle // of the files that are complete
	groups  keygroup.Range         // of the file that is not
	out     Output                 // nil before the first
	buf     *bufio.Writer
	w       *state.CanonicalWriter
}

// outputBuffer is in front of every file, in bytes.
const outputBuffer = 256 << 10

// add writes an entry.
func (c *cutter) add(group, state int, composite, value []byte) error {
	for c.out == nil || group > c.groups.Last {
		if err := c.next(); err != nil {
			return err
		}
	}
	return c.w.Add(group, state, composite, value)
}

// next completes a file and begins that of the next subtask.
func (c *cutter) next() error {
	if err := c.end(); err != nil {
		return err
	}
	c.groups = c.k.groupsOf(len(c.handles))
	out, err := c.k.o.Create()
	if err != nil {
		return err
	}
	c.out = out
	if c.buf == nil {
		c.buf = bufio.NewWriterSize(out, outputBuffer)
	}
	c.buf.Reset(out)
	c.w, err = state.NewCanonicalWriter(c.buf, c.k.header, c.groups, c.k.o.KeyGroups)
	return err
}

// end completes the file that was begun, if any.
func (c *cutter) end() error {
	if c.out == nil {
		return nil
	}
	offsets, size, err := c.w.Finish()
	if err == nil {
		err = c.buf.Flush()
	}
	if err != nil {
		return err
	}
	name, err := c.out.Commit()
	c.out = nil
	if err != nil {
		return err
	}
	c.handles = append(c.handles, &metadata.KeyGroupsHandle{Tag: metadata.TagSavepoint,
		Range:   metadata.KeyGroupRange{Start: int32(c.groups.First), Count: int32(c.groups.Len())},
		Offsets: offsets, Delegate: &metadata.RelativeFile{Path: name, Size: size}})
	return nil
}

// finish writes the files of the subtasks that are left, or gives up after an
// error.
func (c *cutter) finish(err error) ([]metadata.KeyedHandle, error) {
	for err == nil && (len(c.handles) < c.k.o.Parallelism) {
		if c.out != nil {
			err = c.end()
			continue
		}
		err = c.next()
	}
	if err != nil && c.out != nil {
		err = errors.Join(err, c.out.Abort())
	}
	if err != nil {
		return nil, err
	}
	return c.handles, nil
}
