package reader_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/mem"
	"github.com/tidemark-io/tidemark/writer/writertest"
)

// flip flips one bit.
func flip(at int) func([]byte) []byte {
	return func(b []byte) []byte {
		b[at/8%len(b)] ^= 1 << (at % 8)
		return b
	}
}

// remove deletes an object.
func remove(t testing.TB, st store.Store, name string) {
	t.Helper()
	if err := st.Remove(t.Context(), name, ""); err != nil {
		t.Fatal(err)
	}
}

func TestOpenTellsTheCasesApart(t *testing.T) {
	newer := func(b []byte) []byte { // the header of a later version, checksum included
		b[8], b[9] = 7, 7
		body := binary.LittleEndian.Uint16(b[14:]) - 4
		binary.LittleEndian.PutUint32(b[body:], bits.RotateLeft32(format.Checksum(b[:body]), 15))
		return b
	}
	cases := map[string]struct {
		dir    string
		change func(st *mem.Store)
		want   error
		status checkpoint.Status
	}{
		"nothing there":   {"chk-9", nil, checkpoint.ErrNone, checkpoint.Unreadable},
		"not a name":      {"../chk-1", nil, checkpoint.ErrNone, checkpoint.Unreadable},
		"an empty name":   {"", nil, checkpoint.ErrNone, checkpoint.Unreadable},
		"never committed": {"chk-1", func(st *mem.Store) { remove(t, st, "chk-1/MANIFEST") }, checkpoint.ErrIncomplete, checkpoint.Incomplete},
		"only data":       {"chk-1", func(st *mem.Store) { remove(t, st, "chk-1/MANIFEST"); remove(t, st, "chk-1/MANIFEST.copy") }, checkpoint.ErrIncomplete, checkpoint.Incomplete},
		"both are damaged": {"chk-1", func(st *mem.Store) {
			rewrite(t, st, "chk-1/MANIFEST", flip(99))
			rewrite(t, st, "chk-1/MANIFEST.copy", flip(99))
		}, checkpoint.ErrDamaged, checkpoint.Damaged},
		"damaged and alone": {"chk-1", func(st *mem.Store) { rewrite(t, st, "chk-1/MANIFEST", flip(99)); remove(t, st, "chk-1/MANIFEST.copy") }, checkpoint.ErrDamaged, checkpoint.Damaged},
		"empty manifest": {"chk-1", func(st *mem.Store) {
			rewrite(t, st, "chk-1/MANIFEST", func([]byte) []byte { return nil })
			remove(t, st, "chk-1/MANIFEST.copy")
		}, checkpoint.ErrDamaged, checkpoint.Damaged},
		"of a later version": {"chk-1", func(st *mem.Store) { rewrite(t, st, "chk-1/MANIFEST", newer) }, checkpoint.ErrUnsupported, checkpoint.Unreadable},
		"of another checkpoint": {"chk-1", func(st *mem.Store) {
			if _, err := (writertest.Job{ID: 2}).Write(t.Context(), st); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"MANIFEST", "MANIFEST.copy"} {
				other, err := store.ReadAll(t.Context(), st, "chk-2/"+name, 1<<20)
				if err != nil {
					t.Fatal(err)
				}
				rewrite(t, st, "chk-1/"+name, func([]byte) []byte { return other })
			}
		}, checkpoint.ErrDamaged, checkpoint.Damaged},
	}
	for name, c := range cases {
		st := write(t, writertest.Job{Keys: 10})
		if c.change != nil {
			c.change(st)
		}
		opened, err := reader.Open(t.Context(), st, c.dir)
		if !errors.Is(err, c.want) || checkpoint.StatusOf(err) != c.status {
			t.Errorf("%s: %v with status %s, want %v and %s", name, err, checkpoint.StatusOf(err), c.want, c.status)
		}
		if err == nil {
			opened.Close()
		}
		if exists, err := reader.NewFormat(st).Probe(t.Context(), c.dir); err != nil || exists == errors.Is(c.want, checkpoint.ErrNone) {
			t.Errorf("%s: Probe says %v, %v", name, exists, err)
		}
	}
}

