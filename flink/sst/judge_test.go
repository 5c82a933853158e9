package sst

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"testing"

	"github.com/tidemark-io/tidemark/flink/oracle"
)

// RocksDB itself, the one that Flink 2.2 brings, finds in every column family of the
// databases of the fixtures and of the oracle's samples the entries that are found here: the same keys and values in
// the same order, merge operands joined, deletions and range tombstones applied.
func TestRocksDBAgrees(t *testing.T) {
	s := oracle.Start(t, oracle.Flink2)
	var dbs []oracle.RocksDB
	var ours []map[string]oracle.RocksFamily
	entries := 0
	add := func(dir string, h Handle) {
		db, err := Open(h)
		if err != nil {
			t.Errorf("%s: %v", dir, err)
			return
		}
		prefix := 1
		if h.MaxParallelism > 128 {
			prefix = 2
		}
		dbs = append(dbs, oracle.RocksDB{Dir: unpacked(t, h), Prefix: prefix, First: h.Groups.First, Last: h.Groups.Last})
		found := families(t, h, db, prefix)
		for _, f := range found {
			entries += f.Entries
		}
		ours = append(ours, found)
	}
	handles(t, add)
	handlesIn(t, filepath.Join("..", "..", "testdata", "flink"), add)
	all, err := s.ReadRocksDB(t.Context(), dbs)
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for i, theirs := range all {
		for _, f := range theirs {
			mine, known := ours[i][f.Name]
			if !known && f.Entries == 0 { // "default", and states that were left behind
				continue
			}
			if mine != f {
				t.Errorf("%s: found %+v, RocksDB finds %+v", dbs[i].Dir, mine, f)
			}
			compared++
		}
	}
	if len(all) != len(dbs) || compared == 0 || entries == 0 {
		t.Errorf("%d of %d databases, %d families, %d entries", len(all), len(dbs), compared, entries)
	}
	fmt.Printf("RESULT flink-rocksdb-agrees databases=%d families=%d entries=%d\n", len(all), compared, entries)
}

// families counts and digests what is found here, as the judge does.
func families(t *testing.T, h Handle, db *DB, prefix int) map[string]oracle.RocksFamily {
	t.Helper()
	sums := make([]hash.Hash, len(h.Header.States))
	counts := make([]int, len(sums))
	for i := range sums {
		sums[i] = sha256.New()
	}
	for e, err := range db.Entries() {
		if err != nil {
			t.Fatal(err)
		}
		key := append(binary.BigEndian.AppendUint16(nil, uint16(e.KeyGroup))[2-prefix:], e.Composite...)
		for _, part := range [][]byte{key, e.Value} {
			sums[e.State].Write(binary.BigEndian.AppendUint32(nil, uint32(len(part))))
			sums[e.State].Write(part)
		}
		counts[e.State]++
	}
	found := map[string]oracle.RocksFamily{}
	for i := range sums {
		name := h.Header.States[i].Name
		found[name] = oracle.RocksFamily{Name: name, Entries: counts[i], SHA256: hex.EncodeToString(sums[i].Sum(nil))}
	}
	return found
}

// unpacked puts the files of a handle into a directory, under the names that they
// had where the backend ran.
func unpacked(t *testing.T, h Handle) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range h.Files {
		data, err := io.ReadAll(io.NewSectionReader(f.Data, 0, f.Size))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, path.Base(f.Name)), data, fs.FileMode(0o600))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
