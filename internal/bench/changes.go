package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// changeRow measures the commands that make a checkpoint of another beside
// `cp -r` and `sync` of the same files: rescale by reference, and with copying.
// The sync is that of the copied files, as the tools do it for theirs.
func changeRow(ctx context.Context, b *bench) ([]result, error) {
	command, err := b.tidemark(ctx)
	if err != nil {
		return nil, err
	}
	size := b.size.tools
	fmt.Fprintf(b.progress, "change: %d MiB of state\n", size>>20)
	root := b.fresh()
	if _, err := b.once(ctx, params{Task: "large", Dir: root, Bytes: size}); err != nil {
		return nil, err
	}
	defer os.RemoveAll(root)
	source, other := filepath.Join(root, "chk-1"), b.fresh()
	if err := os.MkdirAll(other, 0o700); err != nil {
		return nil, err
	}
	defer os.RemoveAll(other)
	ways := []struct {
		dst  string
		args []string
	}{
		{filepath.Join(root, "linked"), []string{"rescale", "--parallelism", "7", source}},
		{filepath.Join(other, "copied"), []string{"rescale", "--parallelism", "7", source}},
		{filepath.Join(other, "chk-1"), []string{"cp", "--external-files", "keep", source}},
	}
	wall, peaks := make([][]float64, len(ways)), make([][]float64, len(ways))
	var plain []float64
	for range min(b.pairs, 5) {
		for i, w := range ways {
			r, err := execute(ctx, command, append(w.args, w.dst)...)
			if err != nil {
				return nil, err
			}
			wall[i], peaks[i] = append(wall[i], r.wall), append(peaks[i], r.peak)
			if err := os.RemoveAll(w.dst); err != nil {
				return nil, err
			}
		}
		took, err := copyAndSync(ctx, source, filepath.Join(other, "plain"))
		if err != nil {
			return nil, err
		}
		plain = append(plain, took)
	}
	return []result{
		atMost("rescale by reference, times cp -r and sync", 0.01, ratios(wall[0], plain), 1),
		atMost("rescale with copying, times cp -r and sync", 1.2, ratios(wall[1], plain), 1),
		atMost("cp, times cp -r and sync", 1.2, ratios(wall[2], plain), 1),
		shown("  rescale by reference, ms", wall[0], 1),
		shown("  cp -r and sync, ms", plain, 1),
		atMost("  peak of rescale by reference, MiB", 256, peaks[0], 1.0/(1<<20)),
		atMost("  peak of rescale with copying, MiB", 256, peaks[1], 1.0/(1<<20)),
		atMost("  peak of cp, MiB", 256, peaks[2], 1.0/(1<<20)),
	}, nil
}

// copyAndSync copies a directory with cp, makes the copy durable and removes it.
// It returns the ms of copying and syncing.
func copyAndSync(ctx context.Context, from, to string) (float64, error) {
	began := time.Now()
	if _, err := execute(ctx, "cp", "-r", from, to); err != nil {
		return 0, err
	}
	files, err := filepath.Glob(filepath.Join(to, "*"))
	if err != nil {
		return 0, err
	}
	if _, err := execute(ctx, "sync", append(files, to)...); err != nil {
		return 0, err
	}
	took := time.Since(began)
	return took.Seconds() * 1e3, os.RemoveAll(to)
}
