package state

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/keygroup/keyhash"
)

// TestLoadRescaled restores a snapshot with another number of groups and
// another parallelism, in order, out of order, with right, wrong and no hints.
func TestLoadRescaled(t *testing.T) {
	restored := 0
	for i, o := range modelOptions {
		if o.Groups > 1000 {
			continue
		}
		s := &source{r: rand.New(rand.NewPCG(7, uint64(i))), o: o, keys: 4000}
		m := fillModel(t, s, 4000)
		keys := m.sorted()
		for _, to := range []struct{ groups, parallelism, hint int }{
			{o.Groups, 1, len(keys)}, {128, 3, len(keys) / 3}, {97, 1, 0}, {1, 1, math.MaxInt}, {128, 1, math.MaxInt}, {4096, 2, 3},
		} {
			for _, shuffled := range []bool{false, true} {
				if err := restore(o, m, keys, to.groups, to.parallelism, to.hint, shuffled); err != nil {
					t.Fatalf("%+v to %+v, shuffled %v: %v", o, to, shuffled, err)
				}
				restored += len(keys)
			}
		}
	}
	fmt.Printf("RESULT load-rescaled entries=%d wrong=0\n", restored)
}

// fillModel makes a model with about n entries, a few with equal hashes.
func fillModel(t *testing.T, s *source, n int) model {
	t.Helper()
	m := model{}
	for i := range n {
		s.collide = 0
		if i%50 == 0 {
			s.collide = 2
		}
		k := s.key()
		m[modelKey{keygroup.Hash(s.sum(k) >> 32), string(k), string(s.ns())}] = string(s.data(s.o.ValueWidth, 1000, true))
	}
	return m
}

// sumOf is a sum for a hash that need not be that of the key.
func sumOf(k modelKey) uint64 {
	return uint64(k.hash)<<32 | keyhash.Sum64([]byte(k.key))&0xffffffff
}

func restore(o Options, m model, keys []modelKey, groups, parallelism, hint int, shuffled bool) error {
	for subtask := range parallelism {
		o.Groups, o.Range = groups, keygroup.RangeOf(subtask, groups, parallelism)
		table, err := NewTable(o)
		if err != nil {
			return err
		}
		mine, part := model{}, []modelKey{}
		for _, k := range keys {
			if o.Range.Contains(keygroup.Of(k.hash, groups)) {
				mine[k] = m[k]
				part = append(part, k)
			}
		}
		if shuffled {
			rand.New(rand.NewPCG(8, 9)).Shuffle(len(part), func(i, j int) { part[i], part[j] = part[j], part[i] })
		}
		l := table.Load(hint)
		for _, k := range part {
			if err := l.Append(sumOf(k), []byte(k.key), []byte(k.ns), []byte(m[k])); err != nil {
				return err
			}
		}
		if limit := int64(loadAhead) * 2; hint > len(keys) && table.Bytes() > limit {
			return fmt.Errorf("a wrong hint costs %d bytes, more than %d", table.Bytes(), limit)
		}
		if err := compareAll(table, mine); err != nil {
			return err
		}
		// A restored table is a table: it takes updates.
		for _, k := range part[:min(200, len(part))] {
			if !table.Delete(sumOf(k), []byte(k.key), []byte(k.ns)) {
				return fmt.Errorf("%x is not there", k.key)
			}
			delete(mine, k)
		}
		if err := compareAll(table, mine); err != nil {
			return err
		}
	}
	return nil
}

// TestLoadBesideSnapshot restores into a table of which a snapshot is read.
func TestLoadBesideSnapshot(t *testing.T) {
	table := mustTable(t, Options{Groups: 2, Range: whole(2), KeyWidth: 8, ValueWidth: 8})
	before, after := model{}, model{}
	add := func(i uint64, m ...model) {
		k := key8(mix(i))
		if err := table.Load(0).Append(keyhash.Sum64(k), k, nil, k); err != nil {
			t.Fatal(err)
		}
		for _, m := range m {
			m[modelKey{keyhash.Of(k), string(k), ""}] = string(k)
		}
	}
	for i := range uint64(500) {
		add(i, before, after)
	}
	s, err := table.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	c := compareWith(before, s)
	for i := range uint64(500) {
		add(1000+i, after)
	}
	if err := c.end(); err != nil {
		t.Fatal(err)
	}
	if err := compareAll(table, after); err != nil {
		t.Fatal(err)
	}
}
