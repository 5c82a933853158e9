package edit

import (
	"errors"
	"fmt"
	"io"
	"path"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/flink"
	"github.com/tidemark-io/tidemark/flink/metadata"
	"github.com/tidemark-io/tidemark/store"
)

// extent is a part of an object of the source's store.
type extent struct {
	name         string
	offset, size int64
	whole        bool
}

// file is one of the result's files and what it is made of.
type file struct {
	extent
	to     string // its name beside the metadata
	linked bool
	there  int64 // bytes that the object has
}

// files are the files of the result.
type files struct {
	list  []*file
	at    map[extent]*file
	taken map[string]bool
}

// add notes that the result has these bytes, once.
func (f *files) add(e extent, name string) *file {
	if known := f.at[e]; known != nil {
		return known
	}
	known := &file{extent: e, to: f.free(name)}
	if f.at == nil {
		f.at = map[extent]*file{}
	}
	f.at[e] = known
	f.list = append(f.list, known)
	return known
}

// free is a name that is not taken yet, like the wanted one.
func (f *files) free(name string) string {
	if f.taken == nil {
		f.taken = map[string]bool{flink.MetadataName: true, flink.LossesName: true}
	}
	for n := 1; f.taken[name] || store.CheckName(name) != nil; n++ {
		name = fmt.Sprintf("%d.%s", n, path.Base(name))
		if store.CheckName(name) != nil {
			name = fmt.Sprintf("file-%d", n)
		}
	}
	f.taken[name] = true
	return name
}

// decideFiles makes every handle one of a file beside the metadata, and notes
// which files these are. Handles that are so already stay as they are, and so do
// those to files that are out of reach if the edit keeps them.
func (j *job) decideFiles() error {
	j.unmergeFiles()
	seen := map[string]bool{}
	for ref := range j.m.Handles() {
		if err := j.ctx.Err(); err != nil {
			return err
		}
		l, err := j.src.Locate(j.ctx, *ref.Handle)
		if err != nil {
			return err
		}
		switch l.Where {
		case flink.Inline:
			continue
		case flink.Outside, flink.Illegal:
			if err := j.outside(ref, l); err != nil {
				return err
			}
			if !seen[l.URI] {
				seen[l.URI] = true
				j.external = append(j.external, l.URI)
			}
			continue
		}
		if err := j.take(ref, l); err != nil {
			return err
		}
	}
	j.unshare()
	return nil
}

// take makes a handle one of a file of the result.
func (j *job) take(ref metadata.Ref, l flink.Location) error {
	e := extent{name: l.Name, offset: l.Offset, size: l.Size, whole: l.Whole}
	if e.whole {
		e.size = -1 // handles may differ in what they say of the size; the object has one
	}
	name := path.Base(l.Name)
	if s, ok := (*ref.Handle).(*metadata.Segment); ok {
		name = s.LogicalFile
	}
	known := j.files.at[e]
	f := j.files.add(e, name)
	if known == nil {
		info, err := j.src.Store().Stat(j.ctx, l.Name)
		if err != nil {
			return j.missing(ref, l, err)
		}
		if l.Whole {
			f.size = info.Size
		}
		f.there = info.Size
		f.linked = f.whole && j.linker() != nil
		j.total += uint64(f.size)
	}
	// Each handle states a size of its own.
	if f.there < l.Offset+l.Size || l.Whole && l.Size >= 0 && f.there > l.Size && !ref.Changes {
		return j.missing(ref, l, fmt.Errorf("it has %d bytes, the metadata states %d at %d", f.there, l.Size, l.Offset))
	}
	size := l.Size
	if h, ok := (*ref.Handle).(*metadata.RelativeFile); ok && h.Path == f.to {
		return nil
	}
	*ref.Handle = &metadata.RelativeFile{Path: f.to, Size: size}
	return nil
}

// missing is the error for a file that is not there or not whole.
func (j *job) missing(ref metadata.Ref, l flink.Location, err error) error {
	if !errors.Is(err, store.ErrNotExist) && errors.As(err, new(*store.Error)) {
		return err
	}
	return fmt.Errorf("%s: %w: %s of operator %s, subtask %d, lies in %s: %w", j.src.Dir(), checkpoint.ErrDamaged,
		ref.Role, j.name(ref.Operator), ref.Subtask, l.Name, err)
}

