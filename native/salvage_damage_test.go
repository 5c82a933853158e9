package native

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/recovery"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/mem"
	"github.com/tidemark-io/tidemark/writer"
	"github.com/tidemark-io/tidemark/writer/writertest"
)

// files are the objects of a checkpoint.
type files map[string][]byte

// filesOf reads all objects below a directory.
func filesOf(t *testing.T, st store.Store, dir string) files {
	t.Helper()
	all := files{}
	for info, err := range st.List(context.Background(), dir+"/") {
		must(t, err)
		data, err := store.ReadAll(context.Background(), st, info.Name, 1<<30)
		must(t, err)
		all[info.Name] = data
	}
	return all
}

// put makes a store of files.
func (f files) put(t *testing.T) store.Store {
	t.Helper()
	st := mem.New()
	for name, data := range f {
		up, err := st.Create(context.Background(), name)
		must(t, err)
		_, err = up.Write(data)
		must(t, err)
		_, err = up.Commit()
		must(t, err)
	}
	return st
}

// data are the names of the data objects.
func (f files) data() (names []string) {
	for _, name := range slices.Sorted(maps.Keys(f)) {
		if strings.HasSuffix(name, layout.DataSuffix) {
			names = append(names, name)
		}
	}
	return names
}

// chunk is a block of an intact checkpoint, and what is in it.
type chunk struct {
	object   string
	from, to uint64
	index    format.BlockRef // of its slice
	lines    []string        // of state
	buffers  []format.Buffer
	edge     int
}

// chunks reads all blocks of an intact checkpoint.
func chunks(t *testing.T, m *reader.Model) (list []chunk) {
	t.Helper()
	ctx := context.Background()
	s, err := openSource(ctx, m)
	must(t, err)
	for _, senders := range []bool{false, true} { // the sending side comes last
		for row, st := range s.states {
			if senders != (st.Kind == format.KindOutputChannel) {
				continue
			}
			for _, sl := range s.slices[row] {
				refs, err := s.BlockRefs(ctx, sl, st.Kind)
				must(t, err)
				for _, ref := range refs {
					data, err := s.ReadBlock(ctx, sl, st.Kind, ref, nil)
					must(t, err)
					var b format.Block
					must(t, s.DecodeBlock(&b, sl, st.Kind, ref, data))
					c := chunk{object: s.objects[sl.Object].Name, from: ref.Offset, to: ref.End(), index: sl.Ref(), edge: st.Edge}
					id := fmt.Sprintf("%s/%s/%v/%d ", s.operators[st.Operator].UID, st.Name, st.Kind, sl.Subtask)
					c.lines, c.buffers = rowsIn(t, id, &b)
					list = append(list, c)
				}
			}
		}
	}
	return list
}

// rowsIn are the rows of a block, a line for each; buffers apart.
func rowsIn(t *testing.T, id string, b *format.Block) (lines []string, buffers []format.Buffer) {
	t.Helper()
	all := keygroup.All()
	switch b.Kind() {
	case format.KindKeyed, format.KindTimer:
		rows := format.NewKeyedRows(all)
		rows.Start(b)
		for rows.Next() {
			lines = append(lines, fmt.Sprintf("%s%08x %x %x %x %d", id, uint32(rows.Hash), rows.Key, rows.Namespace, rows.Value, rows.Time))
		}
		must(t, rows.Err())
	case format.KindSplitList, format.KindUnionList:
		lines = linesOf(t, id, format.NewRows[format.Item](all).Of(b))
	case format.KindBroadcast:
		lines = linesOf(t, id, format.NewRows[format.Pair](all).Of(b))
	case format.KindFloor:
		lines = linesOf(t, id, format.NewRows[format.Floor](all).Of(b))
	case format.KindSubtaskWatermark:
		lines = linesOf(t, id, format.NewRows[format.SubtaskWatermark](all).Of(b))
	case format.KindChannelWatermark:
		lines = linesOf(t, id, format.NewRows[format.ChannelWatermark](all).Of(b))
	case format.KindSplitWatermark:
		lines = linesOf(t, id, format.NewRows[format.SplitWatermark](all).Of(b))
	default:
		for row, err := range format.NewRows[format.Buffer](all).Of(b) {
			must(t, err)
			buffers = append(buffers, *row)
		}
	}
	return lines, buffers
}

