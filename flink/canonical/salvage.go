package canonical

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/tidemark-io/tidemark/flink"
	"github.com/tidemark-io/tidemark/flink/metadata"
	"github.com/tidemark-io/tidemark/flink/serde"
	"github.com/tidemark-io/tidemark/flink/sst"
	"github.com/tidemark-io/tidemark/flink/state"
	"github.com/tidemark-io/tidemark/flink/wire"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/store"
)

// Hole is something of keyed state that does not read.
type Hole struct {
	Subtask int32
	State   string // name; "" if it may be of any
	Groups  keygroup.Range
	Entries uint64 // that are lost, at least
	Bytes   uint64 // as stored, as far as that is known
	Err     error
}

// Survey reads all that is to be written, and tells Lost what does not read. It is
// called once, before Write.
func (k *Keyed) Survey() error {
	nothing := func(int, int, []byte, []byte) error { return nil }
	err := k.each(nothing)
	if err == nil {
		err = k.eachTimer(nothing)
	}
	k.surveyed = true
	return err
}

// tolerates reports whether an error is damage that a salvage passes over.
func (k *Keyed) tolerates(err error) bool {
	if k.o.Lost == nil {
		return false
	}
	if errors.Is(err, store.ErrNotExist) || errors.Is(err, store.ErrNotObject) {
		return true
	}
	return errors.As(err, new(*wire.Error)) && !errors.Is(err, wire.ErrUnsupported) && !errors.As(err, new(*store.Error)) && k.ctx.Err() == nil
}

// lose tells of a hole.
func (k *Keyed) lose(h Hole) {
	if !k.surveyed {
		k.o.Lost(h)
	}
}

// lendHeaders gives the parts whose header does not read that of another one: all
// subtasks of a job describe their states alike. A class that is not known is damage
// only if others have a header.
func (k *Keyed) lendHeaders() error {
	for i := range k.list {
		p := &k.list[i]
		if p.broken == nil {
			continue
		}
		for _, o := range k.list {
			if o.header != nil && !o.lent {
				p.header, p.lent = o.header, true
				break
			}
		}
		if !k.tolerates(p.broken) && (!p.lent || !errors.Is(p.broken, wire.ErrUnsupported)) {
			return p.broken
		}
	}
	return nil
}

// StrangeHeader reports whether the description of one subtask's keyed state, and not
// that of another's, has something that is not known.
func StrangeHeader(ctx context.Context, src *flink.Checkpoint, op *metadata.Operator) (bool, error) {
	k := &Keyed{ctx: ctx, src: src, op: op}
	list, err := k.parts()
	if err != nil {
		return false, nil // what it is, is said where it is opened
	}
	strange, known := false, false
	for i := range list {
		err := k.readHeader(&list[i])
		if errors.As(err, new(*store.Error)) || ctx.Err() != nil {
			return false, err
		}
		strange, known = strange || errors.Is(err, wire.ErrUnsupported), known || err == nil && list[i].header != nil
	}
	return strange && known, nil
}

// salvageOf is eachOf of what reads.
func (k *Keyed) salvageOf(i int, add func(group, state int, composite, value []byte) error) error {
	p := &k.list[i]
	s := &salvage{k: k, p: p, add: func(e *state.Entry) error {
		return add(e.KeyGroup, k.indexes[i][e.State], e.Composite, e.Value)
	}}
	if p.header == nil {
		if p.broken != nil {
			s.loseAll(p.broken)
		}
		return nil
	}
	var err error
	switch h := p.handle.(type) {
	case *metadata.KeyGroupsHandle:
		err = s.stream(h)
	case *metadata.IncrementalHandle:
		err = s.tables(h)
	case *metadata.ChangelogHandle:
		err = s.changelog(h)
	}
	if err != nil && k.tolerates(err) {
		s.loseAll(err)
		return nil
	}
	return err
}

// salvage reads what reads of one part.
type salvage struct {
	k   *Keyed
	p   *part
	add func(*state.Entry) error
	n   int
}

// loseAll loses the whole part.
func (s *salvage) loseAll(err error) {
	s.k.lose(Hole{Subtask: s.p.subtask, State: s.only(), Groups: s.p.groups, Err: err})
}

// only is the name of the state if there is but one.
func (s *salvage) only() string {
	if s.p.header != nil && len(s.p.header.States) == 1 {
		return s.p.header.States[0].Name
	}
	return ""
}

