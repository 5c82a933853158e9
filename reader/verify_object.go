package reader

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/keygroup/keyhash"
)

// objectCheck checks one data object: header, directory and footer, then every
// slice that the manifest or the directory names, index and blocks.
type objectCheck struct {
	c       *Checkpoint
	row     int // of Objects
	object  format.Object
	records bool // also look into the blocks
	// borrowed says that a tool took the object over from another checkpoint,
	// unchanged. It is told by its checksums; what it calls itself, and its
	// operators, is what they were called there.
	borrowed bool
	sample   *sampler // nil checks every block
	report   func(checkpoint.Finding)

	h       *handle
	found   int            // findings so far
	extents format.Extents // of everything between header and directory
	whole   bool           // all extents are known
	roll    checksum       // of the whole object
	names   []format.State // States
	ops     []format.Operator
	edges   []format.Edge
}

// checksum is a running checksum that follows the reading as long as that goes
// forward without gaps.
type checksum struct {
	crc    uint32
	at     uint64
	broken bool // something was read out of order
}

// add takes the bytes at an offset.
func (s *checksum) add(at uint64, data []byte) {
	if at != s.at {
		s.broken = true
	}
	if !s.broken {
		s.crc = format.UpdateChecksum(s.crc, data)
		s.at += uint64(len(data))
	}
}

// join takes the bytes of a block at an offset, whose checksum up to the stored
// one is known to be crc.
func (s *checksum) join(at uint64, block []byte, crc uint32) {
	if at != s.at {
		s.broken = true
	}
	if !s.broken {
		tail := max(len(block)-4, 0)
		s.crc = format.JoinChecksums(s.crc, format.UpdateChecksum(crc, block[tail:]), uint64(len(block)))
		s.at += uint64(len(block))
	}
}

// sliceCheck is a slice as the object's check sees it.
type sliceCheck struct {
	format.Slice
	kind       format.Kind
	place      checkpoint.Place
	referenced bool // the manifest names it
	listed     bool // the directory names it
}

// run does the check. Errors are failures of the storage.
func (o *objectCheck) run(ctx context.Context) error {
	list, err := o.referenced(ctx)
	if isDamage(err) {
		return nil // the manifest's check has said it
	}
	if err != nil {
		return err
	}
	o.h, err = o.c.handles.acquire(ctx, o.object)
	if isDamage(err) {
		return nil // the check of references has said it
	}
	if err != nil {
		return err
	}
	defer o.c.handles.release(o.h)
	o.whole = true
	dir, err := o.openDirectory(ctx)
	if err != nil {
		return err
	}
	if dir != nil {
		list = o.compare(list, dir)
	}
	slices.SortFunc(list, func(a, b sliceCheck) int { return cmp.Compare(a.Offset, b.Offset) })
	for i := range list {
		if err := o.slice(ctx, &list[i]); err != nil {
			return err
		}
	}
	return o.finish(ctx, dir)
}

// finding reports something about the object.
func (o *objectCheck) finding(place checkpoint.Place, problem string, err error) {
	o.found++
	if place.Object == "" {
		place.Object = o.object.Name
	}
	o.report(checkpoint.Finding{Severity: checkpoint.Error, Place: place, Problem: problem, Err: err,
		Remedy: o.c.remedy("salvage", "DST", "--apply")})
}

// referenced lists the slices that the manifest says lie in the object.
func (o *objectCheck) referenced(ctx context.Context) (list []sliceCheck, err error) {
	if o.names, err = o.c.States(); err != nil {
		return nil, err
	}
	if o.ops, err = o.c.Operators(); err != nil {
		return nil, err
	}
	if o.edges, err = o.c.Edges(); err != nil {
		return nil, err
	}
	for s, err := range o.c.Slices(ctx, -1) {
		if err != nil {
			return nil, err
		}
		if s.Object != o.row {
			continue
		}
		place := checkpoint.At(o.object.Name)
		st := o.names[s.State]
		place.State, place.Subtask, place.Operator = st.Name, int(s.Subtask), o.ops[st.Operator].UID
		if st.Edge != format.None {
			place.Edge = o.edges[st.Edge].ID
		}
		list = append(list, sliceCheck{Slice: s, kind: st.Kind, place: place, referenced: true})
	}
	return list, nil
}