// TestDamageAnywhereInTheManifest: whatever byte of MANIFEST is damaged, all of
// the checkpoint can be read, and the damage is reported.
func TestDamageAnywhereInTheManifest(t *testing.T) {
	job := writertest.Job{Keys: 20}
	st := write(t, job)
	info, err := st.Stat(t.Context(), "chk-1/MANIFEST")
	if err != nil {
		t.Fatal(err)
	}
	step := 1
	if testing.Short() {
		step = 31
	}
	for at := 0; at < int(info.Size); at += step {
		rewrite(t, st, "chk-1/MANIFEST", flip(8*at+at%8))
		c, err := reader.Open(t.Context(), st, "chk-1")
		if err != nil {
			t.Fatalf("byte %d: %v", at, err)
		}
		if err := same(c.Keyed(t.Context(), writertest.Count, "counter", keygroup.All()), job.Keyed(keygroup.All())); err != nil {
			t.Fatalf("byte %d: %v", at, err)
		}
		_, err1 := c.Settings()
		_, err2 := c.Losses()
		_, err3 := c.Edges()
		_, err4 := c.Schemas()
		if err := errors.Join(err1, err2, err3, err4); err != nil {
			t.Fatalf("byte %d: %v", at, err)
		}
		if notes := c.Notes(); len(notes) != 1 || !errors.Is(notes[0].Err, format.ErrDamaged) || notes[0].Place.Object != "chk-1/MANIFEST" || notes[0].Remedy != "tidemark run JOB --restore chk-1" {
			t.Fatalf("byte %d: notes %v", at, notes)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if list, err := findings(t.Context(), st, "chk-1"); err != nil || len(list) != 1 || list[0].Severity != checkpoint.Error {
			t.Fatalf("byte %d: verify: %v, %v", at, list, err)
		}
		rewrite(t, st, "chk-1/MANIFEST", flip(8*at+at%8))
	}
}

func TestSavepointCanBeMovedAlone(t *testing.T) {
	job := writertest.Job{ID: 3, Keys: 100, Savepoint: true}
	st := write(t, job)
	for _, name := range []string{"elsewhere/kept", "elsewhere/savepoint-9"} {
		for info, err := range st.List(t.Context(), "savepoint-3/") {
			if err != nil {
				t.Fatal(err)
			}
			if _, err := store.Copy(t.Context(), st, strings.Replace(info.Name, "savepoint-3", name, 1), st, info.Name); err != nil {
				t.Fatal(err)
			}
		}
	}
	for info := range st.List(t.Context(), "savepoint-3/") {
		remove(t, st, info.Name)
	}
	for _, dir := range []string{"elsewhere/kept", "elsewhere/savepoint-9"} {
		c := open(t, st, dir)
		if err := same(c.Keyed(t.Context(), writertest.Count, "counter", keygroup.All()), job.Keyed(keygroup.All())); err != nil {
			t.Errorf("%s: %v", dir, err)
		}
		if list, err := findings(t.Context(), st, dir); err != nil || len(list) > 0 {
			t.Errorf("%s: %v, %v", dir, list, err)
		}
	}
}

func TestListing(t *testing.T) {
	st := mem.New()
	for _, job := range []writertest.Job{{ID: 2, Keys: 5}, {ID: 10}, {ID: 3, Savepoint: true}, {ID: 11}, {ID: 12}, {ID: 13}} {
		if _, err := job.Write(t.Context(), st); err != nil {
			t.Fatal(err)
		}
	}
	remove(t, st, "chk-11/MANIFEST")
	rewrite(t, st, "chk-12/MANIFEST", flip(50))
	rewrite(t, st, "chk-13/MANIFEST", flip(50))
	rewrite(t, st, "chk-13/MANIFEST.copy", flip(50))
	for _, name := range []string{"runs/1", "history/x", "chk-7x/y", "shared/z.data", "top"} {
		if _, err := store.WriteAll(t.Context(), st, name, nil); err != nil {
			t.Fatal(err)
		}
	}
	var lines []string
	for info, err := range reader.NewFormat(st).List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		_, known := info.Entries.Known()
		lines = append(lines, fmt.Sprintf("%s %s %d %s entries known: %v", info.Path, info.Kind, info.ID, info.Status, known))
	}
	golden(t, "list.txt", strings.Join(lines, "\n")+"\n")
	if id, err := reader.HighestID(t.Context(), st, ""); err != nil || id != 13 {
		t.Errorf("highest id %d, %v", id, err)
	}
	if id, err := reader.HighestID(t.Context(), mem.New(), ""); err != nil || id != 0 {
		t.Errorf("highest id of nothing %d, %v", id, err)
	}
}
