package reader_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/mem"
	"github.com/tidemark-io/tidemark/writer"
	"github.com/tidemark-io/tidemark/writer/writertest"
)

// damageJob is small enough to be damaged everywhere: one data object.
func damageJob() writertest.Job {
	return writertest.Job{Keys: 12, Options: writer.Options{Objects: 1, WriterID: "w"}}
}

// damageObject is its data object.
const damageObject = "chk-1/w-0.data"

// contents reads everything that a restore reads and returns a digest of what
// was read without error, and the errors.
func contents(ctx context.Context, st store.Store, dir string) (read map[string][]byte, damage []error, err error) {
	c, err := reader.Open(ctx, st, dir)
	if err != nil {
		return nil, []error{err}, nil
	}
	defer c.Close()
	m := reader.NewModel(c)
	read = map[string][]byte{}
	for s, err := range m.States(ctx) {
		if err != nil {
			return read, append(damage, err), nil
		}
		var all []byte
		for e, err := range m.Entries(ctx, checkpoint.Selector{Operator: s.Operator, State: s.Name}) {
			if err != nil {
				damage = append(damage, err)
				break
			}
			if e.State.Row == s.Row {
				all = fmt.Appendf(all, "%d %x %v %x %x %x %d %v\n", e.Subtask, uint32(e.Hash), e.Interval, e.Key, e.Namespace, e.Value, e.Time, e.Detail)
			}
		}
		read[fmt.Sprint(s.Row)] = all
	}
	return read, damage, nil
}

// neverWrong requires that what was read is a prefix of what was written, state
// by state.
func neverWrong(st store.Store, dir string, want map[string][]byte) (damage []error, err error) {
	read, damage, err := contents(context.Background(), st, dir)
	if err != nil {
		return damage, err
	}
	for row, got := range read {
		if !bytes.HasPrefix(want[row], got) || len(damage) == 0 && len(got) < len(want[row]) {
			return damage, fmt.Errorf("state %s: wrong data was read", row)
		}
	}
	return damage, nil
}