func linesOf[R any](t *testing.T, id string, rows func(func(*R, error) bool)) (lines []string) {
	t.Helper()
	for row, err := range rows {
		must(t, err)
		lines = append(lines, fmt.Sprintf("%s%x", id, fmt.Sprint(*row)))
	}
	return lines
}

// remaining is what an intact checkpoint would have without the blocks that
// touched chooses: the lines of the others, and the in-flight records none of
// whose bytes lie in such a block.
func remaining(t *testing.T, list []chunk, touched func(*chunk) bool) []string {
	t.Helper()
	type flow struct {
		edge int
		stream
	}
	type buffer struct {
		end     int
		touched bool
	}
	var lines []string
	bytesOf, buffers := map[flow][]byte{}, map[flow][]buffer{}
	for i := range list {
		c := &list[i]
		gone := touched(c)
		if !gone {
			lines = append(lines, c.lines...)
		}
		for _, b := range c.buffers {
			key := flow{c.edge, stream{b.Generation, b.Receiver, b.Sender}}
			bytesOf[key] = append(bytesOf[key], b.Payload...)
			buffers[key] = append(buffers[key], buffer{len(bytesOf[key]), gone})
		}
	}
	for key, data := range bytesOf {
		for at := 0; at < len(data); {
			fr, n, err := format.DecodeFrame(data[at:])
			must(t, err)
			from, to := at, at+int(n)
			whole, begin := true, 0
			for _, b := range buffers[key] {
				if begin < to && b.end > from && b.touched {
					whole = false
				}
				begin = b.end
			}
			if whole {
				lines = append(lines, fmt.Sprintf("flight %d %v %v %x %d %x", key.edge, key.stream, fr.Element, fr.Hash, fr.Time, fr.Payload))
			}
			at = to
		}
	}
	slices.Sort(lines)
	return lines
}

// damages are the kinds of damage. Each changes files and says what it did; "" if
// it could not be done.
var damages = []struct {
	name string
	do   func(r *rand.Rand, f, other files) string
}{
	{"flip", func(r *rand.Rand, f, _ files) string {
		name := pick(r, slices.Sorted(maps.Keys(f)))
		data := bytes.Clone(f[name])
		for range 1 + r.IntN(3) {
			data[r.IntN(len(data))] ^= 1 << r.IntN(8)
		}
		f[name] = data
		return name
	}},
	{"cut", func(r *rand.Rand, f, _ files) string {
		name := pick(r, slices.Sorted(maps.Keys(f)))
		f[name] = f[name][:r.IntN(len(f[name]))]
		return name
	}},
	{"longer", func(r *rand.Rand, f, _ files) string {
		name := pick(r, slices.Sorted(maps.Keys(f)))
		f[name] = append(bytes.Clone(f[name]), make([]byte, 1+r.IntN(100))...)
		return name
	}},
	{"zero", func(r *rand.Rand, f, _ files) string {
		name := pick(r, slices.Sorted(maps.Keys(f)))
		data := bytes.Clone(f[name])
		at := r.IntN(len(data))
		clear(data[at:min(len(data), at+1+r.IntN(3000))])
		f[name] = data
		return name
	}},
	{"remove", func(r *rand.Rand, f, _ files) string {
		name := pick(r, append(f.data(), layout.ManifestCopy))
		for full := range f {
			if strings.HasSuffix(full, "/"+name) {
				name = full
			}
		}
		delete(f, name)
		return name
	}},
	{"swap", func(r *rand.Rand, f, _ files) string {
		names := f.data()
		if len(names) < 2 {
			return ""
		}
		r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		f[names[0]], f[names[1]] = f[names[1]], f[names[0]]
		return names[0] + " " + names[1]
	}},
	{"stale", func(r *rand.Rand, f, other files) string {
		name := pick(r, f.data())
		f[name] = other[pick(r, other.data())]
		return name
	}},
}