// outside decides about a file that cannot be brought along.
func (j *job) outside(ref metadata.Ref, l flink.Location) error {
	place := checkpoint.Nowhere()
	place.Operator, place.Subtask = j.name(ref.Operator), int(ref.Subtask)
	if l.Where == flink.Illegal {
		return fmt.Errorf("%s: %w: %s of operator %s has the path %q", j.src.Dir(), checkpoint.ErrDamaged, ref.Role, place.Operator, l.URI)
	}
	switch j.edit.External {
	case checkpoint.ExternalKeep:
		return nil
	case checkpoint.ExternalDrop, checkpoint.ExternalCopy:
		return checkpoint.Refuse(place, fmt.Sprintf("its %s lies in %s, outside the folder that was opened; it is state, which is neither left out nor copied this way", ref.Role, l.URI),
			"the same command with --external-files keep, or strip the operator")
	}
	return checkpoint.Refuse(place, fmt.Sprintf("its %s lies in %s, outside the folder that was opened", ref.Role, l.URI),
		"say where it is with --path OLD=NEW, or the same command with --external-files keep (the job will look for the file where it is)")
}

// unmergeFiles makes operator state handles of merged files ordinary ones: in
// the result there are none.
func (j *job) unmergeFiles() {
	for i := range j.m.Operators {
		for k := range j.m.Operators[i].Subtasks {
			s := j.m.Operators[i].Subtasks[k].State
			if s == nil {
				continue
			}
			for _, h := range []**metadata.OperatorHandle{&s.ManagedOperator, &s.RawOperator} {
				if *h == nil || (*h).Tag != metadata.TagFileMergingOperator {
					continue
				}
				if _, none := (*h).Delegate.(*metadata.EmptySegment); none || (*h).Empty {
					*h = nil
					continue
				}
				(*h).Tag, (*h).TaskOwnedDir, (*h).SharedDir = metadata.TagOperator, "", ""
			}
		}
	}
}

// unshare lists files that were shared with other checkpoints among the private
// ones, since the result shares none.
func (j *job) unshare() {
	for i := range j.m.Operators {
		for k := range j.m.Operators[i].Subtasks {
			if s := j.m.Operators[i].Subtasks[k].State; s != nil {
				unshareHandle(s.ManagedKeyed)
				unshareHandle(s.RawKeyed)
			}
		}
	}
}

func unshareHandle(h metadata.KeyedHandle) {
	switch h := h.(type) {
	case *metadata.IncrementalHandle:
		var private, shared []metadata.NamedFile
		for _, f := range h.Shared {
			if _, ours := f.Handle.(*metadata.RelativeFile); ours {
				private = append(private, f)
			} else {
				shared = append(shared, f)
			}
		}
		h.Shared, h.Private = shared, append(private, h.Private...)
	case *metadata.ChangelogHandle:
		for _, list := range [][]metadata.KeyedHandle{h.Materialized, h.Deltas} {
			for _, inner := range list {
				unshareHandle(inner)
			}
		}
	}
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

// moveFiles brings the files to the destination.
func (j *job) moveFiles() error {
	for _, f := range j.files.list {
		if err := j.ctx.Err(); err != nil {
			return err
		}
		to := layout.Join(j.dst, f.to)
		err := j.moveFile(f, to)
		j.note(to, err)
		if err != nil {
			return err
		}
	}
	return nil
}

// moveFile links a file, or copies it where that is not possible.
func (j *job) moveFile(f *file, to string) error {
	if l := j.linker(); l != nil && f.whole {
		err := l.Link(j.ctx, f.name, to)
		if f.linked = err == nil; f.linked {
			j.advance(uint64(f.size))
			return nil
		}
		if !errors.Is(err, store.ErrUnsupported) {
			return err
		}
	}
	f.linked = false
	return j.copyFile(f, to)
}

// copyBuffer is the size of the pieces in which files are copied, in bytes.
const copyBuffer = 1 << 20

// copyFile copies a file or a part of one, whose size must be what it was when
// the edit was planned.
func (j *job) copyFile(f *file, to string) (err error) {
	from, err := j.src.Store().Open(j.ctx, f.name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	if size := from.Info().Size; f.whole && size != f.size || size < f.offset+f.size {
		return fmt.Errorf("%s: %w: %d bytes, it had %d", f.name, checkpoint.ErrDamaged, size, f.offset+f.size)
	}
	up, err := j.st.Create(j.ctx, to)
	if err != nil {
		return err
	}
	buf := make([]byte, min(copyBuffer, max(f.size, 1)))
	for at := int64(0); at < f.size; {
		if err := j.ctx.Err(); err != nil {
			return errors.Join(err, up.Abort())
		}
		part := buf[:min(int64(len(buf)), f.size-at)]
		if n, err := from.ReadAt(part, f.offset+at); n < len(part) {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return errors.Join(fmt.Errorf("%s: read at offset %d: %w", f.name, f.offset+at, err), up.Abort())
		}
		if _, err := up.Write(part); err != nil {
			return errors.Join(err, up.Abort())
		}
		at += int64(len(part))
		j.advance(uint64(len(part)))
	}
	_, err = up.Commit()
	return err
}
