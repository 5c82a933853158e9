package sst

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/flink/metadata"
	"github.com/tidemark-io/tidemark/flink/oracle"
	"github.com/tidemark-io/tidemark/flink/serde"
	"github.com/tidemark-io/tidemark/flink/state"
	"github.com/tidemark-io/tidemark/flink/wire"
	"github.com/tidemark-io/tidemark/internal/testkit"
	"github.com/tidemark-io/tidemark/keygroup"
)

// open returns the bytes of a handle.
func open(t testing.TB, dir string, h metadata.StreamHandle) (string, []byte) {
	t.Helper()
	switch h := h.(type) {
	case *metadata.ByteStream:
		return h.Name, h.Data
	case *metadata.RelativeFile:
		data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(h.Path)))
		if err != nil {
			t.Fatal(err)
		}
		return h.Path, data
	case *metadata.File:
		return h.Path, fromBucket(t, dir, h.Path)
	case *metadata.Segment:
		return h.Path, fromBucket(t, dir, h.Path)[h.Start : h.Start+h.Size]
	}
	t.Fatalf("a handle of type %T", h)
	return "", nil
}

// fromBucket reads a file that a sample of the oracle names by its place in a bucket.
func fromBucket(t testing.TB, dir, uri string) []byte {
	t.Helper()
	for filepath.Base(dir) != "s3" {
		dir = filepath.Dir(dir)
	}
	data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(strings.TrimPrefix(uri, oracle.Bucket+"/"))))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// handles calls do for every RocksDB handle of the fixtures.
func handles(t testing.TB, do func(dir string, h Handle)) {
	t.Helper()
	handlesIn(t, testkit.FlinkFixtures(t), do)
}

func handlesIn(t testing.TB, root string, do func(dir string, h Handle)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "_metadata" {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		m, err := metadata.Decode(path, data, nil)
		if err != nil {
			return err
		}
		for _, op := range m.Operators {
			for _, sub := range op.Subtasks {
				if sub.State == nil {
					continue
				}
				keyed := []metadata.KeyedHandle{sub.State.ManagedKeyed}
				if c, ok := sub.State.ManagedKeyed.(*metadata.ChangelogHandle); ok {
					keyed = c.Materialized
				}
				for _, k := range keyed {
					if h, ok := k.(*metadata.IncrementalHandle); ok {
						do(filepath.Dir(path), handleOf(t, filepath.Dir(path), int(op.MaxParallelism), h))
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func handleOf(t testing.TB, dir string, maxParallelism int, h *metadata.IncrementalHandle) Handle {
	t.Helper()
	object, meta := open(t, dir, h.Meta)
	r := wire.NewBytes(object, 0, meta)
	header, err := state.ReadKeyedHeader(r)
	if err != nil {
		t.Fatal(err)
	}
	out := Handle{Object: object, Header: header, MaxParallelism: maxParallelism,
		Groups: keygroup.Range{First: int(h.Range.Start), Last: int(h.Range.Start + h.Range.Count - 1)}}
	for _, f := range append(append([]metadata.NamedFile{}, h.Shared...), h.Private...) {
		object, data := open(t, dir, f.Handle)
		out.Files = append(out.Files, File{Name: f.Name, Object: object, Data: bytes.NewReader(data), Size: int64(len(data))})
	}
	return out
}

// Every RocksDB handle of the fixtures is read to the last entry, which decode, and
// lie under the key groups of their keys.
func TestFixtures(t *testing.T) {
	dbs, tables, verified, entries, timers, equal, orphans := 0, 0, 0, 0, 0, 0, 0
	sums := map[byte]int{}
	handles(t, func(dir string, h Handle) {
		db, err := Open(h)
		if err != nil {
			t.Errorf("%s: %v", dir, err)
			return
		}
		dbs++
		orphans += len(db.Orphans)
		for _, f := range db.families {
			for _, m := range f.tables {
				table, err := db.open(m)
				if err != nil {
					t.Errorf("%s: %v", dir, err)
					continue
				}
				sums[table.sum]++
				tables++
			}
		}
		for name, err := range db.Verify() {
			if err != nil {
				t.Errorf("%s %s: %v", dir, name, err)
			}
			verified++
		}
		last := -1
		for e, err := range db.Entries() {
			if err != nil {
				t.Errorf("%s: %v", dir, err)
				continue
			}
			entries++
			if e.KeyGroup < last {
				t.Errorf("%s: key group %d behind %d", dir, e.KeyGroup, last)
			}
			last = e.KeyGroup
			m := &h.Header.States[e.State]
			if m.Kind == state.PriorityQueue {
				timers++
			}
			if _, err := m.AppendValueJSON(nil, e.Value); err != nil {
				t.Errorf("%s state %s key %x: %v", dir, m.Name, e.Composite, err)
			}
			if err := m.CheckValue("value", 0, e.Value); err != nil {
				t.Errorf("%s state %s: %v", dir, m.Name, err)
			}
			code, err := h.Header.Key.HashKey(e.Key)
			if err != nil {
				t.Errorf("%s state %s: %v", dir, m.Name, err)
				continue
			}
			if g := serde.KeyGroup(code, h.MaxParallelism); g != e.KeyGroup {
				t.Errorf("%s: key %x is of group %d, stored in %d", dir, e.Key, g, e.KeyGroup)
				continue
			}
			equal++
		}
	})
	if entries == 0 || timers == 0 || len(sums) < 2 {
		t.Errorf("%d entries, %d timers, checksums %v", entries, timers, sums)
	}
	t.Logf("RESULT TestFixtures handles=%d tables=%d verified=%d orphans=%d crc32c=%d xxh3=%d entries=%d timers=%d key_groups_equal=%d", dbs, tables, verified, orphans, sums[sumCRC], sums[sumXXH3], entries, timers, equal)
}