// context is the error of a context that has ended, asked now and then.
func (s *salvage) context() error {
	if s.n++; s.n%1024 == 0 {
		return s.k.ctx.Err()
	}
	return nil
}

// check requires that an entry's value decodes and that its key is in its key group,
// as far as both is known.
func (s *salvage) check(object string, e *state.Entry) error {
	m := &s.p.header.States[e.State]
	if err := m.CheckValue(object, e.Offset, e.Value); err != nil && !errors.Is(err, wire.ErrUnsupported) {
		return err
	}
	if !e.Split || s.p.header.Key.Hashable() != nil {
		return nil
	}
	hash, err := s.p.header.Key.HashKey(e.Key)
	if err != nil {
		return nil // the hash is not known
	}
	if g := serde.KeyGroup(hash, int(s.k.op.MaxParallelism)); g != e.KeyGroup {
		return &wire.Error{Object: object, Offset: e.Offset, What: "key", Err: wire.Malformed("it is in key group %d and belongs to group %d", e.KeyGroup, g)}
	}
	return nil
}

// stream reads a stream of key groups: heap or canonical.
func (s *salvage) stream(h *metadata.KeyGroupsHandle) error {
	src, err := s.k.src.OpenHandle(s.k.ctx, h.Delegate)
	if err != nil {
		return err
	}
	defer src.Close()
	f := state.KeyedFile{Object: src.Object, Data: src, Size: src.Size(), Groups: rangeOf(h.Range), Offsets: h.Offsets,
		MaxParallelism: int(s.k.op.MaxParallelism), Savepoint: h.Tag == metadata.TagSavepoint, Damaged: true}
	if s.p.lent {
		f.Header = s.p.header
	}
	file, err := state.OpenKeyed(f)
	if err != nil {
		return err
	}
	for g := s.p.groups.First; g <= s.p.groups.Last; g++ {
		if err := s.group(file, f, g); err != nil {
			return err
		}
	}
	return nil
}

// group reads a key group, twice: first to see how far it can be trusted. Where
// entries have no lengths (heap) and the group does not decode to its end, neither can
// be what stands behind an entry that was found wrong, nor the entry in front of that
// or of the end, if its own length may be what is wrong; unless the bytes are under a
// checksum.
func (s *salvage) group(file *state.Keyed, f state.KeyedFile, g int) error {
	w, err := s.walk(file, g, func(int, *state.Entry) error { return nil })
	if err != nil && !s.k.tolerates(err) {
		return err
	}
	trusted := w.entries
	if err != nil {
		if file.Layout == state.Heap && !file.Header.Compressed {
			if trusted = w.good; w.loose {
				trusted--
			}
		}
		from, to := file.Extent(g)
		if !file.Header.Compressed && w.at > from {
			from = w.at
		}
		s.k.lose(Hole{Subtask: s.p.subtask, State: s.only(), Groups: keygroup.Range{First: g, Last: g}, Entries: uint64(w.entries - trusted),
			Bytes: uint64(max(min(to, f.Size)-from, 0)), Err: err})
	}
	if trusted == 0 {
		return nil
	}
	_, err = s.walk(file, g, func(n int, e *state.Entry) error {
		if n >= trusted {
			return errEnough
		}
		err := s.check(f.Object, e)
		if err == nil {
			return s.add(e)
		}
		s.k.lose(Hole{Subtask: s.p.subtask, State: file.Header.States[e.State].Name, Groups: keygroup.Range{First: g, Last: g}, Entries: 1,
			Bytes: uint64(len(e.Composite) + len(e.Value)), Err: err})
		return nil
	})
	if errors.Is(err, errEnough) || err != nil && s.k.tolerates(err) {
		return nil
	}
	return err
}

// errEnough ends a walk.
var errEnough = errors.New("enough")

// walked is what a walk through a key group found.
type walked struct {
	entries int
	good    int   // entries before the first that is wrong
	loose   bool  // nothing but the bytes themselves say where the last of these ends
	at      int64 // where the last of these begins
}

