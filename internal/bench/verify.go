package main

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"
)

// readChunk is what the plain reading of files takes at a time, in bytes: it fits
// into the processor's cache, so that the checksum finds the bytes there.
const readChunk = 256 << 10

// sumFiles reads the files of a directory with as many goroutines as there are
// processors and takes the CRC-32C of each: the least that a verification does.
func sumFiles(ctx context.Context, p params) (figures, error) {
	names, err := filepath.Glob(filepath.Join(p.Dir, "*"))
	if err != nil {
		return nil, err
	}
	work, failed := make(chan string), make([]error, runtime.GOMAXPROCS(0))
	began := time.Now()
	var group sync.WaitGroup
	for i := range failed {
		group.Go(func() {
			for name := range work {
				failed[i] = errors.Join(failed[i], sumFile(name))
			}
		})
	}
	for _, name := range names {
		work <- name
	}
	close(work)
	group.Wait()
	return figures{"took": time.Since(began).Seconds() * 1e3}, errors.Join(append(failed, ctx.Err())...)
}

func sumFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	table := crc32.MakeTable(crc32.Castagnoli)
	buf := make([]byte, readChunk)
	for crc := uint32(0); ; {
		n, err := f.Read(buf)
		crc = crc32.Update(crc, table, buf[:n])
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// verifyRow measures `tidemark verify` beside a process that reads the same files
// and takes their checksums, both as processes, with warm caches.
func verifyRow(ctx context.Context, b *bench) ([]result, error) {
	command, err := b.tidemark(ctx)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	root := b.fresh()
	defer os.RemoveAll(root)
	fmt.Fprintf(b.progress, "verify: %d MiB of state\n", b.size.tools>>20)
	if _, err := b.once(ctx, params{Task: "sample", Dir: root, Bytes: b.size.tools, Codec: "none"}); err != nil {
		return nil, err
	}
	dir := filepath.Join(root, "chk-1")
	plain := []string{childFlag, fmt.Sprintf(`{"Task":"sum","Dir":%q}`, dir)}
	ways := [][]string{{command, "verify", "--level", "checksums", dir}, append([]string{self}, plain...), {command, "verify", "--level", "records", dir}}
	wall, cpu := make([][]float64, len(ways)), make([][]float64, len(ways))
	for n := range b.pairs + 1 {
		for i := range ways {
			if n%2 == 1 {
				i = len(ways) - 1 - i
			}
			if i == 2 && n%4 != 0 {
				continue // it takes longer, and has no goal
			}
			r, err := execute(ctx, ways[i][0], ways[i][1:]...)
			if err != nil {
				return nil, err
			}
			if n > 0 || i == 2 { // the first time fills the cache
				wall[i], cpu[i] = append(wall[i], r.wall), append(cpu[i], r.cpu)
			}
		}
	}
	return []result{
		atLeast("verify, % of reading with CRC-32C", 80, ratios(wall[1], wall[0]), 100),
		atLeast("  the same of processor time", 80, ratios(cpu[1], cpu[0]), 100),
		shown("  verify --level checksums, ms", wall[0], 1),
		shown("  reading with CRC-32C, ms", wall[1], 1),
		shown("  verify --level records, ms", wall[2], 1),
	}, nil
}