// openDirectory opens header, directory and footer and compares them with the
// manifest. It returns nil if they do not read.
func (o *objectCheck) openDirectory(ctx context.Context) (*format.ObjectReader, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	dir, err := format.OpenObject(o.h, o.h.Info().Size, format.OpenOptions{Object: o.object.Name, Limits: &o.c.limits})
	if err != nil {
		if !isDamage(err) {
			return nil, err
		}
		o.whole = false
		o.found++
		return nil, o.c.damaged(err, checkpoint.At(o.object.Name), "", o.report)
	}
	summary := o.c.Summary()
	if dir.EndCRC != o.object.DirectoryCRC {
		o.finding(checkpoint.At(o.object.Name), "this is not the object that the manifest names",
			fmt.Errorf("%w: footer with checksum %08x, expected %08x", format.ErrChecksum, dir.EndCRC, o.object.DirectoryCRC))
	}
	rest, own := strings.CutPrefix(o.object.Name, o.c.dir+"/")
	o.borrowed = summary.Kind == format.Savepoint && dir.Header.Writer != summary.WriterID
	// A savepoint's objects state the name that they were written under, which
	// of those that a tool took over is another one.
	if written := layout.Join(summary.Path, rest); own && !o.borrowed && (dir.Header.Checkpoint != summary.ID || dir.Header.Name != written) {
		o.finding(checkpoint.At(o.object.Name), "the object belongs to another checkpoint or has another name",
			fmt.Errorf("%w: it says that it is %q of checkpoint %d", format.ErrMalformed, dir.Header.Name, dir.Header.Checkpoint))
	}
	head := make([]byte, dir.HeaderLen)
	if _, err := o.h.ReadAt(head, 0); err != nil {
		return nil, err
	}
	o.roll.add(0, head)
	return dir, nil
}

// compare joins the manifest's slices with the directory's. Slices that only the
// directory names are checked too: another checkpoint may use them.
func (o *objectCheck) compare(list []sliceCheck, dir *format.ObjectReader) []sliceCheck {
	at := make(map[uint64]int, len(list))
	for i := range list {
		at[list[i].Offset] = i
	}
	for e, err := range dir.Entries() {
		if err != nil {
			break // opening has read them all
		}
		i, known := at[e.Slice.Offset]
		if !known {
			place := checkpoint.At(o.object.Name)
			place.Operator, place.State, place.Subtask, place.Edge = e.Operator, e.State, int(e.Slice.Subtask), e.Edge
			list = append(list, sliceCheck{Slice: e.Slice, kind: e.Kind, place: place, listed: true})
			continue
		}
		s := &list[i]
		s.listed = true
		want := e.Slice
		want.State, want.Object = s.State, s.Object
		st := o.names[s.State]
		renamed := !o.borrowed && (e.Operator != s.place.Operator || e.Edge != s.place.Edge)
		if want != s.Slice || e.Kind != st.Kind || e.State != st.Name || renamed {
			place := s.place
			place.Offset = int64(s.Offset)
			o.finding(place, "the manifest and the object's directory describe the slice differently",
				fmt.Errorf("%w: the directory has %v state %q of %q, subtask %d, %d entries in %v", format.ErrMalformed,
					e.Kind, e.State, e.Operator, e.Slice.Subtask, e.Slice.Entries, e.Slice.Interval))
		}
	}
	for i := range list {
		if !list[i].listed {
			place := list[i].place
			place.Offset = int64(list[i].Offset)
			o.finding(place, "the object's directory does not have this slice of the manifest", format.ErrMalformed)
		}
	}
	return list
}