// walk goes through a key group.
func (s *salvage) walk(file *state.Keyed, g int, do func(n int, e *state.Entry) error) (w walked, err error) {
	wrong := false
	for e, err := range file.Group(g) {
		if err == nil {
			err = s.context()
		}
		if err == nil {
			err = do(w.entries, e)
		}
		if err != nil {
			return w, err
		}
		w.entries++
		if wrong = wrong || s.check("", e) != nil; !wrong {
			t := file.Header.States[e.State].Type(state.SerializerValue)
			w.good, w.at, w.loose = w.entries, e.Offset, t.FixedLength() < 0
		}
	}
	return w, nil
}

// tables reads the tables of RocksDB.
func (s *salvage) tables(h *metadata.IncrementalHandle) error {
	o := new(opened)
	defer o.close()
	db := sst.Handle{Object: s.k.src.Dir(), Header: s.p.header, Groups: s.p.groups, MaxParallelism: int(s.k.op.MaxParallelism)}
	for _, list := range [][]metadata.NamedFile{h.Shared, h.Private} {
		for _, f := range list {
			src, err := o.open(s.k.ctx, s.k.src, f.Handle)
			if err != nil && !s.k.tolerates(err) {
				return err
			} else if err != nil {
				continue // a table that is not there is a hole
			}
			db.Files = append(db.Files, sst.File{Name: f.Name, Object: src.Object, Data: src, Size: src.Size()})
		}
	}
	opened, err := sst.OpenDamaged(db)
	if err != nil {
		return err
	}
	holes, err := opened.Holes(s.k.ctx)
	if err != nil {
		return err
	}
	at := map[int]int{} // the first hole of a state
	var told []Hole
	for i := range holes {
		x := &holes[i]
		groups, ok := s.groupsOf(x)
		if !ok {
			continue // it has nothing of these key groups
		}
		if _, known := at[x.State]; !known {
			at[x.State] = len(told)
		}
		told = append(told, Hole{Subtask: s.p.subtask, State: s.p.header.States[x.State].Name, Groups: groups, Bytes: x.Bytes, Err: x.Err})
	}
	for e, err := range opened.EntriesAround(holes, func(i int, n uint64) { told[at[i]].Entries += n }) {
		if err == nil {
			err = s.context()
		}
		if err != nil {
			return err
		}
		if err := s.check(s.k.src.Dir(), e); err != nil {
			told = append(told, Hole{Subtask: s.p.subtask, State: s.p.header.States[e.State].Name, Groups: keygroup.Range{First: e.KeyGroup, Last: e.KeyGroup},
				Entries: 1, Bytes: uint64(len(e.Composite) + len(e.Value)), Err: err})
			continue
		}
		if err := s.add(e); err != nil {
			return err
		}
	}
	for _, x := range told {
		s.k.lose(x)
	}
	return nil
}

// groupsOf are the key groups of the part in which a hole lies.
func (s *salvage) groupsOf(h *sst.Hole) (keygroup.Range, bool) {
	splitter := s.p.header.Splitter(int(s.k.op.MaxParallelism))
	first, ok := splitter.Group(h.From)
	if !ok {
		first = s.p.groups.First
	}
	last, ok := splitter.Group(h.To)
	if !ok {
		last = s.p.groups.Last
	}
	r := keygroup.Range{First: max(first, s.p.groups.First), Last: min(last, s.p.groups.Last)}
	return r, r.First <= r.Last
}

// changelog reads state with changes, all of it or nothing: behind a change that does
// not read, values are older than they were, and nothing says which.
func (s *salvage) changelog(h *metadata.ChangelogHandle) error {
	_, entries, err := s.k.src.Changelog(s.k.ctx, s.k.op, h)
	if err != nil {
		return err
	}
	for e, err := range entries {
		if err == nil {
			err = s.context()
		}
		if err == nil {
			err = s.check(s.k.src.Dir(), e)
		}
		if err != nil {
			return err
		}
	}
	if _, entries, err = s.k.src.Changelog(s.k.ctx, s.k.op, h); err != nil {
		return err
	}
	for e, err := range entries {
		if err != nil {
			return err
		}
		if err := s.add(e); err != nil {
			return err
		}
	}
	return nil
}

// loseTimers tells of timers of raw keyed state that do not read.
func (k *Keyed) loseTimers(subtask int32, f state.KeyedFile, err error) {
	for _, name := range slices.Sorted(maps.Keys(k.timers)) {
		k.lose(Hole{Subtask: subtask, State: name, Groups: f.Groups, Err: fmt.Errorf("timers of one key group: %w", err)})
	}
}