func pick(r *rand.Rand, names []string) string { return names[r.IntN(len(names))] }

// sampleSet writes 20 different checkpoints.
func sampleSet(t *testing.T) (jobs []writertest.Job, all []files) {
	t.Helper()
	for i := range 20 {
		j := writertest.Job{ID: uint64(i + 3), Parallelism: 1 + i%4, Groups: []int{128, 97, 4096}[i%3], Keys: []int{0, 7, 60, 300}[(i/2)%4], Seed: uint64(i),
			ValueSize: []int{8, 40, 300}[i%3], Flight: []int{3, 25, 120}[(i/3)%3], Savepoint: i%5 == 4,
			Options: writer.Options{WriterID: fmt.Sprintf("w%d", i), Objects: 1 + i%3, BlockSize: []int{300, 2000, 64 << 10}[(i/4)%3], Compression: writer.Compression(i % 4)}}
		j.Parallel = j.Options.Objects > 1
		j.Flight = min(j.Flight, max(j.Keys, 3))
		st := mem.New()
		sample(t, st, j)
		jobs, all = append(jobs, j), append(all, filesOf(t, st, j.Dir()))
	}
	return jobs, all
}

// TestSalvageDamage damages checkpoints at random, one to three times each:
// verify names exactly the objects that are damaged, and a salvage keeps exactly
// what does not lie in a block of which a byte is damaged.
func TestSalvageDamage(t *testing.T) {
	rounds := 100
	if os.Getenv("TIDEMARK_LONG") != "" {
		rounds = 1000
	}
	jobs, pristine := sampleSet(t)
	intact := make([][]chunk, len(jobs))
	for i, j := range jobs {
		intact[i] = chunks(t, open(t, pristine[i].put(t), j.Dir()))
	}
	var stats struct{ damaged, listed, lost, kept, rebuilt, clean, nothing, blind, mixed, filled int }
	kinds := map[string]int{}
	what := ""
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(what)
		}
	})
	for round := range rounds {
		r := rand.New(rand.NewPCG(uint64(round), 15))
		i := r.IntN(len(jobs))
		dir := jobs[i].Dir()
		f := maps.Clone(pristine[i])
		what = fmt.Sprintf("round %d, %s of %d:", round, dir, i)
		n := 1 + r.IntN(3)
		mixed := false // swapped and damaged too: that cannot always be told, and is judged by bounds
		for range n {
			d := damages[r.IntN(len(damages))]
			if len(f.data()) == 0 {
				continue
			}
			if name := d.do(r, f, pristine[(i+1)%len(jobs)]); name != "" {
				what += fmt.Sprintf(" %s %s;", d.name, name)
				kinds[d.name]++
				mixed = mixed || d.name == "swap" && n > 1
			}
		}
		damagedNames := differences(pristine[i], f)
		stats.damaged += len(damagedNames)
		st := f.put(t)
		listed := verifyNames(t, what, st, dir)
		if listed != nil {
			stats.listed += len(listed)
			want := damagedNames
			if both := []string{dir + "/" + layout.Manifest, dir + "/" + layout.ManifestCopy}; len(minus(both, want)) == 0 {
				// Which objects there should be is not known then.
				want = slices.DeleteFunc(slices.Clone(want), func(name string) bool { return !slices.Contains(both, name) && !slices.Contains(listed, name) })
				stats.blind++
			}
			if !slices.Equal(want, listed) {
				t.Errorf("%s verify lists %q, damaged are %q", what, listed, damagedNames)
			}
		}
		footers := readable(t, st, pristine[i], f)
		out, got := salvaged(t, what, st, dir, f, nil, "result")
		if out == nil {
			if len(footers) > 0 {
				t.Fatalf("%s nothing was found, but %q read", what, slices.Collect(maps.Keys(footers)))
			}
			stats.nothing++
			continue
		}
		want := remaining(t, intact[i], func(c *chunk) bool {
			return touched(pristine[i], f, c) || out.Salvaged.Rebuilt && !footers[c.object]
		})
		all := remaining(t, intact[i], func(*chunk) bool { return false })
		stats.lost, stats.kept = stats.lost+len(all)-len(want), stats.kept+len(want)
		if mixed {
			stats.mixed++
			least := remaining(t, intact[i], func(c *chunk) bool {
				return !bytes.Equal(f[c.object], pristine[i][c.object]) || out.Salvaged.Rebuilt && !footers[c.object]
			})
			if missing, more := minus(least, got), minus(got, all); len(missing)+len(more) > 0 {
				t.Errorf("%s %d entries are left, at least %d of %d\nmissing %q\nmade up %q", what, len(got), len(least), len(all), missing, more)
			}
			continue
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s %d entries are left, want %d of %d\nmissing %q\nmore %q", what, len(got), len(want), len(all), minus(want, got), minus(got, want))
		}
		if out.Salvaged.Rebuilt {
			stats.rebuilt++
		} else if round%4 == 0 {
			stats.filled += filledFrom(t, what, st, jobs[i], f, want)
		}
		if lossy := len(want) < len(all) || out.Salvaged.Rebuilt; lossy != (len(out.Losses) > 0) {
			t.Errorf("%s losses %+v with %d of %d entries left", what, out.Losses, len(want), len(all))
		} else if !lossy {
			stats.clean++
		}
		if t.Failed() {
			break
		}
	}
	t.Logf("RESULT salvage rounds=%d checkpoints=%d damaged=%d listed=%d precision=100%% recall=100%% lost=%d kept=%d without-loss=%d rebuilt=%d nothing=%d manifests-lost=%d swapped-and-damaged=%d filled=%d %v",
		rounds, len(jobs), stats.damaged, stats.listed, stats.lost, stats.kept, stats.clean, stats.rebuilt, stats.nothing, stats.blind, stats.mixed, stats.filled, kinds)
}

