package native

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/writer"
)

// salvage makes a checkpoint of what is left of a damaged one. Objects that are
// whole are linked or copied as by every other edit. Of the others every block
// that reads goes to a new object without being encoded anew; lost are the
// blocks in which a byte is damaged, and of in-flight data the records that
// touch them.
type salvage struct {
	*job
	over  *overlay
	model *reader.Model // over the overlay

	suspect map[int]bool // objects that are not, or not surely, under their names
	missing []bool       // by object
	clean   []bool       // by object
	known   map[int]bool // see sure
	remains []*remains   // of all slices that are written anew
	anew    map[sliceID]*remains
	mends   map[int]*mending
	marks   map[int][]*remains // channel watermarks of edges that are mended
	older   *older
	filled  map[int]uint64 // entries by state
	flips   map[repairID]repair
	found   *lostAndFound

	buf   []byte
	block format.Block
}

// salvage is Plan, and Apply if apply is set, of an edit that salvages.
func (f *Format) salvage(ctx context.Context, src checkpoint.Checkpoint, edit checkpoint.Edit, dst string, apply bool, progress func(checkpoint.Progress)) (checkpoint.Outcome, error) {
	if len(edit.Layouts)+len(edit.Drop)+len(edit.Rename)+len(edit.Settings) > 0 || edit.KeepKind {
		return checkpoint.Outcome{}, &checkpoint.EditError{Mistakes: []string{"a salvage changes nothing else: salvage first, then edit the result"}}
	}
	m, ok := src.(*reader.Model)
	if !ok {
		return checkpoint.Outcome{}, checkpoint.Refuse(checkpoint.At(src.Info().Path),
			fmt.Sprintf("this is a %s of another format", src.Info().Kind), "tidemark convert SRC DST")
	}
	s, err := openSalvage(ctx, m.Checkpoint())
	if err != nil {
		return checkpoint.Outcome{}, err
	}
	defer s.model.Close()
	s.job.edit, s.job.st, s.job.dst, s.job.progress = edit, f.st, dst, progress
	for _, step := range []func() error{s.checkDestination, func() error { return s.openOlder(edit.Salvage.Older) }, s.findMisplaced,
		func() error { return s.checkObjects(s.model) }, s.survey, s.mendChannels, s.countFilled, s.report, s.decideMoves} {
		if err := step(); err != nil {
			return checkpoint.Outcome{}, err
		}
	}
	if apply {
		if err := s.run(); err != nil {
			return checkpoint.Outcome{}, err
		}
	}
	return s.outcome(), nil
}

// openSalvage opens a checkpoint again, over an overlay, with all of its manifest.
func openSalvage(ctx context.Context, c *reader.Checkpoint) (*salvage, error) {
	from := overlayOf(c.Store())
	objects, err := c.Objects()
	if damaged(err) || err == nil && readsWhole(ctx, c) != nil {
		var rebuilt *reader.Model
		if rebuilt, err = openDamaged(ctx, from.Store, c.Dir()); err != nil {
			return nil, err
		}
		defer rebuilt.Close()
		from = overlayOf(rebuilt.Checkpoint().Store())
		objects, err = rebuilt.Checkpoint().Objects()
	}
	if err != nil {
		return nil, err
	}
	over := &overlay{Store: from.Store, files: from.files, strays: from.strays, losses: from.losses, unsure: from.unsure, rebuilt: from.rebuilt,
		from: maps.Clone(from.from), sizes: map[string]int64{}}
	if over.from == nil {
		over.from = map[string]string{}
	}
	for _, o := range objects {
		over.sizes[o.Name] = int64(o.Length)
	}
	again, err := reader.Open(ctx, over, c.Dir())
	if err != nil {
		return nil, err
	}
	s := &salvage{over: over, model: reader.NewModel(again), suspect: map[int]bool{}, known: map[int]bool{}, mends: map[int]*mending{},
		marks: map[int][]*remains{}, anew: map[sliceID]*remains{}, filled: map[int]uint64{}, flips: map[repairID]repair{}}
	src, err := openSource(ctx, s.model)
	if err != nil {
		return nil, errors.Join(err, s.model.Close())
	}
	s.job = &job{ctx: ctx, src: src, fates: make([]fate, len(src.states)), channels: make([]channel, len(src.edges))}
	s.missing, s.clean = make([]bool, len(src.objects)), make([]bool, len(src.objects))
	s.found = &lostAndFound{s: s}
	for i, e := range src.edges {
		s.channels[i].records, s.channels[i].bytes = e.InFlightRecords, src.inFlightBytes(i)
	}
	return s, nil
}

// readsWhole reads all tables of a manifest.
func readsWhole(ctx context.Context, c *reader.Checkpoint) error {
	_, err := openSource(ctx, reader.NewModel(c))
	return err
}

