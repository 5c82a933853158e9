// Package sst reads what RocksDB keeps of Apache Flink's keyed state: sorted
// tables and the MANIFEST that says which of them are alive, merged into the
// entries of package state.
//
// Tables are RocksDB's block-based ones, format versions 2 to 5, with plain, delta
// and two-level indexes; blocks plain or compressed with snappy, lz4 or zstd;
// every block's checksum (CRC-32C, XXH64 or XXH3) is checked before its bytes are
// used. Merge operands are joined as Flink's merge operator does, deletions and
// range tombstones are honoured. Memory is a few blocks for each table being read.
//
// Sources of the format: RocksDB's table/format.h, table/block_based and
// db/version_edit.h.
//
// Non-goals: writing, write-ahead logs (a checkpoint has none), user timestamps,
// blob files, and point look-ups.
package sst
