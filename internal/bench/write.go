package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"

	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/engine/state"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/local"
	"github.com/tidemark-io/tidemark/writer"
)

// codecs are the settings of compression that are measured.
var codecs = map[string]writer.Compression{"none": writer.CompressNone, "s2": writer.CompressS2, "zstd": writer.CompressZstd}

// writeSnapshot measures how quickly the snapshots of two subtasks become a
// durable checkpoint in a local directory, beside the two limits on the same
// bytes: a loop that does nothing but copy, compress and checksum them, and a
// file that they are written to and synced.
func writeSnapshot(ctx context.Context, p params) (figures, error) {
	tables, err := fill(p.Entries, parallelism)
	if err != nil {
		return nil, err
	}
	columns := columnsOf(tables) // before the section: the limits are to read them, not to make them
	st, err := local.Open(p.Dir, local.WithCreate())
	if err != nil {
		return nil, err
	}
	defer st.Close()
	raw := float64(p.Entries*entrySize) / 1e6
	s, err := beginProfiled(p)
	if err != nil {
		return nil, err
	}
	runs := max(p.Repeat, 1)
	for id := range uint64(runs) {
		if err := writeTables(ctx, st, id+1, codecs[p.Codec], tables); err != nil {
			return nil, err
		}
	}
	cpu, wall := s.end()
	cpu, wall = cpu/float64(runs), wall/float64(runs)
	stored, err := sizeBelow(ctx, st, layout.Checkpoint(1)+"/")
	if err != nil {
		return nil, err
	}

	s = beginSection()
	if err := encodeOnly(p.Codec, columns); err != nil {
		return nil, err
	}
	codecCPU, _ := s.end()

	s = beginSection()
	if err := writeOnly(filepath.Join(p.Dir, "plain"), columns, stored); err != nil {
		return nil, err
	}
	_, diskWall := s.end()

	// Both limits are in bytes of state, so that they compare: a codec that
	// halves the bytes doubles what the disk can take.
	codec, disk := raw/codecCPU, raw/diskWall
	return figures{
		"core": raw / cpu, "wall": raw / wall, "ratio": float64(p.Entries*entrySize) / float64(stored),
		"codec": codec, "disk": disk, "share": raw / wall / min(disk, codec*parallelism),
	}, nil
}

// writeTables writes a checkpoint of the tables, one slice each, side by side.
func writeTables(ctx context.Context, st store.Store, id uint64, c writer.Compression, tables []*state.Table) error {
	m := manifest(len(tables), groups, 1, uint64Schema, uint64Schema)
	return publish(ctx, st, id, c, m, func(w *writer.Writer) ([]format.Slice, error) {
		slices, errs := make([]format.Slice, len(tables)), make([]error, len(tables))
		var group sync.WaitGroup
		for i, t := range tables {
			snap, err := t.Snapshot()
			if err != nil {
				return nil, err
			}
			group.Go(func() {
				defer snap.Release()
				slices[i], errs[i] = writeSlice(ctx, w, sliceOf(m, 0, i), snap)
			})
		}
		group.Wait()
		return slices, errors.Join(errs...)
	})
}

func writeSlice(ctx context.Context, w *writer.Writer, spec writer.SliceSpec, snap *state.Snapshot) (format.Slice, error) {
	sl, err := w.Slice(ctx, spec)
	if err != nil {
		return format.Slice{}, err
	}
	for b := range snap.Batches() { // as the engine does for fixed widths
		if err := sl.KeyedBatch(b.Hashes, b.Keys, b.Values); err != nil {
			sl.Abandon()
			return format.Slice{}, err
		}
	}
	return sl.Close()
}

// columnsOf are the keys and the values of the tables, apart, as blocks hold
// them.
func columnsOf(tables []*state.Table) (columns [2][]byte) {
	for _, t := range tables {
		for _, e := range t.All() {
			columns[0] = append(columns[0], e.Key...)
			columns[1] = append(columns[1], e.Value...)
		}
	}
	return columns
}

// encodeOnly copies the keys, copies or compresses the values, and checksums
// both, in pieces of a block.
func encodeOnly(codec string, columns [2][]byte) error {
	const piece = format.BlockTarget / 2
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(false))
	if err != nil {
		return err
	}
	block, packed := make([]byte, 0, 4*piece), make([]byte, s2.MaxEncodedLen(piece))
	var crc uint32
	for from := 0; from < len(columns[0]); from += piece {
		to := min(from+piece, len(columns[0]))
		block = append(block[:0], columns[0][from:to]...)
		switch values := columns[1][from:to]; codec {
		case "s2":
			block = append(block, s2.Encode(packed, values)...)
		case "zstd":
			block = z.EncodeAll(values, block)
		default:
			block = append(block, values...)
		}
		crc ^= format.Checksum(block)
	}
	// The sum is looked at so that no compiler drops the work.
	if crc == 0 {
		return errors.New("all checksums cancel out")
	}
	return z.Close()
}

// writeOnly writes that many bytes to a new file and syncs it.
func writeOnly(name string, columns [2][]byte, size int64) (err error) {
	const piece = 256 << 10
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	data := columns[0]
	for written := int64(0); written < size; {
		// The keys are random, so a file system that compresses gains nothing.
		from := int(written) % max(len(data)-piece, 1)
		n, err := f.Write(data[from:min(int64(from)+min(piece, size-written), int64(len(data)))])
		if err != nil {
			return err
		}
		written += int64(n)
	}
	return f.Sync()
}

// sizeBelow is the size of all objects whose names have the prefix.
func sizeBelow(ctx context.Context, st store.Store, prefix string) (size int64, err error) {
	for info, err := range st.List(ctx, prefix) {
		if err != nil {
			return 0, err
		}
		size += info.Size
	}
	if size == 0 {
		return 0, fmt.Errorf("nothing was written below %s", prefix)
	}
	return size, nil
}