// mendChannels decides about the in-flight data of each edge that has lost some
// of it, and adds what else has to be written anew for that.
func (s *salvage) mendChannels() error {
	for edge, e := range s.src.edges {
		_, hurt := s.over.unsure[e.ID]
		for _, r := range s.remains {
			st := s.src.states[r.row]
			hurt = hurt || st.Edge == edge && st.Kind.Channel() && r.damage > 0
		}
		if !hurt {
			continue
		}
		var list []*remains
		for _, kind := range channelKinds {
			more, err := s.slicesOf(edge, kind)
			if err != nil {
				return err
			}
			list = append(list, more...)
		}
		m, err := s.mend(edge, list)
		if err != nil {
			return err
		}
		s.mends[edge] = m
		if s.marks[edge], err = s.slicesOf(edge, format.KindChannelWatermark); err != nil {
			return err
		}
		s.channels[edge].records = m.records
	}
	return nil
}

// slicesOf finds what is left of all slices of an edge's states of one kind.
func (s *salvage) slicesOf(edge int, kind format.Kind) (list []*remains, err error) {
	for _, row := range s.src.statesOf(edge, kind) {
		for _, sl := range s.src.slices[row] {
			r := s.anew[idOf(row, sl)]
			if r == nil {
				if r, err = s.surveySlice(row, sl); err != nil {
					return nil, err
				}
				s.add(r)
			}
			list = append(list, r)
		}
	}
	return list, nil
}

// countFilled counts what comes from the older checkpoint.
func (s *salvage) countFilled() error {
	for _, r := range s.remains {
		for _, h := range r.holes {
			if err := s.fill(s.ctx, r, h, func(*reader.Entry) error { s.filled[r.row]++; return nil }); err != nil {
				return err
			}
		}
	}
	return nil
}

// decideMoves counts which objects are still of use, and names them.
func (s *salvage) decideMoves() error {
	s.moves = make([]move, len(s.src.objects))
	for row, list := range s.src.slices {
		for _, sl := range list {
			if s.anew[idOf(row, sl)] == nil {
				s.moves[sl.Object].uses++
			}
		}
	}
	taken := map[string]bool{}
	for i := range s.moves {
		m := &s.moves[i]
		if m.uses == 0 {
			continue
		}
		base := path.Base(s.src.objects[i].Name)
		for n := 1; taken[base]; n++ {
			base = fmt.Sprintf("%d.%s", n, path.Base(s.src.objects[i].Name))
		}
		taken[base] = true
		m.name, m.linked = layout.Join(s.dst, base), s.links() != nil
	}
	return nil
}

// sliceID tells the slices of the source apart.
type sliceID struct {
	row, object int
	offset      uint64
}

func idOf(row int, sl format.Slice) sliceID { return sliceID{row, sl.Object, sl.Offset} }

// add notes a slice that is written anew.
func (s *salvage) add(r *remains) {
	s.remains = append(s.remains, r)
	s.anew[idOf(r.row, r.slice)] = r
}

// links is the ability to link objects of the source, nil if there is none.
func (s *salvage) links() store.Linker {
	if s.over.Store != s.st {
		return nil
	}
	l, _ := store.As[store.Linker](s.st)
	return l
}

// run writes the checkpoint. Whatever goes wrong, what was made is removed again.
func (s *salvage) run() (err error) {
	sum := s.src.Summary()
	s.w, err = writer.New(writer.Options{Store: s.st, Dir: s.dst, ID: sum.ID, AnyDir: true, Objects: 1})
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = s.takeBack(errors.Join(err, s.found.abort()))
		}
	}()
	for _, step := range []func() error{s.tables, s.found.strays, s.writeRemains, s.writeMended, s.found.close, s.moveAll} {
		if err := step(); err != nil {
			return err
		}
	}
	if err := s.w.Seal(s.ctx); err != nil {
		return err
	}
	s.keepSlices()
	return s.w.Commit(s.ctx, s.manifest)
}

// moveAll links or copies the objects that are whole.
func (s *salvage) moveAll() error {
	for i := range s.moves {
		m, o := &s.moves[i], s.src.objects[i]
		if m.uses == 0 {
			continue
		}
		if err := s.ctx.Err(); err != nil {
			return err
		}
		err := store.ErrUnsupported
		if l := s.links(); l != nil {
			err = l.Link(s.ctx, s.over.place(o.Name), m.name)
			m.linked = err == nil
		}
		if errors.Is(err, store.ErrUnsupported) {
			m.linked = false
			err = s.copyObject(s.ctx, o, m.name)
		}
		if !errors.Is(err, store.ErrExist) {
			s.made = append(s.made, m.name) // perhaps only the reply was lost
		}
		if err != nil {
			return err
		}
	}
	return nil
}
