package oracle

import (
	"context"
	"time"
)

// RocksDB is a directory with a database of Flink's RocksDB state backend, and the
// key groups of it that count.
type RocksDB struct {
	Dir    string `json:"dir"`
	Prefix int    `json:"prefix"` // bytes of the key group in front of keys: 1 or 2
	First  int    `json:"first"`  // key group
	Last   int    `json:"last"`
}

// RocksFamily is what RocksDB itself finds in a column family: how many entries, and
// the SHA-256 of them, each key and value behind its length as a big-endian int32.
type RocksFamily struct {
	Name    string `json:"name"`
	Entries int    `json:"entries"`
	SHA256  string `json:"sha256"`
}

// ReadRocksDB opens databases with the RocksDB that Flink brings. Merge operands
// are joined and deletions applied; checksums are verified.
func (s *Server) ReadRocksDB(ctx context.Context, dbs []RocksDB) ([][]RocksFamily, error) {
	var answer struct {
		Databases [][]RocksFamily `json:"databases"`
	}
	err := s.ask(ctx, 60*time.Second, struct {
		RocksDB []RocksDB `json:"rocksdb"`
	}{dbs}, &answer)
	return answer.Databases, err
}