// damaged is a sample checkpoint and what must be read from it.
func damaged(t *testing.T) (st *mem.Store, object []byte, want map[string][]byte) {
	t.Helper()
	st = write(t, damageJob())
	want, bad, err := contents(t.Context(), st, "chk-1")
	if err != nil || len(bad) > 0 || len(want) != 12 {
		t.Fatal(bad, err, len(want))
	}
	object, err = store.ReadAll(t.Context(), st, damageObject, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return st, object, want
}

// T3 at the level of objects: a flipped bit is found, named, and never read.
func TestT3FlippedBits(t *testing.T) {
	st, object, want := damaged(t)
	step := 23
	switch {
	case os.Getenv("TIDEMARK_LONG") != "":
		step = 1
	case testing.Short():
		step = 301
	}
	flips, named, blocks := 0, 0, 0
	for bit := 0; bit < 8*len(object); bit += step {
		rewrite(t, st, damageObject, func(b []byte) []byte { return flip(bit)(bytes.Clone(object)) })
		flips++
		if _, err := neverWrong(st, "chk-1", want); err != nil {
			t.Fatalf("bit %d: %v", bit, err)
		}
		list, err := findings(t.Context(), st, "chk-1")
		if err != nil || len(list) == 0 {
			t.Fatalf("bit %d of %d: not found: %v", bit, 8*len(object), err)
		}
		for _, f := range list {
			if f.Place.Object != damageObject || f.Severity != checkpoint.Error || f.Remedy != "tidemark salvage chk-1 DST --apply" {
				t.Fatalf("bit %d: finding %v", bit, f)
			}
		}
		f := list[0]
		if f.Place.Length > 0 {
			blocks++
			at := int64(bit / 8)
			if at < f.Place.Offset || at >= f.Place.Offset+f.Place.Length {
				t.Fatalf("bit %d: found in the wrong block: %v", bit, f)
			}
			what := fmt.Sprintf("flipping bit %d of its byte %d", bit%8, at-f.Place.Offset)
			if !strings.Contains(f.Problem, what) {
				t.Fatalf("bit %d: %v does not say %q", bit, f, what)
			}
			named++
		}
	}
	fmt.Printf("RESULT reader-T3 object_bytes=%d flips=%d found=%d wrong_data=0 in_blocks=%d bit_named=%d\n", len(object), flips, flips, blocks, named)
}

// T4: every truncation is found and called one; so is every extension.
func TestT4CutAndExtended(t *testing.T) {
	st, object, want := damaged(t)
	cuts, longer, step := 0, 0, 3
	switch {
	case os.Getenv("TIDEMARK_LONG") != "":
		step = 1
	case testing.Short():
		step = 41
	}
	for n := 0; n < len(object); n += step {
		rewrite(t, st, damageObject, func([]byte) []byte { return object[:n] })
		if damage, err := neverWrong(st, "chk-1", want); err != nil || len(damage) == 0 || !errors.Is(damage[0], format.ErrTruncated) {
			t.Fatalf("cut at %d: %v, %v", n, damage, err)
		}
		list, err := findings(t.Context(), st, "chk-1")
		if err != nil || len(list) != 1 || list[0].Place.Object != damageObject || !errors.Is(list[0].Err, format.ErrTruncated) {
			t.Fatalf("cut at %d: %v, %v", n, list, err)
		}
		cuts++
	}
	for _, n := range []int{1, 2, 47, 48, 512, 4096} {
		for _, tail := range [][]byte{make([]byte, n), bytes.Repeat([]byte{0xff}, n), object[max(0, len(object)-n):]} {
			rewrite(t, st, damageObject, func([]byte) []byte { return append(bytes.Clone(object), tail...) })
			if damage, err := neverWrong(st, "chk-1", want); err != nil || len(damage) == 0 {
				t.Fatalf("%d bytes longer: %v, %v", n, damage, err)
			}
			list, err := findings(t.Context(), st, "chk-1")
			if err != nil || len(list) != 1 || list[0].Place.Object != damageObject {
				t.Fatalf("%d bytes longer: %v, %v", n, list, err)
			}
			longer++
		}
	}
	for n := 512; n < len(object); n += 512 { // the tail is lost, the length is not
		rewrite(t, st, damageObject, func([]byte) []byte { return append(bytes.Clone(object[:n]), make([]byte, len(object)-n)...) })
		if _, err := neverWrong(st, "chk-1", want); err != nil {
			t.Fatalf("zeros from %d: %v", n, err)
		}
		if list, err := findings(t.Context(), st, "chk-1"); err != nil || len(list) == 0 {
			t.Fatalf("zeros from %d: %v, %v", n, list, err)
		}
	}
	fmt.Printf("RESULT reader-T4 cuts=%d extensions=%d found=%d\n", cuts, longer, cuts+longer)
}

// T3 e, f, g and T10: whole objects in the wrong place, missing or foreign.
func TestMisplacedObjects(t *testing.T) {
	ctx := t.Context()
	put := func(st store.Store, name string, data []byte) {
		rewrite(t, st, name, func([]byte) []byte { return data })
	}
	get := func(st store.Store, name string) []byte {
		data, err := store.ReadAll(ctx, st, name, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	other := func(job writertest.Job) *mem.Store {
		job.Options.Objects = 1
		return write(t, job)
	}
	cases := map[string]struct {
		change func(st *mem.Store)
		where  string // object of the first finding
		errs   bool   // reading must fail
		level  checkpoint.Severity
	}{
		"data object missing": {func(st *mem.Store) { remove(t, st, damageObject) }, damageObject, true, checkpoint.Error},
		"copy missing":        {func(st *mem.Store) { remove(t, st, "chk-1/MANIFEST.copy") }, "chk-1/MANIFEST.copy", false, checkpoint.Warning},
		"copy damaged":        {func(st *mem.Store) { rewrite(t, st, "chk-1/MANIFEST.copy", flip(800)) }, "chk-1/MANIFEST.copy", false, checkpoint.Error},
		"copy of another state": {func(st *mem.Store) {
			again := other(writertest.Job{Keys: 12, Seed: 5, Options: writer.Options{WriterID: "w"}})
			put(st, "chk-1/MANIFEST.copy", get(again, "chk-1/MANIFEST.copy"))
		}, "chk-1/MANIFEST.copy", false, checkpoint.Error},
		"copy of another checkpoint": {func(st *mem.Store) {
			put(st, "chk-1/MANIFEST.copy", get(other(writertest.Job{ID: 2, Keys: 12}), "chk-2/MANIFEST.copy"))
		}, "chk-1/MANIFEST.copy", false, checkpoint.Error},
		"an older generation of the object": {func(st *mem.Store) {
			put(st, damageObject, get(other(writertest.Job{Keys: 12, Seed: 5, Options: writer.Options{WriterID: "w"}}), damageObject))
		}, damageObject, true, checkpoint.Error},
		"the object of another checkpoint": {func(st *mem.Store) {
			put(st, damageObject, get(other(writertest.Job{ID: 2, Keys: 12, Seed: 5, Options: writer.Options{WriterID: "w"}}), "chk-2/w-0.data"))
		}, damageObject, true, checkpoint.Error},
		"the manifest as data object": {func(st *mem.Store) { put(st, damageObject, get(st, "chk-1/MANIFEST")) }, damageObject, true, checkpoint.Error},
		"an empty data object":        {func(st *mem.Store) { put(st, damageObject, nil) }, damageObject, true, checkpoint.Error},
		"an orphan": {func(st *mem.Store) {
			if _, err := store.WriteAll(ctx, st, "chk-1/x-7.data", []byte("x")); err != nil {
				t.Fatal(err)
			}
		}, "chk-1/x-7.data", false, checkpoint.Note},
		"the manifest of the same id by another writer": {func(st *mem.Store) {
			for _, name := range []string{"chk-1/MANIFEST", "chk-1/MANIFEST.copy"} {
				put(st, name, get(other(writertest.Job{Keys: 12, Seed: 5, Options: writer.Options{WriterID: "v"}}), name))
			}
		}, "chk-1/v-0.data", true, checkpoint.Error},
	}
	for name, c := range cases {
		st, _, want := damaged(t)
		c.change(st)
		damage, err := neverWrong(st, "chk-1", want)
		if err != nil || (len(damage) > 0) != c.errs {
			t.Errorf("%s: reading gives %v, %v", name, damage, err)
		}
		list, err := findings(ctx, st, "chk-1")
		if err != nil || len(list) == 0 || list[0].Place.Object != c.where || list[0].Severity != c.level || list[0].Remedy == "" {
			t.Errorf("%s: found %v, %v", name, list, err)
		}
	}
}

// Equal blocks swapped within one object: each is intact, but not the one that
// belongs there.
func TestSwappedBlocks(t *testing.T) {
	job := writertest.Job{Keys: 400, ValueSize: 30, Options: writer.Options{Objects: 1, BlockSize: 300, WriterID: "w", Compression: writer.CompressNone}}
	st := write(t, job)
	object, err := store.ReadAll(t.Context(), st, damageObject, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	want, _, err := contents(t.Context(), st, "chk-1")
	if err != nil {
		t.Fatal(err)
	}
	byLength := map[uint32][]format.BlockRef{}
	r, err := format.OpenObject(bytes.NewReader(object), int64(len(object)), format.OpenOptions{Object: damageObject})
	if err != nil {
		t.Fatal(err)
	}
	for e, err := range r.Entries() {
		if err != nil {
			t.Fatal(err)
		}
		var x format.Index
		if err := x.Decode(damageObject, object[e.Slice.Offset:e.Slice.Offset+uint64(e.Slice.Length)], e.Slice, e.Kind, nil); err != nil {
			t.Fatal(err)
		}
		for ref, err := range x.Blocks() {
			if err != nil {
				t.Fatal(err)
			}
			byLength[ref.Length] = append(byLength[ref.Length], ref)
		}
	}
	swaps := 0
	for _, refs := range byLength {
		for i := 1; i < len(refs) && i < 8; i++ {
			a, b := refs[0], refs[i]
			if a.CRC == b.CRC {
				continue
			}
			rewrite(t, st, damageObject, func([]byte) []byte {
				bad := bytes.Clone(object)
				copy(bad[a.Offset:a.End()], object[b.Offset:b.End()])
				copy(bad[b.Offset:b.End()], object[a.Offset:a.End()])
				return bad
			})
			if damage, err := neverWrong(st, "chk-1", want); err != nil || len(damage) == 0 {
				t.Fatalf("swap of %d and %d: %v, %v", a.Offset, b.Offset, damage, err)
			}
			list, err := findings(t.Context(), st, "chk-1")
			if err != nil || len(list) != 2 || list[0].Place.Offset != int64(a.Offset) || list[1].Place.Offset != int64(b.Offset) {
				t.Fatalf("swap of %d and %d: %v, %v", a.Offset, b.Offset, list, err)
			}
			swaps++
		}
	}
	if swaps < 10 {
		t.Errorf("only %d pairs of equal length", swaps)
	}
	fmt.Printf("RESULT reader-T3e swaps=%d found=%d\n", swaps, swaps)
}

// An entry that is stored intact, but is wrong: only LevelRecords can see it.
func TestWrongRecords(t *testing.T) {
	st := mem.New()
	w, err := writer.New(writer.Options{Store: st, Dir: "chk-1", ID: 1, WriterID: "w"})
	if err != nil {
		t.Fatal(err)
	}
	number := &format.Schema{Type: format.TypeUint64}
	m := &format.Manifest{Summary: format.Summary{Kind: format.Checkpoint, Hash: "xxh3-64/0"},
		Operators: []format.Operator{{UID: "u", Parallelism: 1, KeyGroups: 128, KeySchema: 0}},
		States:    []format.State{{Name: "s", Kind: format.KindKeyed, Edge: format.None, Namespace: format.None, Value: 0}},
		Schemas:   []*format.Schema{number}}
	s, err := w.Slice(t.Context(), writer.SliceSpec{Operator: "u", Parallelism: 1, KeyGroups: 128, Name: "s", Kind: format.KindKeyed, Interval: keygroup.All()})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Keyed(1, []byte("12345678"), nil, []byte("short")); err != nil {
		t.Fatal(err)
	}
	row, err := s.Close()
	if err != nil {
		t.Fatal(err)
	}
	m.Slices = []format.Slice{row}
	if err := errors.Join(w.Seal(t.Context()), w.Commit(t.Context(), m)); err != nil {
		t.Fatal(err)
	}
	list, err := findings(t.Context(), st, "chk-1")
	if err != nil || len(list) != 1 || list[0].Place.State != "s" || !strings.Contains(list[0].Err.Error(), "has hash 00000001, its key has") {
		t.Errorf("found %v, %v", list, err)
	}
}