// differences are the names of the objects that are not what they were.
func differences(was, is files) (names []string) {
	for name, data := range was {
		if now, ok := is[name]; !ok || !bytes.Equal(data, now) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// touched reports whether a byte of a block is damaged, wherever its object lies
// now.
func touched(was, is files, c *chunk) bool {
	want := was[c.object]
	for _, now := range is {
		if bytes.Equal(now, want) {
			return false
		}
	}
	now := append(bytes.Clone(is[c.object]), make([]byte, len(want))...)[:len(want)]
	if _, there := is[c.object]; !there || !bytes.Equal(now[c.from:c.to], want[c.from:c.to]) {
		return true
	}
	if bytes.Equal(now[c.index.Offset:c.index.End()], want[c.index.Offset:c.index.End()]) {
		return false
	}
	// Without its index a block can be believed only in an object that is known.
	h, err := format.ReadObjectHeader(bytes.NewReader(now), int64(len(now)), c.object)
	o, openErr := format.OpenObject(bytes.NewReader(now), int64(len(now)), format.OpenOptions{Object: c.object})
	if openErr == nil {
		return o.Header.Name != c.object
	}
	return err != nil || h.Name != c.object
}

// readable are the objects of the checkpoint, by the names that they should have,
// whose header, directory and footer read, wherever they lie.
func readable(t *testing.T, st store.Store, was, is files) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for name, data := range is {
		r, err := peek(context.Background(), st, name, int64(len(data)))
		must(t, err)
		if r != nil && was[r.Header.Name] != nil {
			names[r.Header.Name] = true
		}
	}
	return names
}

// verifyNames are the objects that verify has something to say of. None if there
// is no manifest to verify by.
func verifyNames(t *testing.T, what string, st store.Store, dir string) []string {
	t.Helper()
	c, err := NewFormat(st).Open(context.Background(), dir)
	if errors.Is(err, checkpoint.ErrDamaged) || errors.Is(err, checkpoint.ErrIncomplete) {
		return nil
	}
	must(t, err)
	defer c.Close()
	names := []string{}
	for f, err := range recovery.Verify(context.Background(), c, recovery.Options{}) {
		if err != nil {
			t.Fatalf("%s verify: %v", what, err)
		}
		if f.Severity > checkpoint.Note && !slices.Contains(names, f.Place.Object) {
			names = append(names, f.Place.Object)
		}
	}
	slices.Sort(names)
	return names
}

// salvaged salvages a checkpoint, requires that the result verifies and that the
// source is as it was, and returns what the result holds.
func salvaged(t *testing.T, what string, st store.Store, dir string, f files, older checkpoint.Checkpoint, dst string) (*checkpoint.Outcome, []string) {
	t.Helper()
	ctx := context.Background()
	format := NewFormat(st)
	src, err := format.OpenDamaged(ctx, dir)
	if errors.Is(err, checkpoint.ErrDamaged) || errors.Is(err, checkpoint.ErrNone) || errors.Is(err, checkpoint.ErrIncomplete) {
		return nil, nil
	}
	if err != nil {
		t.Fatalf("%s open: %v", what, err)
	}
	defer src.Close()
	edit := checkpoint.Edit{Command: "salvage", Salvage: &checkpoint.Salvage{LostAndFound: "lost-and-found.jsonl", Older: older}}
	plan, err := format.Plan(ctx, src, edit, dst)
	if err != nil {
		t.Fatalf("%s plan: %v", what, err)
	}
	out, err := format.Apply(ctx, src, edit, dst, nil)
	if err != nil {
		t.Fatalf("%s salvage: %v", what, err)
	}
	if len(plan.Losses) != len(out.Losses) {
		t.Errorf("%s planned losses %+v, had %+v", what, plan.Losses, out.Losses)
	}
	if changed := differences(f, filesOf(t, st, dir)); len(changed) > 0 {
		t.Errorf("%s the source was changed: %q", what, changed)
	}
	m := open(t, st, dst)
	for f, err := range recovery.Verify(ctx, m, recovery.Options{}) {
		if err != nil || f.Severity != checkpoint.Note {
			t.Fatalf("%s the result does not verify: %v %v", what, f, err)
		}
	}
	return &out, remaining(t, chunks(t, m), func(*chunk) bool { return false })
}

// filledFrom salvages with an older checkpoint of the job beside it: nothing that
// reads is lost, and what comes in addition is the older one's. It returns how
// many entries that are.
func filledFrom(t *testing.T, what string, st store.Store, j writertest.Job, f files, want []string) int {
	t.Helper()
	dir := j.Dir()
	j.ID, j.Seed, j.Options.WriterID = 2, j.Seed+100, "older"
	_, err := j.Write(context.Background(), st)
	must(t, err)
	m := open(t, st, j.Dir())
	theirs := remaining(t, chunks(t, m), func(*chunk) bool { return false })
	out, got := salvaged(t, what+" with an older one,", st, dir, f, m, "filled")
	if out == nil {
		t.Fatalf("%s nothing was found", what)
	}
	if missing := minus(want, got); len(missing) > 0 {
		t.Errorf("%s filling lost %q", what, missing)
	}
	known := append(slices.Clone(want), theirs...)
	slices.Sort(known)
	if more := minus(got, known); len(more) > 0 {
		t.Errorf("%s filling made up %q", what, more)
	}
	return len(got) - len(want)
}

// minus are the lines of a that b has not.
func minus(a, b []string) (rest []string) {
	for _, l := range a {
		if _, ok := slices.BinarySearch(b, l); !ok && len(rest) < 5 {
			rest = append(rest, l)
		}
	}
	return rest
}
