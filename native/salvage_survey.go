package native

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/keygroup/keyhash"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/store"
)

// remains is what is left of one slice of a damaged object.
type remains struct {
	row    int // of the source's states
	slice  format.Slice
	blocks []format.BlockRef // that read, First as they will be in the result
	holes  []hole            // in front of which blocks something is lost
	rows   uint64            // lost entries
	bytes  uint64            // lost bytes, as stored
	damage int               // lost blocks
	index  bool              // the index is lost, and its blocks were looked for
	err    error             // the first damage
}

// hole is where blocks are lost: in front of block number at.
type hole struct{ at int }

// findMisplaced looks for objects that lie under another name than the one that
// their header states and the manifest means: exchanged or renamed.
func (s *salvage) findMisplaced() error {
	type identity struct {
		length uint64
		crc    uint32
	}
	wanted := map[identity]string{}
	for i, o := range s.src.objects {
		if right, err := s.stands(o); err != nil {
			return err
		} else if !right {
			s.suspect[i] = true
			wanted[identity{o.Length, o.DirectoryCRC}] = o.Name
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	for info, err := range s.over.Store.List(s.ctx, s.src.Dir()+"/") {
		if err != nil {
			return err
		}
		head, err := peek(s.ctx, s.over.Store, info.Name, info.Size)
		if err != nil {
			return err
		}
		if head == nil {
			continue
		}
		if name, ok := wanted[identity{uint64(info.Size), head.EndCRC}]; ok && name != info.Name {
			s.over.from[name] = info.Name
		}
	}
	return nil
}

// stands reports whether the object that the manifest means stands under its
// name, as far as its beginning and its end tell.
func (s *salvage) stands(o format.Object) (bool, error) {
	info, err := s.over.Store.Stat(s.ctx, o.Name)
	if errors.Is(err, store.ErrNotExist) || errors.Is(err, store.ErrNotObject) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	head, err := peek(s.ctx, s.over.Store, o.Name, info.Size)
	return head != nil && uint64(info.Size) == o.Length && head.EndCRC == o.DirectoryCRC, err
}

// peek opens header, directory and footer of an object; nil if they do not read.
func peek(ctx context.Context, st store.Store, name string, size int64) (*format.ObjectReader, error) {
	object, err := st.Open(ctx, name)
	if errors.Is(err, store.ErrNotExist) || errors.Is(err, store.ErrNotObject) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer object.Close()
	r, err := format.OpenObject(object, size, format.OpenOptions{Object: name})
	if err != nil {
		var corrupt *format.CorruptError
		if errors.As(err, &corrupt) {
			return nil, nil
		}
		return nil, err
	}
	return r, nil
}

// checkObjects checks every object as verify does and notes which are whole.
func (s *salvage) checkObjects(m *reader.Model) error {
	rows := map[string]int{}
	for i, o := range s.src.objects {
		rows[o.Name] = i
		s.job.total += o.Length
	}
	for check, err := range m.Checks(s.ctx, checkpoint.LevelRecords) {
		if err != nil {
			return err
		}
		i, ok := rows[check.Name]
		if !ok {
			continue // the manifest, and the references
		}
		clean := true
		if err := check.Run(s.ctx, func(f checkpoint.Finding) { clean = clean && f.Severity < checkpoint.Error }); err != nil {
			return err
		}
		o := s.src.objects[i]
		info, err := s.over.Store.Stat(s.ctx, s.over.place(o.Name))
		switch {
		case errors.Is(err, store.ErrNotExist) || errors.Is(err, store.ErrNotObject):
			clean, s.missing[i] = false, true
		case err != nil:
			return err
		case uint64(info.Size) != o.Length:
			clean = false
		}
		s.clean[i] = clean
		s.job.advance(o.Length)
	}
	return nil
}

// survey finds out what is left of every slice that lies in a damaged object.
func (s *salvage) survey() error {
	for row, list := range s.src.slices {
		for _, sl := range list {
			if s.clean[sl.Object] {
				continue
			}
			r, err := s.surveySlice(row, sl)
			if err != nil {
				return err
			}
			s.add(r)
		}
	}
	return nil
}

// surveySlice looks at every block of a slice.
func (s *salvage) surveySlice(row int, sl format.Slice) (*remains, error) {
	kind := s.src.states[row].Kind
	r := &remains{row: row, slice: sl}
	if s.missing[sl.Object] {
		r.loseAll(&format.CorruptError{Object: s.src.objects[sl.Object].Name, Unit: "data object", Err: format.ErrMissing})
		return r, nil
	}
	refs, err := s.src.BlockRefs(s.ctx, sl, kind)
	switch {
	case err == nil:
		return r, s.surveyBlocks(r, refs)
	case !damaged(err):
		return nil, err
	}
	r.err, r.index = err, true
	sure, err := s.sure(sl.Object)
	if err != nil {
		return nil, err
	}
	if !sure {
		r.loseAll(r.err)
		return r, nil
	}
	return r, s.scan(r)
}

// loseAll notes that nothing of the slice reads.
func (r *remains) loseAll(err error) {
	r.err, r.blocks, r.rows, r.bytes, r.damage = err, nil, r.slice.Entries, r.slice.Bytes, int(r.slice.Blocks)
	r.holes = nil
	if r.rows > 0 {
		r.holes = []hole{{}}
	}
}

// damaged reports whether an error is damage and no failure of the storage.
func damaged(err error) bool {
	var corrupt *format.CorruptError
	return errors.As(err, &corrupt)
}

// sure reports whether the object that stands under a name is the one that the
// manifest means, so that blocks in it which only their own checksums speak for
// can be believed: its footer is, or its header. (An index that fits is no proof:
// that of a stale object may be the same for slices that have not changed.)
func (s *salvage) sure(object int) (bool, error) {
	if known, ok := s.known[object]; ok {
		return known, nil
	}
	ok, err := s.identify(object)
	if err == nil {
		s.known[object] = ok
	}
	return ok, err
}

// identify is sure without its memory.
func (s *salvage) identify(object int) (bool, error) {
	o := s.src.objects[object]
	if head, err := peek(s.ctx, s.over, o.Name, int64(o.Length)); err != nil {
		return false, err
	} else if head != nil {
		return head.EndCRC == o.DirectoryCRC, nil
	}
	f, err := s.over.Open(s.ctx, o.Name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	head, err := format.ReadObjectHeader(f, f.Info().Size, o.Name)
	if err != nil && !damaged(err) {
		return false, err
	}
	sum := s.src.Summary()
	if err == nil {
		rest, own := strings.CutPrefix(o.Name, s.src.Dir()+"/")
		if own && head.Writer == sum.WriterID && head.Checkpoint == sum.ID && path.Base(head.Name) == rest {
			return true, nil
		}
	}
	return false, nil
}

// walkOf is the walk over the blocks of a slice.
func (s *salvage) walkOf(row int, iv keygroup.Interval) *walk {
	st := s.src.states[row]
	t := types{namespace: s.src.schema(st.Namespace), value: s.src.schema(st.Value), hashed: s.src.Summary().Hash == keyhash.Name}
	if st.Kind.ByHash() {
		t.key = s.src.schema(s.src.operators[st.Operator].KeySchema)
	}
	return newWalk(st.Kind, iv, t)
}

// surveyBlocks reads the blocks that an index names.
func (s *salvage) surveyBlocks(r *remains, refs []format.BlockRef) error {
	kind := s.src.states[r.row].Kind
	w := s.walkOf(r.row, r.slice.Interval)
	for _, ref := range refs {
		data, err := s.read(r, ref)
		if err == nil {
			err = s.src.DecodeBlock(&s.block, r.slice, kind, ref, data)
		}
		if err == nil {
			var first uint64
			if first, err = w.block(&s.block); err == nil && kind.ByHash() && first != ref.First {
				err = fmt.Errorf("%w: the block begins with hash %08x, its index says %08x", format.ErrMalformed, first, ref.First)
			}
			err = format.Damage(s.src.objects[r.slice.Object].Name, kind, ref, err)
		}
		switch {
		case err == nil:
			r.keep(kind, ref)
		case !damaged(err):
			return err
		default:
			s.unrepaired(r, ref)
			r.lose(uint64(ref.Rows), uint64(ref.Length), err)
		}
	}
	return nil
}

// keep notes an intact block.
func (r *remains) keep(kind format.Kind, ref format.BlockRef) {
	if !kind.ByHash() && !kind.Channel() {
		ref.First = 0 // the number of rows before it
		for _, b := range r.blocks[max(0, len(r.blocks)-1):] {
			ref.First = b.First + uint64(b.Rows)
		}
	}
	r.blocks = append(r.blocks, ref)
}

// lose notes a damaged block.
func (r *remains) lose(rows, bytes uint64, err error) {
	if r.err == nil {
		r.err = err
	}
	r.rows, r.bytes, r.damage = r.rows+rows, r.bytes+bytes, r.damage+1
	r.gap()
}

// gap notes that something is lost behind the blocks so far.
func (r *remains) gap() {
	if n := len(r.holes); n == 0 || r.holes[n-1].at != len(r.blocks) {
		r.holes = append(r.holes, hole{len(r.blocks)})
	}
}
