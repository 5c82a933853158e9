package native

import (
	"context"
	"errors"
	"fmt"
	"path"

	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/writer"
)

// move is how a data object comes to the destination.
type move struct {
	uses   int // slices that the result takes over
	name   string
	linked bool
}

// decideObjects finds the objects that the result uses, and their new names. It
// has them all in its own directory: a savepoint does not refer to shared ones.
func (j *job) decideObjects() error {
	j.moves = make([]move, len(j.src.objects))
	for row, list := range j.src.slices {
		if j.fates[row] != kept {
			continue
		}
		for _, sl := range list {
			if sl.Object < 0 || sl.Object >= len(j.moves) {
				return &format.CorruptError{Object: j.src.Dir(), Unit: "slices",
					Err: fmt.Errorf("%w: reference to object %d of %d", format.ErrMalformed, sl.Object, len(j.moves))}
			}
			if !j.hurt[sl.Object] {
				j.moves[sl.Object].uses++
			}
		}
	}
	taken := map[string]bool{}
	for i := range j.moves {
		m := &j.moves[i]
		if m.uses == 0 {
			continue
		}
		base := path.Base(j.src.objects[i].Name)
		for n := 1; taken[base]; n++ { // one of shared/ may be called like an own one
			base = fmt.Sprintf("%d.%s", n, path.Base(j.src.objects[i].Name))
		}
		taken[base] = true
		m.name = layout.Join(j.dst, base)
		m.linked = j.linker() != nil
		j.total += j.src.objects[i].Length
	}
	return nil
}

// linker is the store's ability to link, nil if it has none or the source lies
// elsewhere: links are made within one root only (R12).
func (j *job) linker() store.Linker {
	if j.src.Store() != j.st {
		return nil
	}
	l, _ := store.As[store.Linker](j.st)
	return l
}

// moveObjects brings the objects that are taken over to the destination.
func (j *job) moveObjects() error {
	for i := range j.moves {
		m := &j.moves[i]
		if m.uses == 0 {
			continue
		}
		if err := j.ctx.Err(); err != nil {
			return err
		}
		o := j.src.objects[i]
		err := j.moveObject(m, o)
		if !errors.Is(err, store.ErrExist) {
			j.made = append(j.made, m.name) // perhaps only the reply was lost
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// carry writes what stays of objects that are damaged elsewhere, block by block
// without encoding it anew: with the damage, which nothing refers to any more, the
// result would not verify.
func (j *job) carry() error {
	for row, list := range j.src.slices {
		for _, sl := range list {
			if j.fates[row] != kept || !j.hurt[sl.Object] {
				continue
			}
			if err := j.carrySlice(row, sl); err != nil {
				return err
			}
		}
	}
	return nil
}

// carrySlice is carry for one slice.
func (j *job) carrySlice(row int, sl format.Slice) error {
	kind := j.src.states[row].Kind
	spec := j.spec(j.states[row], sl.Subtask)
	spec.Interval = sl.Interval
	done, err := writeSlice(j.ctx, j.w, spec, func(to *writer.Slice) error {
		if sl.Blocks == 0 {
			return nil
		}
		refs, err := j.src.BlockRefs(j.ctx, sl, kind)
		if err != nil {
			return err
		}
		var block format.Block
		var buf []byte
		for _, ref := range refs {
			if err := j.ctx.Err(); err != nil {
				return err
			}
			if buf, err = j.src.ReadBlock(j.ctx, sl, kind, ref, buf); err != nil {
				return err
			}
			if err := j.src.DecodeBlock(&block, sl, kind, ref, buf); err != nil {
				return err
			}
			if err := to.Raw(buf, ref); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	j.manifest.Slices = append(j.manifest.Slices, done)
	j.rewritten.Bytes += done.Bytes
	j.advance(done.Bytes)
	return nil
}

// moveObject links an object, or copies it where that is not possible.
func (j *job) moveObject(m *move, o format.Object) error {
	if l := j.linker(); l != nil {
		err := l.Link(j.ctx, o.Name, m.name)
		if m.linked = err == nil; m.linked {
			j.advance(o.Length)
			return nil
		}
		if !errors.Is(err, store.ErrUnsupported) {
			return missing(o, err)
		}
	}
	m.linked = false
	return j.copyObject(j.ctx, o, m.name)
}

// missing makes damage of the source of an error that says that an object is not
// there.
func missing(o format.Object, err error) error {
	if errors.Is(err, store.ErrNotExist) {
		return &format.CorruptError{Object: o.Name, Unit: "data object", Err: fmt.Errorf("%w: %w", format.ErrMissing, err)}
	}
	return err
}

// copyBuffer is the size of the pieces in which objects are copied, in bytes.
const copyBuffer = 1 << 20

// copyObject copies an object byte by byte and compares its length and its
// checksum with what the manifest states, before the copy becomes visible: a
// copy of a damaged object would look like one that was made damaged.
func (j *job) copyObject(ctx context.Context, o format.Object, to string) (err error) {
	from, err := j.src.Store().Open(ctx, o.Name)
	if err != nil {
		return missing(o, err)
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	if size := from.Info().Size; uint64(size) != o.Length {
		return &format.CorruptError{Object: o.Name, Offset: min(size, int64(o.Length)), Unit: "data object",
			Err: fmt.Errorf("%w: %d bytes, the manifest states %d", format.ErrTruncated, size, o.Length)}
	}
	up, err := j.st.Create(ctx, to)
	if err != nil {
		return err
	}
	if err := j.pour(ctx, up, from, o); err != nil {
		return errors.Join(err, up.Abort())
	}
	_, err = up.Commit()
	return err
}

// pour copies the bytes.
func (j *job) pour(ctx context.Context, up store.Upload, from store.Object, o format.Object) error {
	buf := make([]byte, min(copyBuffer, o.Length))
	var crc uint32
	for at := uint64(0); at < o.Length; {
		if err := ctx.Err(); err != nil {
			return err
		}
		part := buf[:min(uint64(len(buf)), o.Length-at)]
		if n, err := from.ReadAt(part, int64(at)); n < len(part) {
			return fmt.Errorf("%s: read at offset %d: %w", o.Name, at, err)
		}
		crc = format.UpdateChecksum(crc, part)
		if _, err := up.Write(part); err != nil {
			return err
		}
		at += uint64(len(part))
		j.advance(uint64(len(part)))
	}
	if crc != o.CRC {
		return &format.CorruptError{Object: o.Name, Unit: "data object",
			Err: fmt.Errorf("%w: the whole has %08x, the manifest states %08x", format.ErrChecksum, crc, o.CRC)}
	}
	return nil
}