// slice checks the index and the blocks of one slice.
func (o *objectCheck) slice(ctx context.Context, s *sliceCheck) error {
	st, err := o.c.openStreamAt(ctx, o.object, s.Slice, s.kind, keygroup.All())
	if err != nil {
		if !isDamage(err) {
			return err
		}
		o.whole, o.roll.broken = false, true
		o.found++
		place := s.place
		place.Offset = int64(s.Offset)
		return o.c.damaged(err, place, o.explainIndex(ctx, s), o.report)
	}
	defer st.close()
	types, err := typesOf(o.c, s)
	if err != nil {
		return err
	}
	begin := func() recordWalk { return newRecordWalk(s, types, o.c.Summary().Hash == keyhash.Name) }
	walk := begin()
	if o.sample != nil {
		for _, ref := range st.refs {
			o.extents.Add(ref)
		}
		st.refs = slices.DeleteFunc(st.refs, func(ref format.BlockRef) bool { return !o.sample.takes(o.object.Name, ref.Offset) })
	}
	for {
		ok, err := st.load(ctx)
		if err != nil {
			return err // the object has the right length, so this is no cut
		}
		if !ok {
			break
		}
		if o.sample == nil {
			o.extents.Add(st.ref)
		} else {
			walk = begin() // the block before may have been left out
		}
		if err := o.look(st); err != nil {
			o.found++
			place := s.place
			place.Offset, place.Length = int64(st.ref.Offset), int64(st.ref.Length)
			problem := fmt.Sprintf("%v block is damaged", s.kind)
			if at, bit, ok := format.FindBitFlip(st.raw, st.ref.CRC); ok {
				problem += flipped(at, bit)
			}
			if err := o.c.damaged(err, place, problem, o.report); err != nil {
				return err
			}
			o.roll.broken = true // no matter: the damage has been named
			walk = begin()       // the order begins anew behind a gap
			continue
		}
		o.roll.join(st.ref.Offset, st.raw, st.ref.CRC)
		if o.records {
			if err := walk.block(&st.block, st.ref); err != nil {
				place := s.place
				place.Offset, place.Length = int64(st.ref.Offset), int64(st.ref.Length)
				o.finding(place, fmt.Sprintf("an entry of a %v block is wrong", s.kind), err)
				walk = begin()
			}
		}
	}
	o.extents.Add(s.Ref())
	index := make([]byte, s.Length)
	if err := st.readAt(ctx, index, s.Offset, "block-index block"); err != nil {
		return err
	}
	o.roll.add(s.Offset, index)
	return nil
}

// look checks the block that was loaded, and decodes it if its records are to be
// checked.
func (o *objectCheck) look(st *stream) error {
	if o.records {
		return st.decode()
	}
	return st.block.Check(st.h.name, st.raw, st.kind, st.ref, &o.c.limits)
}

// explainIndex names the bit whose flip explains a damaged index.
func (o *objectCheck) explainIndex(ctx context.Context, s *sliceCheck) string {
	problem := "the index of the slice's blocks is damaged"
	if uint64(s.Length) > o.object.Length || uint64(s.Length) > o.c.limits.Block+format.MaxHeader {
		return problem
	}
	index := make([]byte, s.Length)
	if _, err := o.h.ReadAt(index, int64(s.Offset)); err == nil {
		if at, bit, ok := format.FindBitFlip(index, s.CRC); ok {
			return problem + flipped(at, bit)
		}
	}
	return problem
}

// finish compares what was read with the whole: every byte belongs to a slice,
// and the checksum of the object is the one that the manifest states.
func (o *objectCheck) finish(ctx context.Context, dir *format.ObjectReader) error {
	if o.whole && dir != nil {
		if err := o.extents.Check(uint64(dir.HeaderLen), dir.Directory); err != nil {
			o.finding(checkpoint.At(o.object.Name), "the object's slices do not cover it exactly", err)
		}
	}
	if o.found > 0 || o.sample != nil {
		return nil // the damage has been named; a sample has no checksum of the whole
	}
	if !o.roll.broken && dir != nil && o.roll.at == dir.Directory {
		return o.compareCRC(ctx, o.roll)
	}
	return o.compareCRC(ctx, checksum{})
}

// compareCRC continues a running checksum to the end of the object.
func (o *objectCheck) compareCRC(ctx context.Context, sum checksum) error {
	buf := make([]byte, chunkSize)
	for sum.at < o.object.Length {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		part := buf[:min(uint64(len(buf)), o.object.Length-sum.at)]
		if n, err := o.h.ReadAt(part, int64(sum.at)); n < len(part) {
			return fmt.Errorf("%s: read at offset %d: %w", o.object.Name, sum.at, err)
		}
		sum.add(sum.at, part)
	}
	if sum.crc != o.object.CRC {
		o.finding(checkpoint.At(o.object.Name), "the checksum of the whole object is not the one in the manifest",
			fmt.Errorf("%w: read %08x, expected %08x", format.ErrChecksum, sum.crc, o.object.CRC))
	}
	return nil
}
